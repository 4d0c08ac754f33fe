"""Runtimes that do one thing each; in a module of their own, so that another process can import them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from wellai_exp.errors import TrialFailed
from wellai_exp.export import Opened, Runtime


@dataclass(frozen=True)
class Steady(Runtime):
    """Answers after some milliseconds, and holds some memory."""

    name: ClassVar[str] = "steady"
    format: ClassVar[str] = "fake"
    target: ClassVar[str] = "fake"

    milliseconds: float = 1.0
    megabytes: int = 0

    def _open(self, path: Path, size: int) -> Opened:
        held = np.ones(self.megabytes * 10**6, np.uint8)

        def classify(frame: Any) -> Any:
            time.sleep(self.milliseconds / 1000)
            return np.full((1, 2), held[:1].sum() / 2, np.float32)

        return Opened(size, classify)


@dataclass(frozen=True)
class Dies(Steady):
    """Ends its process, as a crash in native code does."""

    def _open(self, path: Path, size: int) -> Opened:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class Refuses(Steady):
    """Cannot open anything."""

    def _open(self, path: Path, size: int) -> Opened:
        raise TrialFailed("steady cannot open it (an operator is unknown)")


@dataclass(frozen=True)
class Breaks(Steady):
    """Opens, and then cannot classify."""

    def _open(self, path: Path, size: int) -> Opened:
        def classify(frame: Any) -> Any:
            raise RuntimeError("no kernel\nfor this")

        return Opened(size, classify)


@dataclass(frozen=True)
class Hangs(Steady):
    """Never comes back."""

    def _open(self, path: Path, size: int) -> Opened:
        time.sleep(3600)
        raise AssertionError
