"""Precision-recall curves of all classes in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wellai_exp.evaluation._pr_table import StepCurve, class_curves, step_curve
from wellai_exp.evaluation._style import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    canvas,
    drawn_once,
    printable,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

# Up to this many classes each curve has a colour and a name; above it, only the best and the worst do.
ALL_NAMED = 8
_BEST = (BLUE, SKY, GREEN)
_WORST = (VERMILION, ORANGE, PURPLE)


@drawn_once
def pr_curves_figure(evaluation: Evaluation) -> Figure:
    """Draw the one-vs-rest precision-recall curve of every class and their micro average.

    Curves are steps without interpolation, so the area under each is its AUC-PR as computed. Above 8 classes the three
    best and the three worst are named, and the others are thin grey lines. A class without a row has no curve.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    curves = class_curves(evaluation)
    ranked = ranked_classes(evaluation)
    colours = named_colours(ranked)
    with canvas(10.5, 6) as (figure, axes):
        lines: dict[int, Any] = {}
        for index in ranked:
            colour = colours.get(index)
            style = {"color": colour, "lw": 1.7, "zorder": 3} if colour else {"color": GREY, "lw": 0.6, "alpha": 0.45}
            lines[index] = _draw(axes, curves[index], **style)
        micro = _draw(axes, micro_curve(evaluation), color=INK, lw=2.4, zorder=4)
        _legend(axes, evaluation, ranked, lines, micro, colours)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall", ylabel="Precision")
        axes.grid(visible=True, linewidth=0.8)
        macro = evaluation.aggregates["auc_pr_macro"]
        axes.set_title(f"Precision-recall curves of {len(ranked)} classes, macro AUC-PR {macro:.3f}")
    return figure


def ranked_classes(evaluation: Evaluation) -> list[int]:
    """Give the indices of the classes that have a row, the best AUC-PR first."""
    present = np.flatnonzero(evaluation.support > 0)
    return [int(index) for index in present[np.argsort(-evaluation.auc_pr[present], kind="stable")]]


def micro_curve(evaluation: Evaluation) -> StepCurve:
    """Give the curve of all N·C decisions in one list."""
    truth = evaluation.labels[:, None] == np.arange(evaluation.n_classes)
    return step_curve(truth.ravel(), evaluation.probabilities.ravel())


def named_colours(ranked: Sequence[int]) -> dict[int, str]:
    """Give a colour to every class of a few, to the three best and the three worst of many."""
    if len(ranked) <= ALL_NAMED:
        return dict(zip(ranked, (*CYCLE[:6], "#F0E442", "#999933"), strict=False))
    return {**dict(zip(ranked[:3], _BEST, strict=True)), **dict(zip(ranked[-3:], _WORST[::-1], strict=True))}


def _draw(axes: Axes, curve: StepCurve, **style: Any) -> Any:
    return axes.plot(*curve.outline, drawstyle="steps-pre", solid_joinstyle="round", **style)[0]


def _legend(
    axes: Axes,
    evaluation: Evaluation,
    ranked: Sequence[int],
    lines: dict[int, Any],
    micro: Any,
    colours: dict[int, str],
) -> None:
    """Name the micro average and the coloured curves, best first, beside the axes."""
    handles, labels = [micro], [f"{evaluation.aggregates['auc_pr_micro']:.3f}  micro average of all classes"]
    named = [index for index in ranked if index in colours]
    for place, index in enumerate(named):
        if len(ranked) > ALL_NAMED and place == len(_BEST):
            others = next(line for key, line in lines.items() if key not in colours)
            handles.append(others)
            between = [evaluation.auc_pr[key] for key in lines if key not in colours]
            labels.append(f"{min(between):.2f}–{max(between):.2f}  {len(between)} other classes")
        rows = evaluation.support[index]
        handles.append(lines[index])
        labels.append(f"{evaluation.auc_pr[index]:.3f}  {printable(evaluation.class_names[index], 36)} ({rows})")
    axes.legend(
        handles,
        labels,
        title="AUC-PR  class (rows), best first",
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        labelspacing=0.7,
    )
