"""The workers of a sweep, and who of them is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from wellai_exp import stopping
from wellai_exp.compute._messages import Assigned, Beat, Free, Job, Note, Received, Said
from wellai_exp.compute._place import Place, Post
from wellai_exp.compute._shift import Shift
from wellai_exp.errors import WellaiError
from wellai_exp.search import Attempt, Study, Underway

# Given up after the grace period, a worker may wake up for so long before it is ended.
SECONDS_TO_WAKE = 5.0
# Importing libraries can take a cold machine long, and nothing is lost meanwhile.
SECONDS_TO_OPEN = 300.0
_ROUND = 0.25
_BARREN = 3
Settle = Callable[[Attempt], None]


@dataclass(eq=False)
class Member:
    """A worker and what it does.

    Parameters
    ----------
    post : Post
        Its end here.
    opened : bool
        Whether it has been ready once.
    free : bool
        Whether it waits for a proposal.
    underway : Underway or None
        Its attempt, until everything that belongs to it is over.
    given_up : bool
        Whether that attempt is no longer its own.
    silence : float
        Seconds since its last sign of life, as far as we listened.
    text : str
        What it says it does.
    """

    post: Post
    opened: bool = False
    free: bool = False
    underway: Underway | None = None
    given_up: bool = False
    silence: float = 0.0
    text: str = ""

    def assign(self, underway: Underway, brief: Any) -> None:
        """Give it something to do."""
        self.underway, self.free = underway, False
        self.post.send(Assigned(brief, underway.proposal))


class Crew:
    """Workers for one sweep; they are started when there is something to do, and end with the block.

    Parameters
    ----------
    place : Place
        Where and how many.
    job : Job
        What they are hired for.
    log : Path
        File for what they write besides.
    say : callable
        Shows what goes on now.
    note : callable
        Gets figures beside the trials' metrics.
    """

    def __init__(
        self, place: Place, job: Job, log: Path, say: Callable[[str], None], note: Callable[[Note], None]
    ) -> None:
        self.place = place
        self.members: list[Member] = []
        self._job = job
        self._log = log
        self._say = say
        self._note = note
        self._barren = 0
        self._listened = time.monotonic()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for member in self.members:
            member.post.kill()
        self.members.clear()
        self.place.close()

    def run(self, study: Study, brief: Any, settle: Settle, finished: Callable[[], None]) -> None:
        """Evaluate proposals until the total is reached, as :meth:`Study.run` does, several at a time.

        Parameters
        ----------
        study : Study
            The open study.
        brief : object
            Goes with every proposal; it says what kind of trial it is.
        settle : callable
            Called with an attempt whose worker may not have ended its run, once it is certain that it never will.
        finished : callable
            Called after each trial that counts.

        Raises
        ------
        SweepFailed
            After ``max_failures`` failures in a row in this run.
        WellaiError
            Where a store does not work, the goals name a metric that a trial does not have, or no worker comes to its
            first trial.
        """
        # A signal may come between any two instructions; here it is only heeded between two rounds.
        with stopping.deferred(lambda: None):
            shift = Shift(self, study, brief, settle, finished)
            try:
                shift.work()
            except BaseException:
                shift.leave()
                raise

    def staff(self, wanted: int) -> None:
        """Start workers until there are `wanted`, or as many as the settings say."""
        while len(self.members) < min(self.place.workers, wanted):
            self.members.append(Member(self.place.hire(self._job, self._log)))

    def listen(self) -> list[tuple[Member, Received]]:
        """Wait a moment for messages; give those that somebody has to answer."""
        posts = {member.post: member for member in self.members}
        ready = {posts[post] for post in self.place.wait(list(posts), _ROUND)}
        now = time.monotonic()
        # Were we ourselves stopped or busy, that is no silence of theirs: what they said waits to be read.
        passed, self._listened = min(now - self._listened, 2 * _ROUND), now
        heard: list[tuple[Member, Received]] = []
        if self.members and all(member.post.waiting for member in self.members):
            self._say(f"waiting for room for {len(self.members)} workers")
        for member in self.members:
            messages = member.post.receive() if member in ready else []
            # Who waits for room in a queue cannot be heard.
            member.silence = 0.0 if messages or member.post.waiting else member.silence + passed
            heard += [(member, message) for message in messages if not self._taken(member, message)]
        return heard

    def _taken(self, member: Member, message: Received) -> bool:
        """Deal with what concerns nobody but the terminal."""
        if isinstance(message, Said):
            member.text = message.text
            self._say(" · ".join(each.text for each in self.members if each.text))
        elif isinstance(message, Note):
            self._note(message)
        elif isinstance(message, Free):
            member.opened, member.text = True, ""
            self._barren = 0
            return False
        return isinstance(message, (Said, Note, Beat))

    def attentive(self, member: Member) -> bool:
        """Whether a worker was heard of lately."""
        return member.silence < 3 * self.place.beat

    @property
    def calm(self) -> bool:
        """Whether all were: a stopped one may hold a database's lock."""
        return all(self.attentive(member) for member in self.members if member.opened)

    def silent(self) -> list[Member]:
        """Give the workers whose grace period is over and whose attempt is still theirs."""
        grace = self.place.grace_seconds
        return [each for each in self.members if each.underway and not each.given_up and each.silence >= grace]

    def lost(self) -> list[tuple[Member, str]]:
        """Take out the workers that are gone or have to be, and say why."""
        found = [(member, fault) for member in list(self.members) if (fault := self._fault(member))]
        for member, _ in found:
            member.post.kill()
            self.members.remove(member)
            self._barren += not member.opened
        return found

    def _fault(self, member: Member) -> str:
        if fault := member.post.ended():
            return fault
        grace = self.place.grace_seconds
        if member.silence >= (grace + SECONDS_TO_WAKE if member.opened else SECONDS_TO_OPEN):
            return f"it gave no sign of life for {grace:g} s (compute.grace_seconds)"
        return member.post.too_large()

    def check(self) -> None:
        """Raise where workers end before they are ready, one after another."""
        if self._barren >= _BARREN:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise WellaiError(
                f"compute.workers={self.place.workers}: {_BARREN} workers in a row ended before they were ready, the "
                f"last with {lines[-1] if lines else 'nothing to say'!r}; read {self._log}, or set compute.workers=1."
            )
