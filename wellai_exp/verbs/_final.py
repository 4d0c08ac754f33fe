"""Before one wins: the best are trained again with other seeds, and the winner on all training images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np
from omegaconf import DictConfig, OmegaConf

from wellai_exp.config import Composer, build, config_text
from wellai_exp.errors import SettingError
from wellai_exp.evaluation import seeds_figure, seeds_table
from wellai_exp.ledger import spent
from wellai_exp.report import Section, seeds_section
from wellai_exp.search import Candidate
from wellai_exp.tracking import Run
from wellai_exp.training import Teacher, member_seed
from wellai_exp.verbs._evaluated import evaluation_of, log_evaluation
from wellai_exp.verbs._follow import Follower, Say
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._trial import run_name
from wellai_exp.verbs._winner import Winner, fit_and_evaluate
from wellai_exp.verbs._workbench import Workbench, make_choices

Scores = Mapping[str, float]


@dataclass(frozen=True)
class FinalSettings:
    """How a winner is found among the best, and what becomes of it.

    Parameters
    ----------
    candidates : int
        How many of the best are trained again before one wins.
    confirmations : int
        With how many seeds each.
    seeds : int
        How often the winner is trained on all training images.
    soup : bool
        Whether the average of their weights is registered, and not the first.
    """

    candidates: int
    confirmations: int
    seeds: int
    soup: bool

    @classmethod
    def of(cls, cfg: DictConfig) -> FinalSettings:
        """Read them from the command's config.

        Raises
        ------
        SettingError
            Naming ``confirm`` or ``final`` and the setting.
        """

        def count(setting: str, value: object) -> int:
            return whole_number(setting, value, f"set {setting}=1", least=1)

        seeds, soup = count("final.seeds", cfg.final.seeds), cfg.final.soup
        if not isinstance(soup, bool):
            raise SettingError("final.soup", soup, "it must be true or false", "set final.soup=false")
        if soup and seeds < 2:
            raise SettingError(
                "final.soup", soup, "one training is its own average", "set final.seeds=3, or final.soup=false"
            )
        return cls(
            count("confirm.candidates", cfg.confirm.candidates),
            count("confirm.seeds", cfg.confirm.seeds),
            seeds,
            soup,
        )


@dataclass(frozen=True)
class Finalist:
    """One of the best trials of a stage that may win.

    Parameters
    ----------
    stage : str
        The stage; empty where there is one search only.
    composer : Composer
        Of that stage.
    trial : Candidate
        The trial.
    scores : tuple of mapping
        Validation metrics, one for each seed it was trained with.
    """

    stage: str
    composer: Composer
    trial: Candidate
    scores: tuple[Scores, ...] = field(default=())

    @property
    def name(self) -> str:
        """How a table calls it."""
        return f"{self.stage} {self.trial.number:04d}".strip()

    @property
    def cfg(self) -> DictConfig:
        """Its composed config."""
        return self.composer.trial(self.trial.overrides)

    @property
    def reproduce(self) -> str:
        """The line that runs it again."""
        return self.composer.reproduce(self.trial.overrides)

    def longer(self, overrides: Sequence[str]) -> Finalist:
        """Give it with what the final training changes."""
        trial = replace(self.trial, overrides=(*self.trial.overrides, *overrides))
        return replace(self, trial=trial)

    def mean(self, metric: str) -> float:
        """Give the mean of a metric over the seeds."""
        return float(np.mean([scores[metric] for scores in self.scores]))


def best_of_stages(stages: Sequence[Sequence[Finalist]], k: int) -> list[Finalist]:
    """Give k finalists, best first: the best of each stage as far as they go, then the best of the others.

    A stage with many cheap trials would otherwise take every place with variants of one lucky network.

    Parameters
    ----------
    stages : sequence of sequence of Finalist
        Each stage's, best first.
    k : int
        How many at most.
    """

    def value(finalist: Finalist) -> float:
        return finalist.trial.value

    leaders = sorted((found[0] for found in stages if found), key=value, reverse=True)
    others = sorted((each for found in stages for each in found[1:]), key=value, reverse=True)
    return sorted([*leaders, *others][:k], key=value, reverse=True)


@dataclass(frozen=True)
class Finals:
    """The last rounds of a sweep.

    Parameters
    ----------
    bench : Workbench
        Data and tools.
    parent : Run
        The sweep's run.
    say : callable
        Shows a text while a network trains.
    objective : str
        The metric by whose mean one wins.
    """

    bench: Workbench
    parent: Run
    say: Say
    objective: str

    @property
    def settings(self) -> FinalSettings:
        """How many of the best, how often."""
        return FinalSettings.of(self.bench.cfg)

    def key(self, finalists: Sequence[Finalist]) -> str:
        """Name the finalists and what is to become of them: other seeds, or a student, are another end."""
        names = ", ".join(finalist.name for finalist in finalists)
        ends = {key: self.bench.cfg[key] for key in ("confirm", "final", "distill")}
        return f"{names} {hashlib.sha256(config_text(OmegaConf.create(ends)).encode()).hexdigest()[:12]}"

    @spent("fit")
    def confirm(self, finalists: Sequence[Finalist]) -> Finalist:
        """Train each with several seeds and give the one with the best mean on validation images.

        The best of many trials is the luckiest of them too; another seed has another luck.
        """
        seeds = self.settings.confirmations
        if len(finalists) == 1 and seeds == 1:
            return finalists[0]
        scored = [self._scored(finalist, seeds) for finalist in finalists]
        runs = {finalist.name: list(finalist.scores) for finalist in scored}
        self.parent.log_table(seeds_table(runs), "confirm/seeds.csv")
        self.parent.log_figure(seeds_figure(runs, self.objective), "confirm/seeds.png")
        return max(scored, key=lambda finalist: finalist.mean(self.objective))

    def _scored(self, finalist: Finalist, seeds: int) -> Finalist:
        cfg = finalist.cfg
        choices, task = make_choices(cfg), self.bench.task(cfg)
        scores = []
        for index in range(seeds):
            seed = member_seed(int(cfg.seed), index)
            title = f"confirm {finalist.name} seed {index + 1}"
            with self._child(title, cfg, finalist, "confirmation", seed) as run:
                result = task.cross_validate(choices, Follower(run, self.say, title), seed=seed)
                run.log_metrics({f"cv/{name}": value for name, value in result.means.items()})
                scores.append(result.means)
        return Finalist(finalist.stage, finalist.composer, finalist.trial, tuple(scores))

    def train(self, finalist: Finalist) -> list[Winner]:
        """Train the winner on train and validation together, once a seed; each is a run of its own."""
        cfg = finalist.cfg
        if self.settings.soup:
            self.bench.task(cfg).check_soup(make_choices(cfg))
        epochs = self._epochs(cfg)
        return [self._fit(finalist, cfg, index, epochs) for index in range(self.settings.seeds)]

    def _epochs(self, cfg: DictConfig) -> int | None:
        """Give the epochs that validation chose, where it was to choose any; None for all."""
        if getattr(build(cfg, "regime"), "patience", None) is None:
            return None
        return self.bench.task(cfg).cross_validate(make_choices(cfg)).epochs or None

    def _fit(self, finalist: Finalist, cfg: DictConfig, index: int, epochs: int | None) -> Winner:
        seed = member_seed(int(cfg.seed), index)
        title = f"final seed {index + 1}"
        with self._child(title, cfg, finalist, "final", seed) as run:
            winner = fit_and_evaluate(self.bench, cfg, Follower(run, self.say, title), seed=seed, epochs=epochs)
            log_evaluation(run, winner.evaluation, "test")
        return winner

    def soup(self, finalist: Finalist, winners: Sequence[Winner]) -> Winner:
        """Give the average of the winners' weights: as fast as one of them, and mostly better than each."""
        first = winners[0]
        with self._child("soup", first.cfg, finalist, "soup", int(first.cfg.seed)) as run:
            fitted = self.bench.task(first.cfg).soup([winner.fitted for winner in winners])
            evaluation = evaluation_of(self.bench.manifest, fitted.probabilities)
            log_evaluation(run, evaluation, "test")
        return Winner(first.cfg, first.choices, fitted, evaluation, len(winners))

    def baseline(self, cfg: DictConfig, reproduce: str) -> Winner:
        """Train the winner's configuration without its imbalance strategy."""
        title = "final without its strategy"
        tags = {**provenance(int(cfg.seed)), "wellai.kind": "baseline", "wellai.reproduce": reproduce}
        with self.bench.tracker.run(title, parent=self.parent.id, tags=tags) as run:
            winner = fit_and_evaluate(self.bench, cfg, Follower(run, self.say, title))
            log_evaluation(run, winner.evaluation, "test")
        return winner

    def distil(self, finalist: Finalist, winners: Sequence[Winner], overrides: Sequence[str]) -> tuple[Winner, str]:
        """Train a small student on what the winners say; gives it and the line of its configuration."""
        settings = self.bench.cfg.distill
        teacher = Teacher(
            tuple(winner.fitted.model() for winner in winners), float(settings.weight), float(settings.temperature)
        )
        changed = (*finalist.trial.overrides, *overrides)
        cfg = finalist.composer.trial(changed)
        if cfg.backbone == finalist.cfg.backbone:
            raise SettingError(
                "distill.student",
                list(overrides),
                "the student is its teacher",
                "name another backbone, e.g. [backbone=NAME]",
            )
        with self._child("student", cfg, finalist, "student", int(cfg.seed)) as run:
            winner = fit_and_evaluate(self.bench, cfg, Follower(run, self.say, "student"), teacher=teacher)
            log_evaluation(run, winner.evaluation, "test")
        return winner, finalist.composer.reproduce(changed)

    @spent("plot")
    def report(self, winners: Sequence[Winner], soup: Winner | None) -> tuple[dict[str, float], list[Section]]:
        """Log each test metric's mean and spread over the seeds; gives them and their section of the report.

        Of a single seed there is nothing to say.
        """
        if len(winners) == 1:
            return {}, []
        runs = {"winner": [winner.test for winner in winners]}
        if soup:
            runs[f"average of {len(winners)} trainings"] = [soup.test]
        table = seeds_table(runs)
        self.parent.log_table(table, "test/seeds.csv")
        figure = seeds_figure(runs, self.objective)
        self.parent.log_figure(figure, "test/seeds.png")
        by_metric = table[table["candidate"] == "winner"].set_index("metric")
        spread = {
            f"test_{part}/{name}": float(value) for part in ("mean", "std") for name, value in by_metric[part].items()
        }
        self.parent.log_metrics(spread)
        return spread, [seeds_section(table, figure)]

    def _child(
        self, title: str, cfg: DictConfig, finalist: Finalist, kind: str, seed: int
    ) -> AbstractContextManager[Run]:
        tags = {
            **provenance(seed),
            "wellai.kind": kind,
            "wellai.data_digest": self.bench.manifest.digest,
            "wellai.reproduce": finalist.reproduce,
        }
        name = run_name(cfg, tuple(finalist.trial.overrides), finalist.composer, title)
        return self.bench.tracker.run(name, parent=self.parent.id, tags=tags)
