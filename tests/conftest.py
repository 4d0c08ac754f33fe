"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ("place",)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Real photographs and weights, where the machine has them."""
    folder = os.environ.get("WELLAI_ASSETS")
    if not folder:
        pytest.skip("WELLAI_ASSETS is not set: no real photographs or weights on this machine")
    return Path(folder)
