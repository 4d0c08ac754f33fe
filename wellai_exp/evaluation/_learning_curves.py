"""The picture of every trial's way through its epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    axis_label,
    canvas,
    message_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REQUIRED = ("trial", "epoch", "value", "state")
# In the order of drawing: the few that ended early lie on top. The mark at the end says that a trial went no further.
_STYLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "COMPLETE": ("finished", {"color": BLUE, "lw": 1.4, "alpha": 0.5}, ""),
    "PRUNED": ("pruned", {"color": GREY, "lw": 0.8}, "x"),
    "FAIL": ("failed", {"color": VERMILION, "lw": 0.8}, "|"),
}


def learning_curves_figure(curves: pd.DataFrame, *, objective: str = "macro AUC-PR", best: int | None = None) -> Figure:
    """Draw the objective of every trial against the epoch; pruned trials are thin and end in a cross, the best is bold.

    Parameters
    ----------
    curves : DataFrame
        One row a trial and epoch: ``trial`` (int), ``epoch`` (int, from 1), ``value`` (greater is better; NaN is left
        out) and ``state``, the trial's: COMPLETE, PRUNED or FAIL. The best is the finished trial with the greatest
        last value.
    objective : str
        What the value is, for the axis label.
    best : int, optional
        The trial to draw bold; by default the best by its last value, which need not be the search's best: its value
        may be another than that of its last epoch.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        Where a column is missing, a state is unknown, or a trial has two states or two values of one epoch.
    """
    table = _check(curves)
    if table.empty:
        return message_figure("Learning curves", "No trial has reported an epoch yet.")
    ends = table.groupby("trial").tail(1).set_index("trial")
    complete = ends.loc[ends["state"] == "COMPLETE", "value"]
    if best is None and not complete.empty:
        best = int(str(complete.idxmax()))
    with canvas(10, 5) as (figure, axes):
        for state, (word, line, mark) in _STYLES.items():
            of_state = table[(table["state"] == state) & (table["trial"] != best)]
            count = int((ends["state"] == state).sum())
            _draw(axes, of_state, line, mark, f"{word} ({count})")
        of_best = table[table["trial"] == best]
        if len(of_best):
            epoch, value = of_best["epoch"].iloc[-1], of_best["value"].iloc[-1]
            axes.plot(
                of_best["epoch"], of_best["value"], color=ORANGE, lw=3, marker="o", markevery=[-1], ms=7,
                label=f"best: trial {best}",
            )  # fmt: skip
            axes.annotate(
                f"{value:.4f}", (epoch, value), (8, 0), textcoords="offset points", va="center", fontweight="bold"
            )
        axes.set_xlabel("Epoch")
        axes.set_ylabel(axis_label(objective))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.06, y=0.06)
        axes.grid(visible=True, linewidth=0.8)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.2)
        axes.set_title(f"Learning curves of {len(ends)} trial{'s' if len(ends) != 1 else ''}", pad=26)
    return figure


def _check(curves: pd.DataFrame) -> pd.DataFrame:
    """Give the finite rows in the order of trials and epochs."""
    missing = [name for name in _REQUIRED if name not in curves.columns]
    if missing:
        raise DataError(f"Learning curves need the columns {', '.join(_REQUIRED)}, but lack {', '.join(missing)}.")
    unknown = sorted(set(curves["state"].astype(str)) - set(_STYLES))
    if unknown:
        raise DataError(f"A trial's state must be one of {', '.join(_STYLES)}, but {', '.join(unknown)} occurs.")
    states = curves.groupby("trial")["state"].nunique()
    if (states > 1).any():
        raise DataError(f"Trial {states.idxmax()} has more than one state.")
    twice = curves[curves.duplicated(["trial", "epoch"])]
    if not twice.empty:
        raise DataError(f"Trial {twice['trial'].iloc[0]} has two values of epoch {twice['epoch'].iloc[0]}.")
    table = curves.assign(value=pd.to_numeric(curves["value"]).astype(float))
    finite: pd.DataFrame = table[np.isfinite(table["value"])]
    return finite.sort_values(["trial", "epoch"])


def _draw(axes: Axes, table: pd.DataFrame, line: dict[str, Any], mark: str, label: str) -> None:
    """Draw the curves of one state, with one entry in the legend."""
    for index, (_, curve) in enumerate(table.groupby("trial")):
        # A trial of a single epoch is a line without length, so its point is drawn where no mark ends it.
        ending = mark or ("o" if len(curve) == 1 else "")
        axes.plot(
            curve["epoch"], curve["value"], marker=ending, markevery=[-1], ms=6, label=label if index == 0 else None,
            **line,
        )  # fmt: skip
