"""Jobs for workers that need no library: they say who they are, and die, hang or grow where a configuration says so."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellai_exp.compute import Note, Work
from wellai_exp.errors import StoreError, TrialFailed
from wellai_exp.search import Proposal, Report, Superseded


def value(proposal: Proposal) -> float:
    """Give what a configuration is worth."""
    return float(proposal.overrides[0].removeprefix("b="))


@dataclass(frozen=True)
class Plain:
    """Gives a configuration's value at once, and notes which process did."""

    folder: Path
    seconds: float = 0.0

    def open(self, say: Callable[[str], None], note: Callable[[Note], None]) -> Work:
        """Keep the terminal's line and the notes for later."""

        def work(brief: Any, proposal: Proposal, report: Report) -> Mapping[str, float]:
            say(f"at {proposal.number}")
            note(Note("process", os.getpid()))
            self.before(proposal)
            time.sleep(self.seconds)
            return {brief: value(proposal)}

        return work

    def before(self, proposal: Proposal) -> None:
        """Do nothing."""

    def first_time(self, what: str) -> bool:
        """Tell whether this never happened before, in whichever process."""
        try:
            (self.folder / what).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@dataclass(frozen=True)
class DiesAt(Plain):
    """Is killed at one configuration, a number of times."""

    at: int = 3
    times: int = 1

    def before(self, proposal: Proposal) -> None:
        """Die."""
        if value(proposal) == self.at and any(self.first_time(f"death-{index}") for index in range(self.times)):
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()


@dataclass(frozen=True)
class FreezesAt(Plain):
    """Is stopped at one configuration until somebody wakes it."""

    at: int = 1

    def before(self, proposal: Proposal) -> None:
        """Freeze, once."""
        if value(proposal) == self.at and self.first_time("frozen"):
            (self.folder / "process").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)

    def open(self, say: Callable[[str], None], note: Callable[[Note], None]) -> Work:
        """Say when an evaluation was given up."""
        inner = super().open(say, note)

        def work(brief: Any, proposal: Proposal, report: Report) -> Mapping[str, float]:
            metrics = inner(brief, proposal, report)
            try:
                report.finished(metrics)
            except Superseded:
                (self.folder / f"superseded-{os.getpid()}").touch()
                raise
            return metrics

        return work


@dataclass(frozen=True)
class GrowsAt(Plain):
    """Takes more memory than it may at one configuration."""

    at: int = 2

    def before(self, proposal: Proposal) -> None:
        """Grow."""
        if value(proposal) == self.at:
            held = bytearray(400 * 2**20)
            threading.Event().wait(60.0)
            assert held


@dataclass(frozen=True)
class FailsAt(Plain):
    """Fails at some configurations, in several ways."""

    def before(self, proposal: Proposal) -> None:
        """Fail."""
        if value(proposal) == 1:
            raise TrialFailed("the neighbours ran out")
        if value(proposal) == 2:
            raise ZeroDivisionError


@dataclass(frozen=True)
class Epochs(Plain):
    """Reports three epochs of each configuration."""

    def open(self, say: Callable[[str], None], note: Callable[[Note], None]) -> Work:
        """Train."""

        def work(brief: Any, proposal: Proposal, report: Report) -> Mapping[str, float]:
            worth = 100 - value(proposal)
            for epoch in (1, 2, 3):
                report(epoch, {brief: worth * epoch}, last=epoch == 3)
            return {brief: 3 * worth}

        return work


@dataclass(frozen=True)
class NoStore(Plain):
    """Finds its store gone at one configuration."""

    def before(self, proposal: Proposal) -> None:
        """Raise."""
        if value(proposal) == 2:
            raise StoreError("the disk is full")


@dataclass(frozen=True)
class NeverOpens(Plain):
    """Ends before it is ready."""

    def open(self, _say: Callable[[str], None], _note: Callable[[Note], None]) -> Work:
        """Fail."""
        raise RuntimeError("no such device")


@dataclass(frozen=True)
class Tells(Plain):
    """Writes down what a variable is worth in its process."""

    variable: str = ""

    def before(self, proposal: Proposal) -> None:
        """Write."""
        (self.folder / "told").write_text(os.environ.get(self.variable, "nothing"))
