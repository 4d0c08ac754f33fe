"""What a sweep's workers do: they make the workbench again in their own process and evaluate trials on it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from wellai_exp.compute import Note, Work
from wellai_exp.config import Composer, Sources
from wellai_exp.data import Manifest, manifests_folder
from wellai_exp.errors import SettingError
from wellai_exp.ledger import LEDGER
from wellai_exp.masking import remember
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.search import Goals, Proposal, Report
from wellai_exp.tracking import Tracker
from wellai_exp.training import Shared
from wellai_exp.verbs._trial import Clock, TrialRunner
from wellai_exp.verbs._workbench import Workbench

FEATURES_COMPUTED = "features computed"
# Before the name of a kind of work, of whose seconds a note tells.
SPENT = "spent "


@dataclass(frozen=True)
class Brief:
    """What kind of trial a proposal is.

    Parameters
    ----------
    parent : str
        Id of the sweep's run.
    study : str
        The study's name.
    stage : str
        The stage's name; empty where there is one search only.
    overrides : tuple of str
        What the stage changes in the experiment.
    goals : Goals
        What is searched for.
    """

    parent: str
    study: str
    stage: str
    overrides: tuple[str, ...]
    goals: Goals


@dataclass(frozen=True)
class BenchJob:
    """Evaluates the trials of a sweep.

    Parameters
    ----------
    cfg : DictConfig
        The command's config.
    sources : Sources
        Where trials are composed from.
    composer : Composer
        Composes them.
    store : Path
        ``paths.store``.
    manifest : Manifest
        The data, split by the parent.
    tracker : Tracker
        Writes to MLflow; the parent has made its store.
    memory_share : float
        Of the memory that the settings allow.
    """

    cfg: DictConfig
    sources: Sources
    composer: Composer
    store: Path
    manifest: Manifest
    tracker: Tracker
    memory_share: float

    @classmethod
    def of(cls, bench: Workbench, composer: Composer, memory_share: float) -> BenchJob:
        """Give the job that a sweep has for its workers."""
        return cls(bench.cfg, Sources.running(), composer, bench.store, bench.manifest, bench.tracker, memory_share)

    def open(self, say: Callable[[str], None], note: Callable[[Note], None]) -> Work:
        """Make the workbench."""
        # Before anything is logged: a secret is masked by its value too.
        remember(OmegaConf.to_container(self.cfg, resolve=False))
        self._check_store()
        prepare_tensorflow()
        self.sources.begin()
        shared = Shared(self.manifest, self.store, int(self.cfg.seed), self.memory_share)
        bench = Workbench(self.cfg, self.store, self.manifest, shared, self.tracker)
        within = cache(self.composer.within)
        computed = [0]

        def work(brief: Brief, proposal: Proposal, report: Report) -> Mapping[str, float]:
            clock, before = Clock(), dict(LEDGER.seconds)
            runner = TrialRunner(
                bench, within(brief.overrides), brief.parent, brief.study, brief.stage, brief.goals, clock, say
            )
            try:
                return runner(proposal, report)
            finally:
                for part, seconds in clock.seconds.items():
                    note(Note(part, sum(seconds)))
                for part, total in LEDGER.seconds.items():
                    note(Note(SPENT + part, total - before.get(part, 0.0)))
                note(Note(FEATURES_COMPUTED, shared.features_computed - computed[0]))
                computed[0] = shared.features_computed

        return work

    def _check_store(self) -> None:
        """Refuse a folder that only has the same name as the parent's, on another machine."""
        if not (manifests_folder(self.store) / self.manifest.digest).is_dir():
            raise SettingError(
                "paths.store",
                self.store,
                f"on {socket.gethostname()} it is not the folder that the command works in",
                "set it to one that all machines share",
            )
