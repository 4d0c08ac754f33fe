"""Trials that take no time, really searched and really tracked: for what the machinery itself does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wellai_exp import milestones
from wellai_exp.compute import Crew, Note, Place, Work
from wellai_exp.search import Choice, Interval, Proposal, Report, Search, Space, Study
from wellai_exp.tracking import Tracker, Tracking
from wellai_exp.verbs._mending import Mender, attempt_tags

_SPACE = Space({"strategy": Choice(("none", "smote", "focal")), "l2": Interval(0.0, 1.0)}, lambda _group, _own: {}, {})


@dataclass(frozen=True)
class InstantBrief:
    """What such a trial needs to know: its parent's run, its study, and the metric's name."""

    parent: str
    study: str
    metric: str


def value_of(overrides: Sequence[str]) -> float:
    """Give what a configuration is worth, in [0, 1): always the same, and nothing to compute."""
    return int.from_bytes(hashlib.sha256("\n".join(overrides).encode()).digest()[:4], "big") / 2**32


@dataclass(frozen=True)
class InstantJob:
    """Trials that take no time, each with a run of its own.

    Parameters
    ----------
    tracker : Tracker
        Writes to MLflow.
    seconds : float
        How long a trial waits all the same.
    """

    tracker: Tracker
    seconds: float = 0.0

    def open(self, _say: Callable[[str], None], _note: Callable[[Note], None]) -> Work:
        """Make ready."""
        _ = self.tracker.experiment_id
        return self.work

    def work(self, brief: InstantBrief, proposal: Proposal, report: Report) -> Mapping[str, float]:
        """Evaluate one."""
        metrics = {brief.metric: value_of(proposal.overrides)}
        tags = attempt_tags(brief.study, proposal.number, proposal.attempt)
        milestones.passed(milestones.BEFORE_RUN)
        with self.tracker.run(f"{proposal.number:04d}", parent=brief.parent, tags=tags) as run:
            run.log_params(dict(override.split("=", 1) for override in proposal.overrides))
            time.sleep(self.seconds)
            run.log_metrics({f"cv/{name}": value for name, value in metrics.items()})
            report.finished(metrics)
        return metrics


@dataclass(frozen=True)
class InstantSweep:
    """A sweep of such trials, real but for what they compute.

    Parameters
    ----------
    store : Path
        Folder of its databases.
    search : Search
        How it searches.
    place : Place
        Who evaluates.
    space : Space
        What it searches.
    seed : int
        Of the sampler.
    seconds : float
        How long a trial waits.
    name : str
        The study's.
    uri : str or None
        Where its runs go; None is the store.
    """

    store: Path
    search: Search
    place: Place
    space: Space = _SPACE
    seed: int = 0
    seconds: float = 0.0
    name: str = "instant"
    uri: str | None = None

    def study(self) -> Study:
        """Give its study."""
        return Study(self.search, self.space, self.name, self.store, self.seed)

    def tracker(self) -> Tracker:
        """Give what tracks it."""
        return Tracker(Tracking(self.store, "instant", self.uri))

    def run(self, finished: Callable[[], None], watch: Callable[[Crew], None] = lambda _: None) -> Study:
        """Do what is left of it; `watch` is told of the workers before they begin."""
        study, tracker = self.study(), self.tracker()
        mine = {"wellai.kind": "sweep", "wellai.study": study.name}
        with tracker.run("instant", tags=mine, resume=tracker.find_run(mine)) as parent, study.opened():
            mender = Mender(tracker, parent.id, study)
            mender.mend()
            brief = InstantBrief(parent.id, study.name, study.goals.first)
            job = InstantJob(tracker, self.seconds)
            if self.place.in_process:
                study.run(lambda proposal, report: job.work(brief, proposal, report), finished)
            else:
                with Crew(self.place, job, self.store / "workers.log", lambda _: None, lambda _: None) as crew:
                    watch(crew)
                    crew.run(study, brief, mender.settle, finished)
        return study
