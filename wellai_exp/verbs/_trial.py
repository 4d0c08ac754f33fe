"""One trial of a sweep: compose it, cross-validate it, log it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from omegaconf import DictConfig, OmegaConf

from wellai_exp.config import Composer
from wellai_exp.search import Proposal
from wellai_exp.tracking import Run
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._workbench import TRIAL_GROUPS, Workbench, log_data, make_choices, trial_params


@dataclass
class Clock:
    """Where a sweep's seconds went; one list of seconds for each part of a trial."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, part: str, seconds: float) -> None:
        """Note one trial's seconds for a part."""
        self.seconds.setdefault(part, []).append(seconds)


def run_name(cfg: DictConfig, overrides: tuple[str, ...], composer: Composer, number: int | None) -> str:
    """Name a run by what tells it from its neighbours in a list."""
    options = composer.chosen(overrides)
    words = [options[group] for group in TRIAL_GROUPS if group in options]
    prefix = f"{cfg.name}" if number is None else f"{number:04d}"
    return " ".join([prefix, *words])


@dataclass(frozen=True)
class TrialRunner:
    """Evaluates proposals of one sweep and logs each as a child run.

    Parameters
    ----------
    bench : Workbench
        Data and tools.
    composer : Composer
        Composes a trial's config.
    parent : Run
        The sweep's run.
    study : str
        The study's name.
    objective : str
        The metric that is maximised.
    clock : Clock
        Collects seconds.
    """

    bench: Workbench
    composer: Composer
    parent: Run
    study: str
    objective: str
    clock: Clock

    def __call__(self, proposal: Proposal) -> float:
        """Give the objective's mean over the folds."""
        started = time.perf_counter()
        cfg = self.composer.trial(proposal.overrides)
        tags = {
            **provenance(int(cfg.seed)),
            "wellai.kind": "trial",
            "wellai.study": self.study,
            "wellai.trial": str(proposal.number),
            "wellai.attempt": str(proposal.attempt),
            "wellai.data_digest": self.bench.manifest.digest,
            "wellai.reproduce": self.composer.reproduce(proposal.overrides),
        }
        name = run_name(cfg, proposal.overrides, self.composer, proposal.number)
        params = {**trial_params(cfg), **self.composer.chosen(proposal.overrides)}
        composed = time.perf_counter()
        with self.bench.tracker.run(name, parent=self.parent.id, tags=tags) as run:
            run.log_params(params)
            run.log_text(OmegaConf.to_yaml(cfg, resolve=True), "config.yaml")
            log_data(run, self.bench.manifest)
            described = time.perf_counter()
            result = self.bench.task.cross_validate(make_choices(cfg))
            fitted = time.perf_counter()
            for fold, metrics in enumerate(result.folds):
                run.log_metrics({f"cv/{metric}": value for metric, value in metrics.items()}, step=fold)
            run.log_metrics({f"cv/{metric}": value for metric, value in result.metrics.items()})
            if result.notes:
                run.log_text("\n".join(result.notes) + "\n", "notes.txt")
            logged = time.perf_counter()
            spent = {
                "propose": proposal.seconds,
                "compose": composed - started,
                "fit": fitted - described,
                "log": logged - fitted + described - composed,
            }
            spent["whole trial"] = sum(spent.values())
            run.log_metrics({f"seconds/{part}": seconds for part, seconds in spent.items()})
        for part, seconds in spent.items():
            self.clock.add(part, seconds)
        return result.metrics[f"{self.objective}_mean"]
