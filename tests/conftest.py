"""What every test may ask for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import absl.logging
import hypothesis
import pytest

pytest_plugins = ("place", "clusters")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Hydra sets logging up anew for each command and closes the handlers there were. TensorFlow's would then close the
# stream it was made with: pytest's capture of stderr, unless it is the real one.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__


# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("wellai", deadline=None)
hypothesis.settings.load_profile("wellai")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Real photographs and weights, where the machine has them."""
    folder = os.environ.get("WELLAI_ASSETS")
    if not folder:
        pytest.skip("WELLAI_ASSETS is not set: no real photographs or weights on this machine")
    return Path(folder)
