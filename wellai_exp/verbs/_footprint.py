"""What a command cost: time, computing, and the most memory that it and its processes held at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_EVERY = 0.2


@dataclass
class Footprint:
    """Seconds and memory, growing while `footprint` watches.

    Parameters
    ----------
    seconds : float
        Since it began.
    cpu_seconds : float
        Computed in that time, by the process and those that it has waited for; on a busy machine it says more.
    peak_mb : float
        The greatest sum of the resident memory of the process and all below it, 10⁶ bytes; pages that they share count
        once for each.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def sentence(self) -> str:
        """All of it, with how busy the machine was."""
        load = os.getloadavg()[0]
        return (
            f"{self.seconds:.0f} s ({self.cpu_seconds:.0f} s of computing), at most {self.peak_mb:,.0f} MB in all "
            f"processes together (load {load:.1f} on {os.cpu_count()} cores)"
        )


@contextmanager
def footprint() -> Iterator[Footprint]:
    """Watch the process and those below it until the block ends."""
    found, ended = Footprint(), threading.Event()
    start, before = time.perf_counter(), _computed()

    def watch() -> None:
        while not ended.is_set():
            found.peak_mb = max(found.peak_mb, _resident_mb())
            ended.wait(_EVERY)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        found.seconds, found.cpu_seconds = time.perf_counter() - start, _computed() - before


def _computed() -> float:
    """Give the seconds that the process and its finished children have computed."""
    return sum(os.times()[:4])


def _resident_mb() -> float:
    import psutil

    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it has ended meanwhile
            continue
    return total / 1e6
