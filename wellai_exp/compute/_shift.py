"""One search done by a crew: deals proposals, hears reports, makes good what a lost worker leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wellai_exp import stopping
from wellai_exp.compute._messages import Dropped, Ended, Finished, Free, Received, Reported, Stop, Verdict
from wellai_exp.errors import StoreError, TrialFailed, WellaiError
from wellai_exp.search import Failures, MissingMetric, Pruned, Study, Underway

if TYPE_CHECKING:
    from wellai_exp.compute._crew import Crew, Member, Settle

# After the first signal; what has not ended by then is killed, and all of it must be over within ten.
SECONDS_TO_LEAVE = 5.0


class Shift:
    """What a crew does for one study; see :meth:`Crew.run`."""

    def __init__(self, crew: Crew, study: Study, brief: Any, settle: Settle, finished: Callable[[], None]) -> None:
        self._crew = crew
        self._study = study
        self._brief = brief
        self._settle = settle
        self._finished = finished
        self._failures = Failures(study.search.max_failures)
        self._unsettled: list[int] = []

    def work(self) -> None:
        """Go on until the total is reached."""
        while True:
            stopping.check()
            self._deal()
            if not any(member.underway for member in self._crew.members) and not self._wanted:
                break
            self._round()
        self._settle_all()

    def _round(self) -> None:
        for member, message in self._crew.listen():
            self._hear(member, message)
        for member in self._crew.silent():
            self._give_up(member)
        for member, fault in self._crew.lost():
            self._bury(member, fault)
        self._crew.check()
        if self._unsettled and self._crew.calm:
            self._settle_all()

    @property
    def _wanted(self) -> int:
        """How many trials are still to be begun."""
        open_ones = sum(member.underway is not None and not member.underway.ended for member in self._crew.members)
        return max(0, self._study.left - open_ones)

    def _deal(self) -> None:
        """Give every free worker a proposal; they are made one after another, so that the total is met exactly."""
        idle = [member for member in self._crew.members if member.free and self._crew.attentive(member)]
        if not idle and len(self._crew.members) >= self._crew.place.workers:
            return
        wanted = self._wanted
        self._crew.staff(wanted + sum(not member.free and member.opened for member in self._crew.members))
        for member in idle[:wanted]:
            member.assign(self._study.begin(), self._brief)

    def _hear(self, member: Member, message: Received) -> None:
        if isinstance(message, Free):
            if member.given_up and member.underway is not None:
                self._unsettled.append(member.underway.proposal.number)
            member.free, member.given_up, member.underway = True, False, None
            return
        underway = member.underway
        if underway is None or member.given_up or not isinstance(message, (Reported, Finished, Ended)):
            if isinstance(message, (Reported, Finished)):
                member.post.send(Verdict("drop"))
        elif isinstance(message, Ended):
            self._end(underway, message)
        else:
            self._judge(member, underway, message)

    def _judge(self, member: Member, underway: Underway, message: Reported | Finished) -> None:
        """Answer a worker that waits for a verdict."""
        try:
            if isinstance(message, Reported):
                underway(message.epoch, message.metrics, last=message.last)
            else:
                underway.finished(message.metrics)
        except Pruned as pruned:
            member.post.send(Verdict("prune", str(pruned)))
        except MissingMetric as error:
            underway.cut_off()
            member.post.send(Verdict("fail", str(error)))
            raise
        except TrialFailed as failed:
            member.post.send(Verdict("fail", str(failed)))
        else:
            member.post.send(Verdict("go"))
            if isinstance(message, Finished):
                self._count("")

    def _end(self, underway: Underway, message: Ended) -> None:
        if message.how == "broken":
            underway.cut_off()
            raise StoreError(message.reason)
        if message.how == "cut off":
            underway.again()
        elif not underway.ended:
            if message.how == "pruned":
                underway.pruned()
            else:
                underway.failed(message.reason)
            self._count(message.reason if message.how == "failed" else "")

    def _count(self, reason: str) -> None:
        self._finished()
        self._failures.count(reason)

    def _give_up(self, member: Member) -> None:
        """Give a silent worker's trial to another; it may wake up and go on with the next."""
        member.given_up, member.text = True, ""
        if member.underway is not None:
            grace = self._crew.place.grace_seconds
            self._lose(member.underway, f"it gave no sign of life for {grace:g} s (compute.grace_seconds)")
            member.post.send(Dropped(member.underway.proposal.number))

    def _bury(self, member: Member, fault: str) -> None:
        """Make good what a worker leaves that is gone."""
        for message in member.post.receive():
            self._hear(member, message)
        if member.underway is not None:
            self._unsettled.append(member.underway.proposal.number)
            if not member.given_up:
                self._lose(member.underway, fault)

    def _lose(self, underway: Underway, fault: str) -> None:
        if reason := underway.lost(fault, self._crew.place.retries):
            self._count(reason)

    def _settle_all(self) -> None:
        if self._unsettled:
            attempts = {attempt.number: attempt for attempt in self._study.attempts()}
            while self._unsettled:
                self._settle(attempts[self._unsettled[-1]])
                self._unsettled.pop()

    def leave(self) -> None:
        """Have every worker stop, end those that do not, and cut off what was under way."""
        for member in self._crew.members:
            member.post.send(Stop())
        until = time.monotonic() + SECONDS_TO_LEAVE
        while self._crew.members and time.monotonic() < until:
            for member, message in self._crew.listen():
                self._hear_leaving(member, message)
            for member, _ in self._crew.lost():
                self._cut_off(member)
        for member in self._crew.members:
            member.post.kill()
            self._cut_off(member)
        self._crew.members.clear()
        # The first exception is the one to be seen.
        with suppress(WellaiError):
            self._settle_all()

    def _hear_leaving(self, member: Member, message: Received) -> None:
        # The sweep is over already: what the trials still say is kept, and ends nothing more.
        with suppress(WellaiError):
            if isinstance(message, Ended) and message.how in ("cut off", "broken"):
                return
            self._hear(member, message)

    def _cut_off(self, member: Member) -> None:
        for message in member.post.receive():
            self._hear_leaving(member, message)
        if member.underway is not None:
            member.underway.cut_off()
            self._unsettled.append(member.underway.proposal.number)
