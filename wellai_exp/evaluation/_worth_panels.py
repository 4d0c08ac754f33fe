"""The picture of what options were worth by several metrics, of one sweep or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.evaluation._style import (
    CYCLE,
    INK,
    canvas,
    grid_along,
    message_figure,
    metric_label,
    printable,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = "osD^vPX*"
# An interval from two trials reaches so far that it would press all others to a line.
_REACH = 3.0


def worth_by_metric_figure(worth: Mapping[str, pd.DataFrame], group: str, *, baseline: str = "none") -> Figure:
    """Draw the adjusted gain of each option with its 95 % interval: a panel a metric, a colour a sweep.

    Parameters
    ----------
    worth : mapping of str to DataFrame
        Sweep -> its table from `worth_by_metric`.
    group : str
        The group compared, for the title.
    baseline : str
        The option that counts as nothing, for the axis labels.

    Returns
    -------
    matplotlib.figure.Figure
        Options from the greatest mean gain by the first metric down; one without a measured gain has its line and no
        marker. A panel shows at most three times the reach of its gains, where wider intervals are cut off.
    """
    title = f"What each option of {printable(group)} was worth, gain over {printable(baseline)} in points"
    whole = pd.concat([table.assign(sweep=sweep) for sweep, table in worth.items()], ignore_index=True)
    options = _ranked(whole)
    if not options:
        return message_figure(title, f"No gains: no sweep has finished trials of {printable(baseline)} and another.")
    metrics = list(dict.fromkeys(whole["metric"]))
    pitch = max(0.34, 0.16 * len(worth))
    size = (3.2 + 2.3 * len(metrics), pitch * len(options) + 1.9)
    with canvas(*size, columns=len(metrics), sharey=True, squeeze=False) as (figure, grid):
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        for axes, metric in zip(grid[0], metrics, strict=True):
            of_metric = whole[whole["metric"] == metric]
            for place, sweep in enumerate(worth):
                offset = (place - (len(worth) - 1) / 2) * 0.7 / len(worth)
                rows = of_metric[of_metric["sweep"] == sweep].set_index("option").reindex(options)
                _draw(axes, rows, offset, place, sweep)
            _finish(axes, of_metric, metric_label(metric))
        places = np.arange(len(options))
        grid[0, 0].set_yticks(places, [printable(option, 32) for option in options])
        grid[0, 0].set_ylim(len(options) - 0.4, -0.6)
        if len(worth) > 1:
            handles, labels = grid[0, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower left", ncols=min(4, len(worth)))
    return figure


def _ranked(whole: pd.DataFrame) -> list[str]:
    """Give the options of the baseline and of those with a gain, the most worth first."""
    first = whole[whole["metric"] == whole["metric"].iloc[0]] if len(whole) else whole
    gains = first.groupby("option")["adjusted_gain"].mean()
    ranked = [str(option) for option in gains.sort_values(ascending=False, kind="stable", na_position="last").index]
    return ranked if gains.notna().sum() > 1 else []


def _draw(axes: Axes, rows: pd.DataFrame, offset: float, place: int, sweep: str) -> None:
    gain = 100 * rows["adjusted_gain"].to_numpy(float)
    margin = 100 * rows["adjusted_gain_high"].to_numpy(float) - gain
    axes.errorbar(
        gain,
        np.arange(len(rows)) + offset,
        xerr=margin,
        fmt=_MARKS[place % len(_MARKS)],
        color=CYCLE[place % len(CYCLE)],
        ms=5,
        capsize=2,
        lw=1.2,
        label=printable(sweep, 48),
    )


def _finish(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    axes.axvline(0, color=INK, lw=1)
    gain = 100 * rows["adjusted_gain"].dropna()
    ends = 100 * rows[["adjusted_gain_low", "adjusted_gain_high"]].stack().dropna()
    reach = _REACH * max(gain.abs().max(), 0.1) if len(gain) else 1.0
    low, high = (max(ends.min(), -reach), min(ends.max(), reach)) if len(ends) else (-reach, reach)
    low, high = min(low, gain.min(), 0), max(high, gain.max(), 0)
    room = 0.06 * (high - low)
    axes.set_xlim(low - room, high + room)
    axes.set_title(title, fontsize=9)
    grid_along(axes, "x")
    axes.grid(visible=True, axis="y", linewidth=0.5)
