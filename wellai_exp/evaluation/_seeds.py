"""How far candidates lie apart, and how far one candidate's seeds do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import BLUE, GREY, INK, canvas, grid_along, message_figure, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Runs = Mapping[str, Sequence[Mapping[str, float]]]

_COLUMNS = ("candidate", "metric", "mean", "std", "min", "max", "n")


def seeds_table(runs: Runs) -> pd.DataFrame:
    """Summarise each metric of each candidate over its seeds.

    Parameters
    ----------
    runs : mapping of str to sequence of mapping
        Candidate -> one mapping a seed, of metric to value.

    Returns
    -------
    DataFrame
        One row a candidate and metric, both in the order given: ``candidate``, ``metric``, ``mean``, ``std`` (the
        sample's, ``ddof=1``; NaN where there is one seed), ``min``, ``max``, and ``n``, the seeds that have the metric.

    Raises
    ------
    DataError
        Where a candidate has no run or a value is not finite.
    """
    rows = []
    for candidate, of_candidate in runs.items():
        if not of_candidate:
            raise DataError(f"The candidate {candidate!r} has no run; train it with at least one seed.")
        for metric in dict.fromkeys(name for run in of_candidate for name in run):
            values = np.array([run[metric] for run in of_candidate if metric in run], float)
            if not np.isfinite(values).all():
                raise DataError(f"{metric} of {candidate!r} must be finite, but its seeds gave {values.tolist()}.")
            spread = values.std(ddof=1) if len(values) > 1 else np.nan
            rows.append((candidate, metric, values.mean(), spread, values.min(), values.max(), len(values)))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def seeds_figure(runs: Runs, metric: str) -> Figure:
    """Draw every seed of every candidate as a dot, with each candidate's mean and spread, the best on top.

    Parameters
    ----------
    runs : mapping of str to sequence of mapping
        See `seeds_table`.
    metric : str
        The metric to draw; greater is better, unless its name ends in ``_loss``.

    Returns
    -------
    matplotlib.figure.Figure
        The title holds the winner's lead over the next candidate beside the standard deviation of each of the two. A
        candidate with one seed has no bar.

    Raises
    ------
    DataError
        See `seeds_table`; also where a candidate lacks the metric in a run.
    """
    lacking = [candidate for candidate, of in runs.items() if any(metric not in run for run in of)]
    if lacking:
        raise DataError(f"Every run must have the metric {metric}, but one of {lacking[0]!r} lacks it.")
    if not runs:
        return message_figure("Spread over the seeds", "No candidate was trained.")
    table = seeds_table({candidate: [{metric: run[metric]} for run in of] for candidate, of in runs.items()})
    table = table.sort_values("mean", ascending=metric.endswith("_loss"), kind="stable", ignore_index=True)
    with canvas(9, 0.45 * len(table) + 1.9) as (figure, axes):
        _draw(axes, table, runs, metric)
        axes.set_yticks(
            range(len(table)), [f"{printable(row.candidate, 48)} (n = {row.n})" for row in table.itertuples()]
        )
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlabel(printable(metric, 60))
        axes.margins(x=0.08)
        grid_along(axes, "x")
        axes.grid(visible=True, axis="y", linewidth=0.5)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handletextpad=0.3)
        figure.suptitle(_title(table), x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def _draw(axes: Axes, table: pd.DataFrame, runs: Runs, metric: str) -> None:
    """Draw the dots a little above each row's line, mean and bar on it, so that neither hides the other."""
    for place, candidate in enumerate(table["candidate"]):
        values = [run[metric] for run in runs[candidate]]
        heights = np.full(len(values), place - 0.17)
        axes.plot(values, heights, "o", color=BLUE, alpha=0.6, ms=5, mew=0, label="one seed" if place == 0 else None)
    measured = table[table["std"].notna()]
    if not measured.empty:
        axes.errorbar(
            measured["mean"], measured.index + 0.1, xerr=measured["std"], fmt="none", ecolor=GREY, elinewidth=2,
            capsize=4, label="± 1 standard deviation of the seeds",
        )  # fmt: skip
    axes.plot(table["mean"], table.index + 0.1, "D", color="white", mec=INK, ms=6, label="mean")


def _title(table: pd.DataFrame) -> str:
    if len(table) < 2:
        return "Spread over the seeds"
    lead = abs(table["mean"].iloc[0] - table["mean"].iloc[1])
    spread = [f"{value:.4f}" if np.isfinite(value) else "unknown (one seed)" for value in table["std"].iloc[:2]]
    return f"The best leads by {lead:.4f}; standard deviation of its seeds {spread[0]}, of the next one's {spread[1]}"
