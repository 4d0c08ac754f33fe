"""Sweeps side by side: what each option was worth, by several metrics, from the trials that MLflow keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wellai_exp.errors import DataError, SettingError
from wellai_exp.evaluation import FALLING, worth_by_metric, worth_by_metric_figure
from wellai_exp.tracking import Run, RunRecord, Tracker
from wellai_exp.verbs._subjects import SweepSubject
from wellai_exp.verbs._workbench import TRIAL_GROUPS

# What may differ between trials besides the groups compared, and is held equal for them.
_HELD_EQUAL = ("regime", "stage")
_NOT_METRICS = ["number", "seconds", "value"]
_SHOWN = ("auc_pr_macro", "balanced_accuracy", "accuracy")


@dataclass(frozen=True)
class SweepTrials:
    """A sweep and its trials.

    Parameters
    ----------
    name : str
        As it was typed.
    run : RunRecord
        The sweep's run.
    trials : DataFrame
        As `wellai_exp.evaluation.worth_by_metric` wants them: one column for each config group, and one for each
        validation metric, its mean over the folds.
    """

    name: str
    run: RunRecord
    trials: pd.DataFrame

    @classmethod
    def read(cls, tracker: Tracker, sweep: SweepSubject) -> SweepTrials:
        """Read the trials that ended; those cut off with their process are done again by the sweep, and left out.

        Raises
        ------
        DataError
            Where none has ended.
        """
        objective = _objective(sweep.run)
        children = tracker.within(sweep.run.experiment).children(sweep.run.id)
        rows = [row for child in children if (row := _trial(child, objective)) is not None]
        if not rows:
            raise DataError(f"models={sweep.name}: no trial of this sweep has ended; let it run, or name another.")
        return cls(sweep.name, sweep.run, pd.DataFrame(rows).rename_axis("number").reset_index())

    @property
    def objective(self) -> str:
        """What the sweep maximised first."""
        return _objective(self.run)

    def having(self, metrics: Sequence[str]) -> list[str]:
        """Give those of the metrics that any trial has."""
        measured = self.trials.select_dtypes("number").dropna(axis=1, how="all").columns.difference(_NOT_METRICS)
        return [name for name in metrics if name in measured]

    def options(self, group: str) -> pd.Series[int]:
        """Count the finished trials of each option of a group."""
        if group not in self.trials.columns:
            return pd.Series(dtype=int)
        done = self.trials.loc[self.trials["state"] == "COMPLETE", group]
        return done.value_counts()

    def summary(self) -> dict[str, object]:
        """Give one line of what the sweep came to."""
        states = self.trials["state"]
        values = self.trials.loc[states == "COMPLETE", "value"]
        test = {f"test/{name}": self.run.metrics.get(f"test/{name}", math.nan) for name in _SHOWN}
        return {
            "sweep": self.name,
            "trials": len(states),
            "pruned": int((states == "PRUNED").sum()),
            "failed": int((states == "FAIL").sum()),
            "objective": self.objective,
            "best": values.max(),
            "median": values.median(),
            **test,
        }


def _objective(run: RunRecord) -> str:
    """Read the first objective from how a name or a list of names is logged."""
    names: list[str] = re.findall(r"\w+", run.params.get("search.maximize", "auc_pr_macro"))
    return names[0]


def _trial(run: RunRecord, objective: str) -> dict[str, object] | None:
    if run.tags.get("wellai.kind") != "trial":
        return None
    states = {"FINISHED": "COMPLETE", "FAILED": "FAIL"}
    state = "PRUNED" if "wellai.pruned" in run.tags else states.get(run.status)
    if state is None:
        return None
    metrics = {
        name.removeprefix("cv/").removesuffix("_mean"): value
        for name, value in run.metrics.items()
        if name.startswith("cv/") and name.endswith("_mean")
    }
    return {
        "state": state,
        "seconds": run.metrics.get("seconds/whole trial", math.nan),
        "reason": run.tags.get("error", ""),
        "stage": run.tags.get("wellai.stage", ""),
        **{group: run.params.get(group) for group in (*TRIAL_GROUPS, "regime")},
        **metrics,
        "value": metrics.get(objective, math.nan),
    }


@dataclass(frozen=True)
class SweepComparison:
    """What the options of each group were worth in each sweep.

    Parameters
    ----------
    sweeps : sequence of SweepTrials
        Those compared.
    metrics : sequence of str
        To compare by, as far as the trials have them.
    baseline : mapping of str to str
        Group -> the option that counts as doing nothing.

    Raises
    ------
    SettingError
        Where a sweep's trials have none of the metrics.
    """

    sweeps: Sequence[SweepTrials]
    metrics: Sequence[str]
    baseline: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name in FALLING:
                raise SettingError(
                    "metrics", name, "it falls as a model improves, and gains are told", "name scores that rise"
                )
        for sweep in self.sweeps:
            if not sweep.having(self.metrics):
                raise SettingError(
                    "metrics",
                    f"[{','.join(self.metrics)}]",
                    f"the trials of {sweep.name} have none of them",
                    f"name what it maximised, metrics=[{sweep.objective}]",
                )

    @property
    def experiment(self) -> str:
        """MLflow's id of the experiment of the first sweep."""
        return self.sweeps[0].run.experiment

    @property
    def groups(self) -> list[str]:
        """The groups that some sweep has several options of."""
        return [group for group in TRIAL_GROUPS if any(len(sweep.options(group)) > 1 for sweep in self.sweeps)]

    def baseline_of(self, group: str) -> str:
        """Give what counts as nothing: the option configured, or the one that most sweeps and most trials have.

        Against the option with the most trials the intervals are narrowest.
        """
        counted = [sweep.options(group) for sweep in self.sweeps]
        # A sweep with one option says nothing of its worth.
        counts = pd.concat([each for each in counted if len(each) > 1], axis=1).sort_index()
        named = self.baseline.get(group)
        if named in counts.index:
            return str(named)
        ranked = pd.DataFrame({"sweeps": counts.notna().sum(axis=1), "trials": counts.sum(axis=1)})
        return str(ranked.sort_values(["sweeps", "trials"], ascending=False, kind="stable").index[0])

    def worth(self, group: str) -> dict[str, pd.DataFrame]:
        """Give the table of each sweep that has several options of a group, by the sweep's name."""
        baseline, found = self.baseline_of(group), {}
        for sweep in self.sweeps:
            metrics = sweep.having(self.metrics)
            if len(sweep.options(group)) > 1:
                factors = [name for name in (*TRIAL_GROUPS, *_HELD_EQUAL) if sweep.trials[name].nunique() > 1]
                needed = sweep.trials[["number", "state", "value", "seconds", "reason", *factors, *metrics]]
                found[sweep.name] = worth_by_metric(needed, metrics, group, baseline)
        return found

    def log(self, run: Run) -> None:
        """Log the tables, one figure a group, and each sweep's line."""
        run.log_table(pd.DataFrame([sweep.summary() for sweep in self.sweeps]), "sweeps.csv")
        for group in self.groups:
            worth = self.worth(group)
            baseline = self.baseline_of(group)
            whole = pd.concat([table.assign(sweep=sweep) for sweep, table in worth.items()], ignore_index=True)
            run.log_table(whole, f"worth_{group}.csv")
            run.log_figure(worth_by_metric_figure(worth, group, baseline=baseline), f"worth_{group}.png")

    def show(self, console: Console) -> None:
        """Print each sweep's line, then a table a group."""
        console.print(_summaries(self.sweeps))
        for group in self.groups:
            console.print(_worth_screen(self.worth(group), group, self.baseline_of(group)))


