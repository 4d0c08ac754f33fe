"""The picture of what each option of a group was worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.evaluation._style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    axis_label,
    canvas,
    grid_along,
    message_figure,
    printable,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def worth_figure(table: pd.DataFrame, group: str, *, baseline: str = "none", objective: str = "objective") -> Figure:
    """Draw `worth_table`: each option's best and median on the left, its gains over the baseline on the right.

    Parameters
    ----------
    table : DataFrame
        From `worth_table`.
    group : str
        The group compared, for the title.
    baseline : str
        The baseline's option, for the axis label.
    objective : str
        What the objective is, for the axis labels.

    Returns
    -------
    matplotlib.figure.Figure
        An option without a finished trial has its line and no marker.
    """
    title = f"What each option of {printable(group)} was worth"
    if table.empty:
        return message_figure(title, "No trial has an option of this group.")
    places = np.arange(len(table))
    with canvas(12, 0.36 * len(table) + 1.9, columns=2, sharey=True) as (figure, (left, right)):
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        left.hlines(places, table["median"], table["best"], color=GREY, lw=1.2, zorder=1)
        left.plot(table["median"], places, "o", color="white", mec=INK, ms=6, label="median")
        left.plot(table["best"], places, "o", color=BLUE, ms=7, label="best trial")
        left.set_xlabel(axis_label(objective))
        left.set_yticks(places, [_row_name(row) for _, row in table.iterrows()])
        left.set_ylim(len(table) - 0.4, -0.6)
        measured = table["best_gain"].notna().any()
        if measured:
            _gains(right, table, places)
            right.set_xlabel(f"Gain over {printable(baseline)} ({printable(objective)})")
        else:
            right.set_axis_off()
            sentence = f"No gains: no trial of the baseline {printable(baseline)} has finished."
            right.text(0.5, 0.5, sentence, transform=right.transAxes, ha="center", va="center", color=INK)
        for axes in (left, right) if measured else (left,):
            grid_along(axes, "x")
            axes.grid(visible=True, axis="y", linewidth=0.5)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, handletextpad=0.3)
    return figure


def _gains(axes: Axes, table: pd.DataFrame, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """Draw the two gains of each option, a little apart, with the error bars that exist."""
    axes.axvline(0, color=INK, lw=1)
    axes.plot(
        table["best_gain"], places - 0.13, "D", color=ORANGE, mec=INK, mew=0.5, ms=6, label="gain of the best trial"
    )
    axes.errorbar(
        table["adjusted_gain"],
        places + 0.13,
        xerr=(table["adjusted_gain_high"] - table["adjusted_gain"]).to_numpy(float),
        fmt="s",
        color=BLUE,
        ms=6,
        capsize=3,
        lw=1.4,
        label="adjusted gain, 95 % interval",
    )


def _row_name(row: pd.Series[float]) -> str:
    count = f"{row['trials']} trial{'s' if row['trials'] != 1 else ''}"
    lost = f", {row['failed']} failed" if row["failed"] else ""
    return f"{printable(row['option'], 32)} ({count}{lost})"
