"""What tests of the export share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def page_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the live page's libraries are fetched once."""
    return tmp_path_factory.mktemp("page_store")
