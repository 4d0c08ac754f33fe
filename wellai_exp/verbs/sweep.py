"""Search an experiment, evaluate the best on the test split, register it, and say what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from wellai_exp import stopping
from wellai_exp.config import Composer, build
from wellai_exp.evaluation import (
    history_figure,
    importance_figure,
    leaderboard,
    leaderboard_figure,
    worth_figure,
    worth_table,
)
from wellai_exp.search import Search, Study
from wellai_exp.tracking import Run
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import Closing, profile_table, trial_progress
from wellai_exp.verbs._trial import Clock, TrialRunner
from wellai_exp.verbs._winner import Winner, fit_and_evaluate, log_winner, register
from wellai_exp.verbs._workbench import TRIAL_GROUPS, Workbench, log_data, study_name

STRATEGY_GROUP = "imbalance"


@dataclass(frozen=True)
class Sweep:
    """A sweep under way.

    Parameters
    ----------
    bench : Workbench
        Data and tools.
    composer : Composer
        Composes trials.
    search : Search
        The search's settings.
    study : Study
        Its memory.
    console : rich.console.Console
        Where it speaks.
    """

    bench: Workbench
    composer: Composer
    search: Search
    study: Study
    console: Console

    @property
    def cfg(self) -> DictConfig:
        """The command's config."""
        return self.bench.cfg

    @property
    def groups(self) -> list[str]:
        """The config groups that are searched."""
        return [group for group in TRIAL_GROUPS if group in self.study.space.active]

    def run(self) -> None:
        """Do what is left of it."""
        tracker = self.bench.tracker
        mine = {"wellai.study": self.study.name, "wellai.kind": "sweep"}
        earlier = tracker.find_run(mine)
        tags = {**provenance(int(self.cfg.seed)), **mine, "wellai.data_digest": self.bench.manifest.digest}
        with self.study.opened(), self._run(earlier, tags) as parent:
            if earlier is None:
                self._describe(parent)
            elif self.study.finished:
                self.console.print(f"going on after {self.study.finished} of {self.search.n_trials} trials")
            clock = Clock()
            runner = TrialRunner(self.bench, self.composer, parent, self.study.name, self.search.objective, clock)
            with trial_progress(self.study, self.console) as finished:
                self.study.run(runner, finished)
            stopping.check()
            self._report(parent)
            closing = self._finish(parent)
        closing.show(self.console)
        if self.cfg.profile and clock.seconds:
            self.console.print(profile_table(clock.seconds))
        self.console.print(f"features computed in this run: {self.bench.task.features.computed}", highlight=False)

    @property
    def _objective(self) -> str:
        """The objective as an axis should name it."""
        return f"cross-validated {self.search.objective.replace('auc_pr', 'AUC-PR').replace('_', ' ')}"

    @contextmanager
    def _run(self, earlier: str | None, tags: dict[str, str]) -> Iterator[Run]:
        """Open the sweep's run, or take it up again once the runs of a stopped process are mended."""
        tracker = self.bench.tracker
        if earlier is not None:
            complete = set(self.study.trials().query("state == 'COMPLETE'")["number"].astype(int))
            tracker.reconcile(earlier, lambda child: int(child.get("wellai.trial", -1)) in complete)
        with tracker.run(f"sweep {self.cfg.name}", tags=tags, resume=earlier) as parent:
            yield parent

    def _describe(self, parent: Run) -> None:
        parent.log_params(
            {
                "data": self.bench.manifest.name,
                "search.n_trials": self.search.n_trials,
                "search.objective": self.search.objective,
                **{f"search.space.{key}": value for key, value in self.search.space.items()},
            }
        )
        parent.log_text(OmegaConf.to_yaml(self.cfg, resolve=True), "config.yaml")
        parent.log_text(shlex.join(["wellai-exp", "sweep", *self.composer.overrides]) + "\n", "command.txt")
        log_data(parent, self.bench.manifest)

    def _trials(self) -> pd.DataFrame:
        """Give the finished trials as evaluation wants them: the objective, and one column a searched key."""
        return self.study.trials().drop(columns="overrides")

    def _report(self, parent: Run) -> None:
        """Log leaderboard, history, importances, and what each option was worth."""
        trials = self._trials()
        parent.log_metrics({"trials/finished": len(trials), "trials/failed": int((trials["state"] == "FAIL").sum())})
        parent.log_table(leaderboard(trials, top=len(trials)), "search/leaderboard.csv")
        parent.log_figure(leaderboard_figure(trials, objective=self._objective), "search/leaderboard.png")
        parent.log_figure(history_figure(trials, objective=self._objective), "search/history.png")
        importances = self.study.importances()
        if importances:
            parent.log_figure(importance_figure(importances), "search/importances.png")
        for group in self.groups:
            table, baseline = self._worth(trials, group), self._baseline(group)
            parent.log_table(table, f"search/worth_{group}.csv")
            figure = worth_figure(table, group, baseline=baseline, objective=self._objective)
            parent.log_figure(figure, f"search/worth_{group}.png")

    def _baseline(self, group: str) -> str:
        return str(self.search.baseline.get(group, self.composer.chosen(())[group]))

    def _worth(self, trials: pd.DataFrame, group: str) -> pd.DataFrame:
        return worth_table(trials, group=group, baseline=self._baseline(group))

    def _finish(self, parent: Run) -> Closing:
        """Fit, evaluate and register the winner, unless this very winner has been already."""
        number, overrides, value = self.study.best()
        reproduce = self.composer.reproduce(overrides)
        winner = fit_and_evaluate(self.bench, self.composer.trial(overrides))
        baseline = fit_and_evaluate(self.bench, self.composer.trial(self._without_strategy(overrides)))
        tags = self.bench.tracker.get(parent.id).tags
        if tags.get("wellai.winner") != str(number):
            uri = log_winner(self.bench, parent, winner, reproduce)
            parent.log_metrics({f"baseline/{name}": metric for name, metric in baseline.test.items()})
            parent.log_metrics({f"best/cv_{self.search.objective}_mean": value})
            version = str(self._register(parent, uri, winner, reproduce)) if self.cfg.register else ""
            parent.set_tags({"wellai.winner": str(number), "wellai.reproduce": reproduce, "wellai.version": version})
        else:
            version = tags.get("wellai.version", "")
        trials = self._trials()
        return Closing(
            board=leaderboard(trials),
            worth=self._worth(trials, STRATEGY_GROUP) if STRATEGY_GROUP in self.groups else None,
            groups=self.groups,
            objective=self.search.objective,
            winner=winner.test,
            baseline=baseline.test,
            reproduce=reproduce,
            place=self._place(version),
            commands=self._next(version),
        )

    def _register(self, parent: Run, uri: str, winner: Winner, reproduce: str) -> int:
        tags = {
            "wellai.study": self.study.name,
            "wellai.data_digest": self.bench.manifest.digest,
            "wellai.reproduce": reproduce,
        }
        return register(self.bench, parent, uri, winner, tags)

    @staticmethod
    def _without_strategy(overrides: tuple[str, ...]) -> list[str]:
        kept = [override for override in overrides if not override.startswith(f"{STRATEGY_GROUP}.")]
        return [override for override in kept if not override.startswith(f"{STRATEGY_GROUP}=")] + [
            f"{STRATEGY_GROUP}=none"
        ]

    def _place(self, version: str) -> str:
        tracking = self.cfg.tracking
        if not version:
            return "Not registered, as register=false asks; the model lies in the sweep's run."
        return f"Registered: {tracking.registered_name} version {version}, alias {tracking.alias}"

    def _next(self, version: str) -> tuple[str, ...]:
        store = f" paths.store={self.cfg.paths.store}" if str(self.cfg.paths.store) != "mlruns" else ""
        ui = f"wellai-exp ui{store}"
        if not version:
            return (ui,)
        return ui, f"wellai-exp promote {shlex.quote(str(self.cfg.tracking.registered_name))}{store}"


def run(cfg: DictConfig) -> None:
    """Run or go on with the sweep that the command describes."""
    composer = Composer.running()
    search: Search = build(cfg, "search")
    space = composer.space(search)
    bench = Workbench.open(cfg)
    name = search.study or study_name(cfg, bench.manifest)
    study = Study(search, space, name, bench.store, int(cfg.seed))
    Sweep(bench, composer, search, study, Console()).run()
