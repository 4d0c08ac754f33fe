"""One trial of a sweep: compose it, validate it, log it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from omegaconf import DictConfig

from wellai_exp import milestones
from wellai_exp.config import Composer, config_text
from wellai_exp.ledger import spent
from wellai_exp.search import Goals, Proposal, Pruned, Report
from wellai_exp.tracking import Run
from wellai_exp.training import Choices, CrossValidation, FineTuneTask, Task
from wellai_exp.verbs._costs import costs
from wellai_exp.verbs._follow import Follower, Say
from wellai_exp.verbs._mending import attempt_tags
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._winner import log_model
from wellai_exp.verbs._workbench import TRIAL_GROUPS, Workbench, log_data, make_choices, trial_params


@dataclass
class Clock:
    """Where a sweep's seconds went; one list of seconds for each part of a trial."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, part: str, seconds: float) -> None:
        """Note one trial's seconds for a part."""
        self.seconds.setdefault(part, []).append(seconds)


def run_name(cfg: DictConfig, overrides: tuple[str, ...], composer: Composer, prefix: str = "") -> str:
    """Name a run by what tells it from its neighbours in a list."""
    options = composer.chosen(overrides)
    words = [options[group] for group in TRIAL_GROUPS if group in options and group != "optimizer"]
    return " ".join([prefix or str(cfg.name), *words])


@dataclass(frozen=True)
class TrialRunner:
    """Evaluates proposals of one search and logs each as a child run.

    Parameters
    ----------
    bench : Workbench
        Data and tools.
    composer : Composer
        Composes a trial's config.
    parent : str
        Id of the sweep's run.
    study : str
        The study's name.
    stage : str
        The stage's name; empty where there is one search only.
    goals : Goals
        What is searched for.
    clock : Clock
        Collects seconds.
    say : callable
        Shows a text while a network trains.
    """

    bench: Workbench
    composer: Composer
    parent: str
    study: str
    stage: str
    goals: Goals
    clock: Clock
    say: Say

    def __call__(self, proposal: Proposal, report: Report) -> dict[str, float]:
        """Give the trial's metrics: means over its folds, and what it costs to run where the goals ask for that."""
        started = time.perf_counter()
        with spent("compose"):
            cfg = self.composer.trial(proposal.overrides)
            prefix = f"{self.stage} {proposal.number:04d}".strip()
            name = run_name(cfg, proposal.overrides, self.composer, prefix)
            params = {**trial_params(cfg), **self.composer.chosen(proposal.overrides)}
            reproduce = self.composer.reproduce(proposal.overrides)
        composed = time.perf_counter()
        milestones.passed(milestones.BEFORE_RUN)
        with self.bench.tracker.run(name, parent=self.parent, tags=self._tags(cfg, proposal, reproduce)) as run:
            run.log_params(params)
            run.log_text(config_text(cfg), "config.yaml")
            log_data(run, self.bench.manifest)
            described = time.perf_counter()
            with spent("compose"):
                choices = make_choices(cfg)
            known = costs(self.bench, cfg, choices, self.goals.quantities)
            report(0, known)
            follower = Follower(run, self.say, prefix or "trial", report, known)
            result = self._validate(run, cfg, choices, follower, reproduce)
            fitted = time.perf_counter()
            self._log(run, result, known)
            logged = time.perf_counter()
            parts = {
                "propose": proposal.seconds,
                "compose": composed - started,
                "fit": fitted - described,
                "log": logged - fitted + described - composed,
            }
            parts["whole trial"] = sum(parts.values())
            run.log_metrics({f"seconds/{part}": seconds for part, seconds in parts.items()})
            # Before the run ends: were it the other way round, a kill in between would have the trial done again.
            report.finished({**result.means, **known})
        for part, seconds in parts.items():
            self.clock.add(part, seconds)
        return {**result.means, **known}

    def _tags(self, cfg: DictConfig, proposal: Proposal, reproduce: str) -> dict[str, str]:
        return {
            **provenance(int(cfg.seed)),
            **attempt_tags(self.study, proposal.number, proposal.attempt),
            "wellai.stage": self.stage,
            "wellai.data_digest": self.bench.manifest.digest,
            "wellai.reproduce": reproduce,
        }

    @spent("fit")
    def _validate(
        self, run: Run, cfg: DictConfig, choices: Choices, follower: Follower, reproduce: str
    ) -> CrossValidation:
        """Validate; a trial that is pruned leaves its model in the run all the same."""
        task = self.bench.task(cfg)
        try:
            result = task.cross_validate(choices, follower)
        except Pruned as error:
            self._keep_model(run, cfg, choices, task, reproduce)
            run.set_tags({"wellai.pruned": str(error)})
            run.finish("KILLED")
            raise
        self._keep_model(run, cfg, choices, task, reproduce)
        return result

    def _keep_model(self, run: Run, cfg: DictConfig, choices: Choices, task: Task, reproduce: str) -> None:
        """Log the model of a fine-tuning trial; a probe's can be had from its line in a second."""
        if not isinstance(task, FineTuneTask):
            return
        fitted = task.interim(choices)
        if fitted is not None:
            log_model(self.bench, run, cfg, choices, fitted, reproduce)

    @staticmethod
    def _log(run: Run, result: CrossValidation, known: dict[str, float]) -> None:
        folds = ({f"cv/{metric}": value for metric, value in metrics.items()} for metrics in result.folds)
        run.log_steps(dict(enumerate(folds)))
        whole = {f"cv/{metric}": value for metric, value in result.metrics.items()}
        whole |= {f"cost/{name}": value for name, value in known.items()}
        if result.epochs:
            whole["epochs"] = result.epochs
        run.log_metrics(whole)
        if result.notes:
            run.log_text("\n".join(result.notes) + "\n", "notes.txt")
