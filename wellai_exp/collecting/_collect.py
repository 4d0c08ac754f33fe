"""A whole list: what is there is left alone, the rest is fetched, and every entry gets its verdict."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from yarl import URL

from wellai_exp import stopping
from wellai_exp.collecting._answers import Answer, Refusal
from wellai_exp.collecting._fetch import Fetcher, checked_url, redirected
from wellai_exp.collecting._folders import IMAGES, class_folders
from wellai_exp.collecting._hosts import HostQueue
from wellai_exp.collecting._journal import Journal, Record, write_table
from wellai_exp.collecting._limits import Limits
from wellai_exp.collecting._storing import Storage, Stored, record
from wellai_exp.data import GOT, Link
from wellai_exp.errors import DataError, StoreError
from wellai_exp.paths import ensure_dir

_LOCK = ".collecting.lock"
_THREADS = 4
# How long a try waits before it is made need not be the same from run to run.
_DICE = random.SystemRandom()


class Watcher(Protocol):
    """Is told how a collection goes on."""

    def begin(self, links: Sequence[Link], known: Sequence[Record]) -> None:
        """Hear what is wanted, and what needs no request."""

    def finished(self, record: Record) -> None:
        """Hear the verdict on one entry."""


@dataclass
class _Job:
    """One URL and the entries that list it; changes from hop to hop."""

    links: tuple[Link, ...]
    first: URL
    url: URL
    seconds: float
    tries: int = 1
    hops: int = 0
    answer: Answer = field(default_factory=Answer)

    @property
    def host(self) -> str:
        return self.url.host or ""


def collect(root: Path, links: Sequence[Link], limits: Limits, watcher: Watcher) -> list[Record]:
    """Fetch what a list names into a folder, and write down what became of each entry.

    What an earlier run has judged is left alone, except for the verdicts in ``limits.again``; a photograph that is
    there is never asked for again. However the run ends, everything finished is kept, and ``collected.csv`` is written.

    Parameters
    ----------
    root : Path
        The folder; made where it is not there.
    links : sequence of Link
        The entries.
    limits : Limits
        How to go about it.
    watcher : Watcher
        Is told how it goes on.

    Returns
    -------
    list of Record
        One for each entry, in the list's order.

    Raises
    ------
    StoreError
        Where the root cannot be written, or another run is at work in it.
    DataError
        Where this machine seems to have no network.
    KeyboardInterrupt
        After a signal, once everything is kept.
    """
    ensure_dir(root, "data.root")
    ensure_dir(root / IMAGES, "data.root")
    try:
        lock = FileLock(root / _LOCK).acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"data.root={root}: another wellai-exp collect is at work there; wait for it, or name another folder."
        ) from None
    with lock, Journal(root) as journal:
        return _Collection(root, links, limits, watcher, journal).run()


class _Collection:
    def __init__(self, root: Path, links: Sequence[Link], limits: Limits, watcher: Watcher, journal: Journal) -> None:
        self._root = root
        self._links = links
        self._limits = limits
        self._watcher = watcher
        self._journal = journal
        self._storage = Storage(root, class_folders(link.label for link in links), limits.most_bytes)
        # Of entries that nothing is asked for; made anew each time, since they follow from the list alone.
        self._unasked: dict[int, Record] = {}
        self._doubtful: list[tuple[str, Record]] = []

    def run(self) -> list[Record]:
        """Do all that is left to do; see `collect`."""
        wanted = self._sort_out()
        try:
            asyncio.run(self._stoppable(wanted))
        except asyncio.CancelledError:
            stopping.check()
            raise
        except ExceptionGroup as failures:
            # Several threads may find the disk full at once; the first sentence says it all.
            raise failures.exceptions[0] from None
        finally:
            write_table(self._root, self._all_records())
        # A signal may have come when everything was done already.
        stopping.check()
        return [found for found in self._records() if found is not None]

    def _sort_out(self) -> list[Link]:
        """Give the entries to fetch; the others have their record."""
        there = self._storage.found()
        wanted = [
            link for place, link in enumerate(self._links) if not self._needs_nothing(place, link, there.get(link.key))
        ]
        left = set(wanted)
        known = [
            found
            for link, found in zip(self._links, self._records(), strict=True)
            if found is not None and link not in left
        ]
        self._watcher.begin(self._links, known)
        return wanted

    def _needs_nothing(self, place: int, link: Link, stored: Stored | None) -> bool:
        """Tell whether an entry has its verdict without a request, by itself, from a file or from the journal."""
        if link.problem:
            self._unasked[place] = record(link, Answer(), "refused", link.problem)
            return True
        known = self._journal.records.get(link.key)
        if known is not None and known.verdict == GOT:
            return stored is not None and stored.bytes == known.bytes
        if stored is not None and (adopted := self._storage.adopted(link, stored)) is not None:
            self._journal.add(adopted)
            return True
        return known is not None and known.verdict not in self._limits.again

    def _records(self) -> Iterator[Record | None]:
        """Give the record of each entry, None where it has none yet."""
        for place, link in enumerate(self._links):
            yield self._unasked.get(place) or self._journal.records.get(link.key)

    def _all_records(self) -> list[Record]:
        """Give the records of the list's entries, and of what was collected here for other lists."""
        here = [found for found in self._records() if found is not None]
        keys = {found.key for found in here}
        return here + [found for key, found in self._journal.records.items() if key not in keys]

    async def _stoppable(self, wanted: Sequence[Link]) -> None:
        """Fetch until all is done or a signal comes, which may not raise just anywhere in an event loop."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with stopping.deferred(lambda: loop.call_soon_threadsafe(task.cancel) if task else None):
            await self._fetch(wanted)

    async def _fetch(self, wanted: Sequence[Link]) -> None:
        limits = self._limits
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="storage") as pool:
            async with Fetcher(limits) as fetcher, asyncio.TaskGroup() as group:

                async def ask(job: _Job) -> None:
                    started = time.monotonic()
                    job.answer = await fetcher.ask(job.url, job.seconds)
                    job.seconds -= time.monotonic() - started

                async def answered(job: _Job) -> None:
                    if not self._goes_on(job, queue):
                        records = await asyncio.get_running_loop().run_in_executor(
                            pool, self._storage.kept, job.links, job.answer, str(job.url)
                        )
                        self._judged(job.host, job.answer, records)

                queue = HostQueue[_Job](group, limits.concurrency, limits.per_host, limits.pause, ask, answered)
                for job in self._jobs(wanted):
                    queue.add(job.host, job)
        self._believe()

    def _jobs(self, wanted: Sequence[Link]) -> Iterator[_Job]:
        """Give one job for each different URL that may be asked for."""
        entries: dict[str, list[Link]] = {}
        for link in wanted:
            entries.setdefault(link.url, []).append(link)
        for text, links in entries.items():
            try:
                url = checked_url(text, self._limits)
            except Refusal as refusal:
                answer = Answer("refused", str(refusal))
                self._judged("", answer, self._storage.kept(links, answer, ""))
            else:
                yield _Job(tuple(links), url, url, self._limits.seconds)

    def _goes_on(self, job: _Job, queue: HostQueue[_Job]) -> bool:
        """Follow a redirect or try once more; False where the answer is the last."""
        limits, answer = self._limits, job.answer
        if answer.location:
            try:
                if job.hops >= limits.redirects:
                    raise Refusal("it redirects more than collect.redirects times")
                job.url = redirected(job.url, answer.location, limits)
            except Refusal as refusal:
                job.answer = Answer("refused", str(refusal), status=answer.status)
                return False
            job.hops += 1
            queue.add(job.host, job)
            return True
        if not answer.passing or job.tries >= limits.tries:
            return False
        wait = answer.wait or 0.0
        if wait > limits.longest_wait:
            job.answer = replace(answer, reason="its server asks to wait longer than collect.longest_wait")
            return False
        queue.hold(job.host, wait)
        pause = min(limits.backoff * 2.0 ** (job.tries - 1), max(limits.longest_wait, limits.backoff))
        again = _Job(job.links, job.first, job.first, limits.seconds, job.tries + 1)
        queue.add(again.host, again, max(wait, _DICE.uniform(pause / 2, pause)))
        return True

    def _judged(self, host: str, answer: Answer, records: Sequence[Record]) -> None:
        """Write verdicts down, except those that this machine's own network may be the reason of."""
        if answer.status is not None:
            self._believe()
        if answer.offline and self._limits.offline:
            self._doubtful += [(host, found) for found in records]
            hosts = {name for name, _ in self._doubtful}
            if len(hosts) >= self._limits.offline:
                raise DataError(
                    f"{len(hosts)} hosts in a row could not be found or reached from this machine; mend its network "
                    "and type the same command, or set collect.offline=0 to call them dead."
                )
            return
        self._write(records)

    def _believe(self) -> None:
        """Write down the verdicts that were held back: something has answered since, so the network is there."""
        held, self._doubtful = [found for _, found in self._doubtful], []
        self._write(held)

    def _write(self, records: Sequence[Record]) -> None:
        for found in records:
            self._journal.add(found)
            self._watcher.finished(found)