def _summaries(sweeps: Sequence[SweepTrials]) -> Table:
    table = Table(title="Sweeps", title_justify="left")
    lines = [sweep.summary() for sweep in sweeps]
    for name in lines[0]:
        table.add_column(name, justify="left" if name in ("sweep", "objective") else "right")
    for line in lines:
        table.add_row(*(_cell(value) for value in line.values()))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4f}"
    return escape(str(value))


def _worth_screen(worth: Mapping[str, pd.DataFrame], group: str, baseline: str) -> Table:
    """Give a column a metric for one sweep; for several a column a sweep, by the first metric."""
    whole = pd.concat([table.assign(sweep=sweep) for sweep, table in worth.items()], ignore_index=True)
    first, across = str(whole["metric"].iloc[0]), "metric" if len(worth) == 1 else "sweep"
    shown = whole if across == "metric" else whole[whole["metric"] == first]
    cells = {(str(row["option"]), str(row[across])): _gain(row, baseline) for _, row in shown.iterrows()}
    of_first = whole[whole["metric"] == first].groupby("option")["adjusted_gain"].mean()
    order = of_first.sort_values(ascending=False, kind="stable", na_position="last").index
    by = "" if across == "metric" else f", {first}"
    title = f"What each option of {group} was worth (points against {baseline}{by})"
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "± 95 %; coloured where that leaves out 0"
    table.add_column("option")
    headings = list(dict.fromkeys(shown[across]))
    for heading in headings:
        table.add_column(escape(str(heading)), justify="right")
    for option in order:
        table.add_row(escape(str(option)), *(cells.get((str(option), str(heading)), "") for heading in headings))
    return table


def _gain(row: pd.Series, baseline: str) -> str:
    """Give a gain with the half-width of its interval, coloured where the interval leaves out 0."""
    if row["option"] == baseline:
        return "0"
    gain, low, high = (100 * float(row[f"adjusted_gain{end}"]) for end in ("", "_low", "_high"))
    if math.isnan(gain):
        return "–"
    if math.isnan(low):
        return f"{gain:+.1f}"
    text = f"{gain:+.1f} ± {high - gain:.1f}"
    colour = "green" if low > 0 else "red" if high < 0 else ""
    return f"[{colour}]{text}[/{colour}]" if colour else text
