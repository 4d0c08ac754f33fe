"""Ctrl-C and SIGTERM: the first leaves cleanly and never goes on as if nothing had been said, the second at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM; it unwinds as Ctrl-C does, so that runs are closed."""


_asked: list[type[KeyboardInterrupt]] = []
_first = [0.0]
# One Ctrl-C can arrive twice, from the terminal and from a program in between such as make.
_ONE_SIGNAL_SECONDS = 0.3


def _ask(number: int) -> type[KeyboardInterrupt] | None:
    """Take note of a signal; None for an echo of the first. The second ends the process: nothing is tidied up."""
    if _asked:
        if time.monotonic() - _first[0] < _ONE_SIGNAL_SECONDS:
            return None
        # Not by way of Python's own stderr, which the signal may have found in mid-write.
        os.write(2, b"stopped at once; the same command goes on from there\n")
        os._exit(128 + number)
    _asked.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
    _first[0] = time.monotonic()
    return _asked[0]


def _on_signal(number: int, _frame: FrameType | None) -> None:
    kind = _ask(number)
    if kind is not None:
        raise kind


def listen() -> None:
    """Turn SIGINT and SIGTERM into exceptions from now on, and forget earlier ones."""
    _asked.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)


def check() -> None:
    """Raise what a signal asked for earlier.

    Python drops an exception that is raised while a finaliser or a weak reference's callback runs; whoever loops asks
    here before the next round, so that a dropped Ctrl-C still counts.

    Raises
    ------
    KeyboardInterrupt
        Where a signal came since `listen`.
    """
    if _asked:
        raise _asked[-1]


@contextmanager
def deferred(tell: Callable[[], object]) -> Iterator[None]:
    """Have a signal call `tell` and raise nothing, for code that an exception just anywhere would tear.

    Who uses it calls `check` afterwards.

    Parameters
    ----------
    tell : callable
        Called in the main thread, between any two instructions: it should set something and return.
    """

    def on_signal(number: int, _frame: FrameType | None) -> None:
        _ask(number)
        tell()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def heeded() -> Iterator[None]:
    """Let a signal count where a library answers it with an error of its own.

    A ``finally`` that a signal has found half-way may raise something else in the signal's place (OmegaConf's do); what
    fails after a signal has failed because of it.

    Raises
    ------
    KeyboardInterrupt
        Instead of an error that came after a signal.
    """
    try:
        yield
    except Exception as error:
        if _asked:
            raise _asked[-1] from error
        raise
