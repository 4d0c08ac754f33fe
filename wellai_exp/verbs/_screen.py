"""What the terminal shows: a live line while a sweep runs, and a closing screen worth reading."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wellai_exp.search import Study

_TABLE_METRICS = ("auc_pr_macro", "accuracy", "balanced_accuracy", "f1_macro")


@contextmanager
def trial_progress(study: Study, console: Console) -> Iterator[Any]:
    """Show trials done, the best so far and the time left; gives what to call after each trial."""
    columns = (
        TextColumn("[bold]trials"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[best]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("trials", total=study.search.n_trials, completed=study.finished, best="")

        def finished() -> None:
            trials = study.trials()
            values = trials["value"].dropna()
            best = f"best {values.max():.4f}" if len(values) else "no value yet"
            progress.update(task, completed=len(trials), best=best)
            if not console.is_terminal:
                last = trials.iloc[-1]
                said = f"{last['value']:.4f}" if last["state"] == "COMPLETE" else f"failed: {last['reason']}"
                console.print(f"trial {len(trials)}/{study.search.n_trials} {said} ({best})", highlight=False)

        yield finished


def metrics_table(metrics: Mapping[str, float]) -> Table:
    """Give metrics as a table of names and values."""
    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.6f}")
    return table


def board_table(board: pd.DataFrame, groups: list[str], objective: str, rows: int = 10) -> Table:
    """Give the best trials."""
    table = Table(title="Leaderboard", title_justify="left")
    for heading in ("", "trial", *groups, f"cv/{objective}_mean"):
        table.add_column(heading, justify="right" if heading in ("", "trial") else "left")
    for place, (_, row) in enumerate(board.head(rows).iterrows(), start=1):
        options = [str(row.get(group, "")) for group in groups]
        table.add_row(str(place), str(int(row["number"])), *options, f"{row['value']:.4f}")
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
    board : pandas.DataFrame
        The leaderboard.
    worth : pandas.DataFrame or None
        What the imbalance strategies were worth, where they were searched.
    groups : list of str
        The searched config groups.
    objective : str
        What was maximised.
    winner, baseline : mapping of str to float
        Test metrics of the winner, and of the same configuration without its strategy.
    reproduce : str
        The line that runs the winner again.
    place : str
        Where the model is, in words.
    commands : tuple of str
        What to type next.
    """

    board: pd.DataFrame
    worth: pd.DataFrame | None
    groups: list[str]
    objective: str
    winner: Mapping[str, float]
    baseline: Mapping[str, float]
    reproduce: str
    place: str
    commands: tuple[str, ...]

    def show(self, console: Console) -> None:
        """Print it."""
        test = Table(title="On the untouched test split", title_justify="left")
        for heading in ("metric", "winner", "without its strategy", "gain (points)"):
            test.add_column(heading, justify="left" if heading == "metric" else "right")
        for name in _TABLE_METRICS:
            gain = self.winner[name] - self.baseline[name]
            test.add_row(f"test/{name}", f"{self.winner[name]:.4f}", f"{self.baseline[name]:.4f}", f"{100 * gain:+.1f}")
        console.print(board_table(self.board, self.groups, self.objective))
        if self.worth is not None:
            console.print(worth_screen(self.worth))
        console.print(test)
        console.print(Panel(Text(self.place, style="bold"), title="Done", title_align="left", expand=False))
        # Without a frame and unwrapped, so that a command can be copied whole.
        console.print("Run the winner again:")
        console.print(Text(f"  {self.reproduce}"), soft_wrap=True)
        console.print("Next:")
        for command in self.commands:
            console.print(Text(f"  {command}", style="bold green"), soft_wrap=True)


def profile_table(seconds: Mapping[str, list[float]]) -> Table:
    """Give where a trial's time went: median and largest seconds of each part."""
    table = Table(title="Seconds a trial", title_justify="left")
    for heading in ("part", "trials", "median", "largest"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, values in seconds.items():
        table.add_row(part, str(len(values)), f"{statistics.median(values):.3f}", f"{max(values):.3f}")
    return table
