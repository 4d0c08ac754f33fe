"""What every test may ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import absl.logging
import hypothesis
import pytest

pytest_plugins = ("place", "drawn_bundle", "clusters", "short_training")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As a command has it; FFmpeg reads it once a process, and a test may make a film before one reads one.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
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


@pytest.fixture(scope="session")
def page_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store in which the live page's libraries are fetched once, by the first who wants them."""
    return tmp_path_factory.mktemp("page_store")


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Give what a test calls at its end, to have a line in the table: the fault, how often, the slowest recovery."""

    def note(fault: str, times: int = 1, seconds: float | None = None) -> None:
        record_property("fault", [fault, times, seconds])

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which faults were injected, where tests that do so passed."""
    rows: dict[str, list[float]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "fault" and report.when == "call":
                fault, times, seconds = value
                row = rows.setdefault(str(fault), [0, 0.0])
                row[0] += times
                row[1] = max(row[1], seconds or 0.0)
    if rows:
        terminalreporter.section("faults injected; what is promised held after every one")
        for fault, (times, seconds) in rows.items():
            slowest = f"  slowest {seconds:.1f} s" if seconds else ""
            terminalreporter.write_line(f"{fault:<48}{times:>5}{slowest}")
