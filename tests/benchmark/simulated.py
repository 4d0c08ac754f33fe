"""A clock that runs only when everybody waits: real threads, simulated time."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

from wellai_exp.benchmark import Clock


class SimulatedClock(Clock):
    """Jumps to the next waker as soon as each thread sleeps or waits; one that will wait for ever is a deadlock.

    Made in the thread that will wait; others come by `start`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._time = 0.0
        self._awake = 1
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int]] = []

    def now(self) -> float:
        return self._time

    def sleep_until(self, when: float) -> None:
        if when <= self._time:
            return
        with self._changed:
            me = (when, next(self._order))
            heapq.heappush(self._sleepers, me)
            self._rest()
            self._changed.wait_for(lambda: me not in self._sleepers)

    def _rest(self) -> None:
        """One thread less is awake; the last one wakes the next sleeper. Held by the caller: `_changed`."""
        self._awake -= 1
        if not self._awake and self._sleepers:
            self._time, _ = heapq.heappop(self._sleepers)
            self._awake += 1
            self._changed.notify_all()

    def start(self, work: Callable[[], None]) -> Callable[[], None]:
        def all_of_it() -> None:
            work()
            with self._changed:
                self._rest()

        with self._changed:
            self._awake += 1
        thread = threading.Thread(target=all_of_it, daemon=True)
        thread.start()

        def join() -> None:
            # Who waits here is not awake, so that the clock may go on.
            with self._changed:
                self._rest()
            thread.join(timeout=30)
            assert not thread.is_alive()
            with self._changed:
                self._awake += 1

        return join

    def condition(self) -> Any:
        return _Condition(self)


class _Condition:
    """As `threading.Condition`, for one thread that waits."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self) -> None:
        changed = self._clock._changed
        with changed:
            self._waiting = True
            self._lock.release()
            self._clock._rest()
            changed.wait_for(lambda: not self._waiting)
        self._lock.acquire()

    def notify_all(self) -> None:
        with self._clock._changed:
            if self._waiting:
                self._waiting = False
                self._clock._awake += 1
                self._clock._changed.notify_all()
