"""What the terminal shows: a live line while a sweep runs, and a closing screen worth reading."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from wellai_exp.evaluation import Evaluation
from wellai_exp.metrics import Interval
from wellai_exp.report import leaks_sentence
from wellai_exp.search import Study

SECONDS_BETWEEN_LINES = 30.0


class Speaker:
    """Keeps one live line in a terminal; where there is none, prints a line now and then.

    Parameters
    ----------
    console : rich.console.Console
        Where it speaks.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._study: Study | None = None
        self._title = ""
        self._said = 0.0
        self._shown_trials: set[int] = set()
        self._best = -math.inf

    @contextmanager
    def trials(self, study: Study, stage: str) -> Iterator[Speaker]:
        """Show trials done, the best so far and the time left; call `finished` after each trial."""
        self._study, self._title = study, f"{stage} trials".strip()
        self._shown_trials, self._best = set(), -math.inf
        self._take_new(study)
        with self._shown(self._title, study.search.n_trials, study.finished, MofNCompleteColumn()):
            yield self

    @contextmanager
    def line(self, title: str) -> Iterator[Speaker]:
        """Show what `say` is told, and the time it takes."""
        self._title = title
        with self._shown(title, None, 0):
            yield self

    @contextmanager
    def _shown(self, title: str, total: int | None, done: int, *more: ProgressColumn) -> Iterator[None]:
        columns = (TextColumn("[bold]{task.description}"), BarColumn(bar_width=20), *more)
        rest = (TextColumn("{task.fields[best]}"), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, *rest, TextColumn("{task.fields[now]}", markup=False), console=self._console) as shown:
            self._progress, self._task = shown, shown.add_task(title, total=total, completed=done, best="", now="")
            yield

    def say(self, text: str) -> None:
        """Show what goes on now."""
        if self._progress is None or self._task is None:
            return
        self._progress.update(self._task, now=text)
        if not self._console.is_terminal and time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.print(text, highlight=False)

    def finished(self) -> None:
        """Count a trial that is done."""
        if self._study is None or self._progress is None or self._task is None:
            return
        new = self._take_new(self._study)
        best = "no value yet" if self._best == -math.inf else f"best {self._best:.4f}"
        self._progress.update(self._task, completed=len(self._shown_trials), best=best, now="")
        if not self._console.is_terminal:
            done = f"{len(self._shown_trials)}/{self._study.search.n_trials}"
            for _, trial in new.iterrows():
                self._console.print(f"{self._title} {done} {_outcome(trial)} ({best})", highlight=False)

    def _take_new(self, study: Study) -> pd.DataFrame:
        """Give the trials that were not shown before; several workers end theirs in any order."""
        new = study.trials(but=self._shown_trials)
        self._shown_trials |= set(new["number"])
        self._best = max([self._best, *new["value"].dropna()])
        return new


def _outcome(trial: pd.Series) -> str:
    if trial["state"] == "COMPLETE":
        return f"{trial['value']:.4f}"
    if trial["state"] == "PRUNED":
        return f"pruned at {trial['last']:.4f} after step {trial['epochs']}"
    return f"failed: {trial['reason']}"


def metrics_table(metrics: Mapping[str, float]) -> Table:
    """Give metrics as a table of names and values."""
    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.6f}")
    return table


def intervals_table(intervals: Mapping[str, Interval], part: str) -> Table:
    """Give metrics with their 95 % intervals."""
    table = Table("metric", "value", "95 % interval")
    for name, each in intervals.items():
        known = f"{each.low:.4f} to {each.high:.4f}" if each.low == each.low else "unknown"
        table.add_row(f"{part}/{name}", f"{each.estimate:.6f}", known)
    return table


def say_leaks(console: Console, evaluation: Evaluation) -> None:
    """Say what the scores are without the test images that the model has as good as seen, where there are any."""
    if sentence := leaks_sentence(evaluation):
        console.print(Text(sentence, style="yellow"))


def board_table(board: pd.DataFrame, groups: list[str], objective: str, rows: int = 10) -> Table:
    """Give the best trials."""
    table = Table(title="Leaderboard", title_justify="left")
    for heading in ("", "trial", *groups, f"cv/{objective}_mean"):
        table.add_column(heading, justify="right" if heading in ("", "trial") else "left")
    for place, (_, row) in enumerate(board.head(rows).iterrows(), start=1):
        options = [str(row.get(group, "")) for group in groups]
        table.add_row(str(place), str(int(row["number"])), *options, f"{row['value']:.4f}")
    return table


