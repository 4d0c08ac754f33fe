"""Say by how much models differ and how surely; of whole sweeps, what each option was worth."""

from __future__ import annotations

from typing import Protocol

from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from wellai_exp.errors import SettingError
from wellai_exp.tracking import Run, Tracker
from wellai_exp.verbs._compare_models import ModelComparison
from wellai_exp.verbs._compare_sweeps import SweepComparison, SweepTrials
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._subjects import ModelSubject, SweepSubject, find_subjects
from wellai_exp.verbs._workbench import open_tracker


class _Comparison(Protocol):
    """What can be compared."""

    @property
    def experiment(self) -> str:
        """MLflow's id of the experiment of the first."""
        ...

    def log(self, run: Run) -> None:
        """Log tables and figures."""

    def show(self, console: Console) -> None:
        """Print the main tables."""


def run(cfg: DictConfig) -> None:
    """Compare what the command names, log it as a run beside the first, and print the main tables."""
    tracker, console = open_tracker(cfg), Console()
    names = [str(name) for name in cfg.models]
    subjects = find_subjects(tracker, names)
    with console.status("comparing"):
        compared = _compare(cfg, tracker, subjects)
    tags = {**provenance(int(cfg.seed)), "wellai.kind": "comparison", "wellai.compared": ", ".join(names)}
    beside = tracker.within(compared.experiment)
    with beside.run(f"comparison of {', '.join(names)}", tags=tags) as logged:
        compared.log(logged)
    compared.show(console)
    where = f"run {logged.id} of experiment {beside.tracking.experiment}"
    console.print(Text(f"{where}; look at it with wellai-exp ui"), soft_wrap=True)


def _compare(cfg: DictConfig, tracker: Tracker, subjects: list[SweepSubject] | list[ModelSubject]) -> _Comparison:
    sweeps = [each for each in subjects if isinstance(each, SweepSubject)]
    if sweeps:
        trials = [SweepTrials.read(tracker, sweep) for sweep in sweeps]
        return SweepComparison(trials, [str(name) for name in cfg.metrics], {**cfg.baseline})
    resamples = whole_number("n_resamples", cfg.n_resamples, "set n_resamples=1000")
    if resamples < 100:
        raise SettingError("n_resamples", resamples, "an interval needs at least 100", "set n_resamples=1000")
    models = [each for each in subjects if isinstance(each, ModelSubject)]
    return ModelComparison.of(tracker, models, n_resamples=resamples, seed=int(cfg.seed))
