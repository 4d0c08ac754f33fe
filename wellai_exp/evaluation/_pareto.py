"""The picture of a trade-off between two metrics, and of what the constraints left of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    axis_label,
    canvas,
    message_figure,
    printable,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Goal = Literal["maximize", "minimize"]
_REQUIRED = ("number", "state", "feasible")


def pareto_figure(
    trials: pd.DataFrame,
    x: str,
    y: str,
    *,
    constraints: Mapping[str, tuple[str, float]],
    winner: int | None,
    unconstrained: int | None = None,
    x_goal: Goal = "minimize",
    y_goal: Goal = "maximize",
) -> Figure:
    """Draw every trial by two metrics, with the front of those that keep the constraints.

    Parameters
    ----------
    trials : DataFrame
        One row a trial: ``number``, ``state`` (COMPLETE, PRUNED or FAIL), ``feasible`` (bool), and the columns `x` and
        `y`; a pruned trial stands where it was stopped, and one without both numbers is left out.
    x, y : str
        The metrics' columns.
    constraints : mapping of str to (str, float)
        Quantity -> its sign (``>=``, ``<=``, ``>`` or ``<``) and bound. Those on `x` and `y` are drawn as regions; the
        rest show only in the trials that break them.
    winner : int or None
        The winning trial's number; None where none is feasible.
    unconstrained : int or None
        The number of the trial that would have won without the constraints.
    x_goal, y_goal : str
        ``maximize`` or ``minimize``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        Where a column is missing, or a winner is not among the complete trials with both numbers.
    """
    missing = [name for name in (*_REQUIRED, x, y) if name not in trials.columns]
    if missing:
        raise DataError(f"The trials of a trade-off lack the columns {', '.join(missing)}.")
    known = trials.loc[np.isfinite(trials[[x, y]].to_numpy(float)).all(axis=1)]
    complete: pd.DataFrame = known.loc[known["state"] == "COMPLETE"]
    pruned: pd.DataFrame = known.loc[known["state"] == "PRUNED"]
    for number in (winner, unconstrained):
        if number is not None and number not in set(complete["number"]):
            raise DataError(f"Trial {number} cannot be marked: it is not complete, or has no {x} or {y}.")
    x_name, y_name = axis_label(x.replace("_", " ")), axis_label(y.replace("_", " "))
    title = f"{y_name} against {printable(x.replace('_', ' '))}"
    if complete.empty and pruned.empty:
        return message_figure(title, "No trial has finished yet.")
    keeps = complete["feasible"].astype(bool)
    kept: pd.DataFrame = complete.loc[keeps]
    broken: pd.DataFrame = complete.loc[~keeps]
    front = _front(kept, x, y, x_goal, y_goal)
    with canvas(9, 6) as (figure, axes):
        axes.set_xlabel(f"{x_name} ({_better(x_goal)})")
        axes.set_ylabel(f"{y_name} ({_better(y_goal)})")
        _points(axes, pruned, x, y, f"pruned ({len(pruned)})", color="none", mec=GREY)
        _points(axes, broken, x, y, f"breaks a constraint ({len(broken)})", color=GREY, mec="white")
        _points(axes, kept, x, y, f"complete ({len(kept)})", color=BLUE, mec="white")
        _mark(axes, complete, x, y, winner, unconstrained)
        axes.margins(0.08)
        # What is had at one x is had at every worse one too, so the line steps where the better point lies.
        steps = "steps-post" if x_goal == "minimize" else "steps-pre"
        axes.plot(*front.T, drawstyle=steps, color=ORANGE, lw=2, label="front", zorder=2)
        _regions(axes, x, y, constraints)
        axes.grid(visible=True, linewidth=0.8)
        legend = axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handletextpad=0.4)
        axes.set_title(f"{title}: a front of {len(front)}", pad=12 + 15 * math.ceil(len(legend.get_texts()) / 3))
    return figure


def _better(goal: Goal) -> str:
    return "more is better" if goal == "maximize" else "less is better"


def _front(trials: pd.DataFrame, x: str, y: str, x_goal: Goal, y_goal: Goal) -> npt.NDArray[np.float64]:
    """Give the points that no other dominates, each once, by rising x; shape (points, 2)."""
    signs = np.array([-1.0 if goal == "maximize" else 1.0 for goal in (x_goal, y_goal)])
    losses = np.unique(signs * trials[[x, y]].to_numpy(float), axis=0)
    # By the first loss, then the second: a point is on the front where its second loss is a new least.
    least = np.minimum.accumulate(np.concatenate([[np.inf], losses[:, 1]]))
    front: npt.NDArray[np.float64] = signs * losses[losses[:, 1] < least[:-1]]
    return front[np.argsort(front[:, 0])]


def _points(axes: Axes, trials: pd.DataFrame, x: str, y: str, label: str, *, color: str, mec: str) -> None:
    if not trials.empty:
        axes.plot(trials[x], trials[y], "o", color=color, mec=mec, ms=7, label=label, zorder=3)


def _regions(axes: Axes, x: str, y: str, constraints: Mapping[str, tuple[str, float]]) -> None:
    """Shade what the bounds on the two metrics exclude, widening the picture to show each bound."""
    limits = {x: list(axes.get_xlim()), y: list(axes.get_ylim())}
    for name, (_, bound) in constraints.items():
        if name in limits:
            room = 0.05 * (limits[name][1] - limits[name][0])
            limits[name] = [min(limits[name][0], bound - room), max(limits[name][1], bound + room)]
    for name, (sign, bound) in constraints.items():
        if name not in limits:
            continue
        low, high = limits[name]
        ends = (low, bound) if sign.startswith(">") else (bound, high)
        span, line = (axes.axvspan, axes.axvline) if name == x else (axes.axhspan, axes.axhline)
        span(*ends, color=PALE, alpha=0.7, lw=0, zorder=0)
        line(bound, color=GREY, lw=1, ls="--", zorder=1, label=printable(f"{name} {sign} {bound:g}"))
    axes.set(xlim=limits[x], ylim=limits[y])


def _mark(axes: Axes, trials: pd.DataFrame, x: str, y: str, winner: int | None, unconstrained: int | None) -> None:
    """Ring the winner with and without constraints and write their numbers beside them."""
    marks = [(winner, "winner", VERMILION)]
    if unconstrained == winner:
        marks = [(winner, "winner, with and without constraints", VERMILION)]
    else:
        marks.append((unconstrained, "winner without constraints", INK))
    for number, label, color in marks:
        if number is None:
            continue
        row = trials[trials["number"] == number].iloc[0]
        axes.plot(row[x], row[y], "o", color="none", mec=color, mew=2, ms=14, label=label, zorder=4)
        # Towards the middle, so that it stays inside the picture.
        right = row[x] > trials[x].median()
        axes.annotate(
            f"trial {number}", (row[x], row[y]), (-10 if right else 10, 9), textcoords="offset points",
            ha="right" if right else "left", color=color, fontweight="bold", zorder=5,
        )  # fmt: skip
