"""One stage of a sweep: its study, its trials, what it logs, what it hands on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd
from omegaconf import DictConfig

from wellai_exp.config import Composer, build
from wellai_exp.errors import SettingError
from wellai_exp.evaluation import (
    history_figure,
    importance_figure,
    leaderboard,
    leaderboard_figure,
    learning_curves_figure,
    pareto_figure,
    ranking_figure,
    worth_figure,
    worth_table,
)
from wellai_exp.ledger import spent
from wellai_exp.report import Section, SweepFacts, sweep_sections
from wellai_exp.search import Search, Study, SweepFailed
from wellai_exp.tracking import Run
from wellai_exp.training import Probe
from wellai_exp.verbs._final import Finalist
from wellai_exp.verbs._ranking import Prior, rank_backbones
from wellai_exp.verbs._stages import Stage
from wellai_exp.verbs._workbench import TRIAL_GROUPS, Workbench

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRATEGY_GROUP = "imbalance"


def check_stages(stages: Sequence[Stage], composer: Composer) -> None:
    """Compose every search, as it will be: a setting that is wrong is told before the data are read.

    What a stage takes over from an earlier one is not known yet, nor is its space.
    """
    for stage in stages:
        own, cfg, search = _composed(stage, composer)
        _check_pruner(stage, cfg)
        if stage.start is None:
            search.check(own.space(search, {}))
        else:
            search.make_sampler(0)


def _check_pruner(stage: Stage, cfg: DictConfig) -> None:
    """Refuse a pruner that would never be asked: a probe has no epochs, and tells of its folds only at its rungs."""
    regime = build(cfg, "regime")
    decided_later = any(key.split(".")[0] == "regime" for key in cfg.search.space)
    decided_earlier = stage.start is not None and "regime" in stage.start.take
    if cfg.search.pruner is None or decided_later or decided_earlier or not isinstance(regime, Probe) or regime.rungs:
        return
    raise SettingError(
        "search.pruner",
        cfg.search.pruner.get("_target_"),
        "a probe fits all folds at once, so that there is nothing to stop",
        "add regime.rungs=[1,2] to judge it after one and two folds, or set search.pruner=null",
    )


def _composed(stage: Stage, composer: Composer) -> tuple[Composer, DictConfig, Search]:
    own = composer.within(stage.overrides)
    cfg = stage.settings(own.trial(()))
    return own, cfg, build(cfg, "search")


@dataclass(frozen=True)
class StageRun:
    """A stage under way.

    Parameters
    ----------
    stage : Stage
        What it is.
    bench : Workbench
        Data and tools.
    composer : Composer
        Composes its trials.
    search : Search
        Its search's settings.
    study : Study
        Its memory.
    prior : Prior or None
        What ranking the backbones gave.
    """

    stage: Stage
    bench: Workbench
    composer: Composer
    search: Search
    study: Study
    prior: Prior | None = None

    @classmethod
    def begin(
        cls, stage: Stage, bench: Workbench, composer: Composer, name: str, earlier: Mapping[str, StageRun]
    ) -> StageRun:
        """Compose the stage and make its study; nothing is trained yet but what a ranking needs."""
        own, cfg, search = _composed(stage, composer)
        carried = earlier[stage.start.stage].carried(stage) if stage.start else {}
        space = own.space(search, carried)
        search.check(space)
        prior = rank_backbones(bench, own, cfg, space)
        space = prior.narrowed(space) if prior else space
        study = Study(
            search,
            space,
            search.study or cls._study_name(stage, name, carried),
            bench.store,
            int(cfg.seed),
            prior.points if prior else (),
        )
        return cls(stage, bench, own, search, study, prior)

    @staticmethod
    def _study_name(stage: Stage, name: str, carried: Mapping[str, tuple[str, ...]]) -> str:
        """Name the study after the sweep's; what was handed on belongs to it, for its choices stand for that."""
        if not stage.name:
            return name
        decides = json.dumps([stage.overrides, {key: list(value) for key, value in carried.items()}], sort_keys=True)
        return f"{name}-{stage.name}-{hashlib.sha256(decides.encode()).hexdigest()[:6]}"

    def carried(self, receiver: Stage) -> dict[str, tuple[str, ...]]:
        """Give the best configurations as `receiver` takes them over: a name -> overrides, no two alike."""
        start = receiver.start
        if start is None:
            return {}
        found: dict[tuple[str, ...], str] = {}
        for each in self.study.top(self.study.finished):
            found.setdefault(start.taken(each.overrides), f"{self.stage.name}-{each.number:04d}")
        return {name: overrides for overrides, name in list(found.items())[: start.top]}

    @property
    def where(self) -> str:
        """The folder of its artifacts in the sweep's run."""
        return f"search/{self.stage.name}" if self.stage.name else "search"

    @property
    def groups(self) -> list[str]:
        """The config groups that are searched."""
        return [group for group in TRIAL_GROUPS if group in self.study.space.active]

    @property
    def objective(self) -> str:
        """The first objective."""
        return self.search.goals.first

    @property
    def label(self) -> str:
        """The objective as an axis should name it."""
        return f"validation {self.objective.replace('auc_pr', 'AUC-PR').replace('_', ' ')}"

    def trials(self) -> pd.DataFrame:
        """Give the finished trials as evaluation wants them: the objective, and one column a searched key."""
        return self.study.trials().drop(columns=list(self.study.outcome_columns))

    def finalists(self, k: int) -> list[Finalist]:
        """Give the best trials that may win.

        Raises
        ------
        NothingFeasible
            Where none keeps the constraints.
        """
        self.study.best()
        return [Finalist(self.stage.name, self.composer, trial) for trial in self.study.top(k)]

    def baseline_of(self, group: str) -> str:
        """Give the option of a group that counts as doing nothing."""
        return str(self.search.baseline.get(group, self.composer.chosen(())[group]))

    def summary(self) -> dict[str, object]:
        """Give one line of what the stage came to: the best of each that may win is what decides between them."""
        table = self.study.trials()
        best = None if self._best is None else self.study.best()
        return {
            "stage": self.stage.name,
            "trials": len(table),
            "pruned": int((table["state"] == "PRUNED").sum()),
            "failed": int((table["state"] == "FAIL").sum()),
            "epochs": int(table["epochs"].sum()),
            "metric": self.objective,
            "best": float("nan") if best is None else best.value,
            "trial": -1 if best is None else best.number,
            "may_win": self.stage.wins,
            "overrides": "" if best is None else " ".join(best.overrides),
        }

    @property
    def _best(self) -> int | None:
        """The best trial's number; None where there is none, or none keeps the constraints."""
        try:
            return self.study.best().number
        except SweepFailed:
            return None

    @spent("plot")
    def report(self, parent: Run) -> None:
        """Log leaderboard, history, importances, curves, trade-offs, and what each option was worth."""
        trials, table = self.trials(), self.study.trials()
        stage = f"{self.stage.name}/" if self.stage.name else ""
        counts = {"finished": len(trials), "failed": int((trials["state"] == "FAIL").sum())}
        counts |= {"pruned": int((trials["state"] == "PRUNED").sum()), "epochs": int(table["epochs"].sum())}
        parent.log_metrics({f"trials/{stage}{name}": value for name, value in counts.items()})
        parent.log_table(leaderboard(trials, top=len(trials)), f"{self.where}/leaderboard.csv")
        parent.log_figure(leaderboard_figure(trials, objective=self.label), f"{self.where}/leaderboard.png")
        # A pruned trial has no value, but a place in the history: where it was stopped.
        reached = table.assign(value=table["value"].fillna(table["last"]))[list(trials.columns)]
        parent.log_figure(history_figure(reached, objective=self.label), f"{self.where}/history.png")
        if self._importances:
            parent.log_figure(importance_figure(self._importances), f"{self.where}/importances.png")
        curves = self.study.curves()
        if len(curves):
            parent.log_table(curves, f"{self.where}/learning_curves.csv")
            figure = learning_curves_figure(curves, objective=self.label, best=self._best)
            parent.log_figure(figure, f"{self.where}/learning_curves.png")
        for name, figure in self._trade_offs.items():
            parent.log_figure(figure, f"{self.where}/trade_off_{name}.png")
        if self.prior is not None:
            parent.log_table(self.prior.table, f"{self.where}/ranking.csv")
            figure = ranking_figure(self.prior.table, self.prior.score_name, keep=self.prior.keep)
            parent.log_figure(figure, f"{self.where}/ranking.png")
        for group, worth in self.worth.items():
            parent.log_table(worth, f"{self.where}/worth_{group}.csv")
            parent.log_figure(self._worth_figures[group], f"{self.where}/worth_{group}.png")

    @spent("plot")
    def sections(self) -> list[Section]:
        """Give what a report says of it."""
        facts = SweepFacts(
            trials=self.trials(),
            objective=self.label,
            worth=self.worth,
            worth_figures=self._worth_figures,
            importances=self._importances,
            trade_offs={f"{self.label} against {name}": each for name, each in self._trade_offs.items()},
        )
        return [
            replace(section, title=f"{self.stage.name}: {section.title}" if self.stage.name else section.title)
            for section in sweep_sections(facts)
        ]

    # What follows is of the finished search: its run keeps it, and the report shows it again.

    @cached_property
    def worth(self) -> dict[str, pd.DataFrame]:
        """What each option of each searched group was worth, by group."""
        trials = self.trials()
        return {group: worth_table(trials, group=group, baseline=self.baseline_of(group)) for group in self.groups}

    @cached_property
    def _worth_figures(self) -> dict[str, Figure]:
        return {
            group: worth_figure(found, group, baseline=self.baseline_of(group), objective=self.label)
            for group, found in self.worth.items()
        }

    @cached_property
    def _importances(self) -> dict[str, float]:
        return self.study.importances()

    @cached_property
    def _trade_offs(self) -> dict[str, Figure]:
        """The Pareto front against each further goal, with the winner and who would win without constraints."""
        table = self.study.trials()
        others = [name for name in self.search.goals.quantities if name != self.objective]
        if not others or not (table["state"] == "COMPLETE").any():
            return {}
        free, winner = self.study.best(unconstrained=True).number, self._best
        goals = self.search.goals
        bounds = {each.name: (each.sign, each.bound) for each in goals.constraints}
        figures = {}
        for name in others:
            upwards = name in goals.maximize or (name not in goals.minimize and bounds[name][0].startswith(">"))
            figures[name] = pareto_figure(
                table,
                name,
                self.objective,
                constraints=bounds,
                winner=winner,
                unconstrained=free,
                x_goal="maximize" if upwards else "minimize",
            )
        return figures
