"""Where a command's seconds go, by kind of work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS = ("import", "read", "decode", "extract", "propose", "compose", "fit", "evaluate", "log", "plot", "wait")
"""Kinds of work: TensorFlow's import; reading and splitting the data; decoding images and bringing them to size;
running networks forwards on images; proposing a trial; composing its config; fitting; scoring, and the winner's
evidence; writing to MLflow; figures, tables and the report; waiting for workers."""


class Ledger:
    """Seconds by kind of work; what lies within another kind's block counts once, as the inner one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.elsewhere: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._open: list[float] = []

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the block's seconds, less those that blocks within it count."""
        if threading.current_thread() is not threading.main_thread():
            # It runs beside what the main thread does, whose seconds are the command's.
            yield
            return
        started = time.perf_counter()
        self._begun.setdefault(part, started)
        self._open.append(0.0)
        try:
            yield
        finally:
            self._ended[part] = time.perf_counter()
            passed, within = self._ended[part] - started, self._open.pop()
            self.seconds[part] = self.seconds.get(part, 0.0) + passed - within
            if self._open:
                self._open[-1] += passed

    def between(self, part: str, later: str) -> float | None:
        """Give the seconds from the end of one kind of work to the beginning of another; None where one never was."""
        if part not in self._ended or later not in self._begun:
            return None
        return self._begun[later] - self._ended[part]

    def add_elsewhere(self, part: str, seconds: float) -> None:
        """Note what another process spent on a kind of work."""
        self.elsewhere[part] = self.elsewhere.get(part, 0.0) + seconds


LEDGER = Ledger()
"""This process's."""


spent = LEDGER.of
"""Count a block's, or as a decorator a function's, seconds in this process's ledger."""
