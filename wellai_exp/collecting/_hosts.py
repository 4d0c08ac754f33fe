"""Many requests at once, and no host with more of them than it is due."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Host(Generic[T]):
    waiting: list[tuple[float, int, T]] = field(default_factory=list)
    workers: int = 0
    next_start: float = 0.0


class HostQueue(Generic[T]):
    """Hands out jobs: so many at once, so many of them at one host, with a pause between a host's starts.

    A job that waits (for its host's pause, or for another try) holds no place.

    Parameters
    ----------
    group : asyncio.TaskGroup
        What the workers run in; it ends when every job, and every job that came of one, is done.
    concurrency, per_host : int
        Jobs at once, and of them at one host.
    pause : float
        Seconds between the starts of two jobs at one host.
    work : callable
        Does one job, holding a place; what it gives is passed to `after`.
    after : callable
        Told of a job's outcome when its place is free again; may add jobs.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        concurrency: int,
        per_host: int,
        pause: float,
        work: Callable[[T], Awaitable[None]],
        after: Callable[[T], Awaitable[None]],
    ) -> None:
        self._group = group
        self._places = asyncio.Semaphore(concurrency)
        self._per_host = per_host
        self._pause = pause
        self._work = work
        self._after = after
        self._hosts: dict[str, _Host[T]] = {}
        self._order = itertools.count()

    def add(self, host: str, job: T, delay: float = 0.0) -> None:
        """Have a job done, no earlier than in `delay` seconds."""
        queue = self._hosts.setdefault(host, _Host())
        heapq.heappush(queue.waiting, (asyncio.get_running_loop().time() + delay, next(self._order), job))
        if queue.workers < self._per_host:
            queue.workers += 1
            self._group.create_task(self._serve(queue))

    def hold(self, host: str, seconds: float) -> None:
        """Start nothing at a host for so many seconds, because it asks for that."""
        queue = self._hosts.setdefault(host, _Host())
        queue.next_start = max(queue.next_start, asyncio.get_running_loop().time() + seconds)

    async def _serve(self, queue: _Host[T]) -> None:
        try:
            while queue.waiting:
                due, _, job = heapq.heappop(queue.waiting)
                await self._in_place(queue, due, job)
                await self._after(job)
        finally:
            queue.workers -= 1

    async def _in_place(self, queue: _Host[T], due: float, job: T) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            if (left := max(due, queue.next_start) - clock()) > 0:
                await asyncio.sleep(left)
            async with self._places:
                # Others may have started at this host while a place was waited for.
                if clock() >= queue.next_start:
                    queue.next_start = clock() + self._pause
                    await self._work(job)
                    return
