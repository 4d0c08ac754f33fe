"""Runs that agree with the study, whatever became of who wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wellai_exp.search import Attempt, Study
from wellai_exp.tracking import Ending, Tracker

_STATUS = {"COMPLETE": "FINISHED", "FAIL": "FAILED"}


def attempt_tags(study: str, number: int, attempt: int) -> dict[str, str]:
    """Give the tags that tell an attempt's run from all others."""
    return {
        "wellai.kind": "trial",
        "wellai.study": study,
        "wellai.trial": str(number),
        "wellai.attempt": str(attempt),
    }


@dataclass(frozen=True)
class Mender:
    """Mends the runs of one stage's trials.

    Parameters
    ----------
    tracker : Tracker
        Where the runs are.
    parent : str
        Id of the sweep's run.
    study : Study
        The open study.
    stage : str
        The stage's name; empty where there is one search only.
    """

    tracker: Tracker
    parent: str
    study: Study
    stage: str = ""

    def mend(self) -> None:
        """Make good what a stopped process left behind: runs not ended, ended too early, or never made."""
        attempts = self.study.attempts()
        complete = {attempt.number for attempt in attempts if attempt.state == "COMPLETE"}

        def finished(tags: Mapping[str, str]) -> bool | None:
            if not self._mine(tags):
                # Another stage's trials are mended by that stage, which knows them.
                return None if tags.get("wellai.kind") == "trial" else False
            return int(tags.get("wellai.trial", -1)) in complete

        def missing(nested: list[Mapping[str, str]]) -> list[Ending]:
            have = {int(tags.get("wellai.trial", -1)) for tags in nested if self._mine(tags)}
            return [self._ending(attempt) for attempt in attempts if attempt.number not in have]

        self.tracker.reconcile(self.parent, finished, missing)

    def _mine(self, tags: Mapping[str, str]) -> bool:
        return tags.get("wellai.study") == self.study.name

    def settle(self, attempt: Attempt) -> None:
        """See to it that an attempt whose worker is gone has its one run, ended as the study has it."""
        self.tracker.settle(self.parent, self._ending(attempt))

    def _ending(self, attempt: Attempt) -> Ending:
        title = f"{self.stage} {attempt.number:04d} cut off".strip()
        tags = attempt_tags(self.study.name, attempt.number, attempt.attempt)
        return Ending(title, tags, _STATUS.get(attempt.state, "KILLED"), attempt.reason)
