"""Pictures of a sweep: its best trials, its history, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    axis_label,
    canvas,
    columns_of,
    grid_along,
    message_figure,
    printable,
)
from wellai_exp.evaluation._trials import categorical_columns, check_trials, failed, finished, leaderboard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOTHING = "No trial has finished yet."
_MOST_BARS = 25


def leaderboard_figure(trials: pd.DataFrame, top: int = 20, *, objective: str = "objective") -> Figure:
    """Draw the best finished trials: their options as a table, their objective as dots on one scale.

    Parameters
    ----------
    trials : DataFrame
        See `leaderboard`.
    top : int
        At most so many trials.
    objective : str
        What the objective is, for the axis label.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        See `leaderboard`.
    """
    board = leaderboard(trials, top)
    if board.empty:
        return message_figure("Leaderboard", _NOTHING)
    groups = [name for name in categorical_columns(board) if board[name].notna().all()]
    cells = _table_cells(board, groups)
    widths = [max(columns_of(text) for text in column) + 2 for column in cells]
    table_inches = 0.085 * sum(widths)
    size = (table_inches + 5.2, 0.27 * len(board) + 1.5)
    with canvas(*size, columns=2, sharey=True, width_ratios=[table_inches, 4.6]) as (figure, (table, dots)):
        _write_table(table, cells, widths)
        places = np.arange(len(board))
        dots.plot(board["value"], places, "o", color=BLUE, ms=7)
        for place, value in zip(places, board["value"], strict=True):
            dots.annotate(f"{value:.4f}", (value, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
        dots.set_xlabel(axis_label(objective))
        dots.set_yticks(places)
        dots.set_ylim(len(board) - 0.4, -1.6)
        dots.margins(x=0.16)
        dots.tick_params(axis="y", left=False, labelleft=False)
        dots.spines["left"].set_visible(False)
        grid_along(dots, "x")
        dots.grid(visible=True, axis="y", linewidth=0.5)
        done = len(finished(check_trials(trials)))
        table.set_title(f"Leaderboard: best {len(board)} of {done} finished trials")
    return figure


def _table_cells(board: pd.DataFrame, groups: list[str]) -> list[list[str]]:
    """Give the table's columns, each with its heading first."""
    columns = [["trial", *(str(number) for number in board["number"])]]
    columns += [[printable(name, 24), *(printable(value, 24) for value in board[name])] for name in groups]
    columns.append(["time", *(_duration(seconds) for seconds in board["seconds"])])
    return columns


def _write_table(axes: Axes, columns: list[list[str]], widths: list[int]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, sum(widths))
    start = 0
    for column, width in zip(columns, widths, strict=True):
        for row, text in enumerate(column):
            axes.text(start, row - 1, text, va="center", fontsize=8.5, fontweight="bold" if row == 0 else "normal")
        start += width


def _duration(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def history_figure(trials: pd.DataFrame, *, objective: str = "objective") -> Figure:
    """Draw the objective of each trial in the order of their numbers, with the best so far.

    Parameters
    ----------
    trials : DataFrame
        See `leaderboard`. Pruned trials stand at their last value; failed ones are marks on the bottom edge.
    objective : str
        What the objective is, for the axis label.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        See `leaderboard`.
    """
    table = check_trials(trials).sort_values("number")
    if table.empty:
        return message_figure("History", "The study has no trial yet.")
    done = finished(table)
    pruned = table[table["state"] == "PRUNED"]
    bad = table[failed(table)]
    with canvas(10, 5) as (figure, axes):
        if not pruned.empty:
            axes.plot(pruned["number"], pruned["value"], "x", color=GREY, ms=5, label=f"pruned ({len(pruned)})")
        axes.plot(done["number"], done["value"], "o", color=BLUE, ms=5, alpha=0.7, label=f"finished ({len(done)})")
        best = done["value"].cummax()
        if not done.empty:
            # Carried on to the last trial of any state, so that a fruitless end of the sweep shows as a flat line.
            steps = (np.append(done["number"], table["number"].max()), np.append(best, best.iloc[-1]))
            axes.plot(*steps, drawstyle="steps-post", color=ORANGE, lw=2, label="best so far")
        if not bad.empty:
            marks = np.full(len(bad), 0.015)
            axes.plot(
                bad["number"], marks, "|", color=VERMILION, ms=9, mew=1.6, transform=axes.get_xaxis_transform(),
                label=f"failed ({len(bad)})",
            )  # fmt: skip
        if done.empty and pruned["value"].isna().all():
            axes.set_yticks([])
            axes.text(0.5, 0.5, _NOTHING, transform=axes.transAxes, ha="center", va="center")
        axes.set_xlabel("Trial number")
        axes.set_ylabel(axis_label(objective))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.02, y=0.08)
        axes.grid(visible=True, linewidth=0.8)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.2)
        title = f"History of {len(table)} trials"
        if not done.empty:
            place = int(done["value"].to_numpy().argmax())
            title += f"; best {done['value'].iloc[place]:.4f} in trial {done['number'].iloc[place]}"
        axes.set_title(title, pad=26)
    return figure


def importance_figure(importances: Mapping[str, float]) -> Figure:
    """Draw how much each parameter mattered to the objective, most important on top.

    Parameters
    ----------
    importances : mapping of str to float
        Not negative, usually summing to 1. Above 25 parameters the least important are counted, not drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        Where an importance is negative or not finite.
    """
    unsound = [name for name, value in importances.items() if not (np.isfinite(value) and value >= 0)]
    if unsound:
        raise DataError(
            f"An importance must be a finite number from 0, but {unsound[0]} has {importances[unsound[0]]}."
        )
    ranked = sorted(importances.items(), key=lambda item: -item[1])
    shown = ranked[:_MOST_BARS]
    if not shown:
        return message_figure("Importance of the parameters", "No parameter varied among the finished trials.")
    places = np.arange(len(shown))
    values = [value for _, value in shown]
    with canvas(9, 0.3 * len(shown) + 1.5) as (figure, axes):
        axes.barh(places, values, color=BLUE, height=0.7)
        for place, value in enumerate(values):
            axes.annotate(f"{value:.3f}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(places, [printable(name, 48) for name, _ in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="Importance (share of the objective's variation)")
        axes.set_xlim(0, max(1.12 * max(values), 1e-9))
        grid_along(axes, "x")
        rest = len(ranked) - len(shown)
        axes.set_title("Importance of the parameters" + (f" ({rest} smaller ones not shown)" if rest else ""))
        axes.tick_params(axis="y", colors=INK)
    return figure