def stages_table(stages: list[dict[str, object]]) -> Table:
    """Give what each stage came to."""
    table = Table(title="Stages", title_justify="left")
    for heading in ("stage", "trials", "pruned", "epochs", "best", "its configuration"):
        table.add_column(heading, justify="left" if heading in ("stage", "its configuration") else "right")
    for each in stages:
        name = f"{each['stage']}" if each["may_win"] else f"{each['stage']} (hands on)"
        numbers = [str(each[key]) for key in ("trials", "pruned", "epochs")]
        table.add_row(name, *numbers, f"{each['best']:.4f}", escape(str(each["overrides"])))
    return table


def worth_screen(worth: pd.DataFrame, rows: int = 20) -> Table:
    """Give what each imbalance strategy was worth, in points of the objective."""
    table = Table(title="What each imbalance strategy was worth (points against none)", title_justify="left")
    for heading in ("strategy", "trials", "best", "best gain", "adjusted gain"):
        table.add_column(heading, justify="left" if heading == "strategy" else "right")
    for _, row in worth.head(rows).iterrows():
        adjusted = _points(row["adjusted_gain"])
        if not math.isnan(row["adjusted_gain_se"]):
            adjusted += f" ± {100 * row['adjusted_gain_se']:.1f}"
        best = f"{row['best']:.4f}" if not math.isnan(row["best"]) else "failed"
        table.add_row(str(row["option"]), str(int(row["trials"])), best, _points(row["best_gain"]), adjusted)
    return table


def _points(value: float) -> str:
    return f"{100 * value:+.1f}" if not math.isnan(value) else "–"


@dataclass(frozen=True)
class Closing:
    """What a finished sweep has to say.

    Parameters
    ----------
    stages : list of mapping
        What each stage came to, as :meth:`StageRun.summary` has it; empty where there is one search only.
    board : pandas.DataFrame
        The last stage's leaderboard.
    worth : pandas.DataFrame or None
        What the imbalance strategies were worth, where they were searched.
    groups : list of str
        The searched config groups.
    objective : str
        What was maximised.
    winner, baseline, honest, student : mapping of str to float
        Test metrics of the registered model, of the same configuration without its strategy, of the model without the
        test images that have a near-duplicate in training, and of the student; empty where there is none.
    spread : mapping of str to (float, float)
        Mean and standard deviation of a test metric over the seeds; empty for one seed.
    reproduce : str
        The line that runs the winner again.
    place : str
        Where the model is, in words.
    commands : tuple of str
        What to type next.
    """

    stages: list[dict[str, object]]
    board: pd.DataFrame
    worth: pd.DataFrame | None
    groups: list[str]
    objective: str
    winner: Mapping[str, float]
    baseline: Mapping[str, float]
    honest: Mapping[str, float]
    student: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]
    reproduce: str
    place: str
    commands: tuple[str, ...]

    def show(self, console: Console) -> None:
        """Print it."""
        if self.stages:
            console.print(stages_table(self.stages))
        console.print(board_table(self.board, self.groups, self.objective))
        if self.worth is not None:
            console.print(worth_screen(self.worth))
        console.print(self._test_table())
        console.print(Panel(Text(self.place, style="bold"), title="Done", title_align="left", expand=False))
        # Without a frame and unwrapped, so that a command can be copied whole.
        console.print("Run the winner again:")
        console.print(Text(f"  {self.reproduce}"), soft_wrap=True)
        console.print("Next:")
        for command in self.commands:
            console.print(Text(f"  {command}", style="bold green"), soft_wrap=True)

    def _test_table(self) -> Table:
        """Give the test metrics: the registered model, its seeds' spread, what its strategy was worth, the student."""
        test = Table(title="On the untouched test split", title_justify="left")
        test.add_column("metric")
        columns: list[tuple[str, Callable[[str], str]]] = [("winner", lambda name: f"{self.winner[name]:.4f}")]
        if self.spread:
            columns.append(("mean ± sd over seeds", lambda name: "{:.4f} ± {:.4f}".format(*self.spread[name])))
        if self.baseline:
            columns.append(("without its strategy", lambda name: f"{self.baseline[name]:.4f}"))
            columns.append(("gain (points)", lambda name: f"{100 * (self.winner[name] - self.baseline[name]):+.1f}"))
        if self.honest:
            columns.append(("without leaked images", lambda name: f"{self.honest[name]:.4f}"))
        if self.student:
            columns.append(("student", lambda name: f"{self.student[name]:.4f}"))
        for heading, _ in columns:
            test.add_column(heading, justify="right")
        for name in self.winner:
            test.add_row(f"test/{name}", *(cell(name) for _, cell in columns))
        return test
