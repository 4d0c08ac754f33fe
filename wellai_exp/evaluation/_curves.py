"""Precision-recall curves of all classes in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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
    printable,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

# Up to this many classes each curve has a colour and a name; above it, only the best and the worst do.
_ALL_NAMED = 8
_BEST = (BLUE, SKY, GREEN)
_WORST = (VERMILION, ORANGE, PURPLE)


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
    present = np.flatnonzero(evaluation.support > 0)
    ranked = present[np.argsort(-evaluation.auc_pr[present], kind="stable")]
    colours = _colours(ranked)
    with canvas(10.5, 6) as (figure, axes):
        lines: dict[int, Any] = {}
        for index in ranked:
            curve = _curve(evaluation.labels == index, evaluation.probabilities[:, index])
            colour = colours.get(int(index))
            style = {"color": colour, "lw": 1.7, "zorder": 3} if colour else {"color": GREY, "lw": 0.6, "alpha": 0.45}
            lines[int(index)] = _draw(axes, curve, **style)
        truth = evaluation.labels[:, None] == np.arange(evaluation.n_classes)
        micro = _draw(axes, _curve(truth.ravel(), evaluation.probabilities.ravel()), color=INK, lw=2.4, zorder=4)
        _legend(axes, evaluation, ranked, lines, micro, colours)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall", ylabel="Precision")
        axes.grid(visible=True, linewidth=0.8)
        macro = evaluation.aggregates["auc_pr_macro"]
        axes.set_title(f"Precision-recall curves of {len(present)} classes, macro AUC-PR {macro:.3f}")
    return figure


def _colours(ranked: npt.NDArray[np.intp]) -> dict[int, str]:
    order = [int(index) for index in ranked]
    if len(order) <= _ALL_NAMED:
        return dict(zip(order, (*CYCLE[:6], "#F0E442", "#999933"), strict=False))
    return {**dict(zip(order[:3], _BEST, strict=True)), **dict(zip(order[-3:], _WORST[::-1], strict=True))}


def _curve(truth: npt.NDArray[np.bool_], scores: npt.NDArray[Any]) -> Curve:
    """Recall and precision at each score where recall rises: the corners of the steps of the average precision."""
    order = np.argsort(scores)[::-1]
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = hits[ends]
    rises = np.diff(found, prepend=0) > 0
    recall, precision = found[rises] / hits[-1], found[rises] / (ends[rises] + 1)
    return np.append(0.0, recall), np.append(precision[0], precision)


def _draw(axes: Axes, curve: Curve, **style: Any) -> Any:
    return axes.plot(*curve, drawstyle="steps-pre", solid_joinstyle="round", **style)[0]


def _legend(
    axes: Axes,
    evaluation: Evaluation,
    ranked: npt.NDArray[np.intp],
    lines: dict[int, Any],
    micro: Any,
    colours: dict[int, str],
) -> None:
    """Name the micro average and the coloured curves, best first, beside the axes."""
    handles, labels = [micro], [f"{evaluation.aggregates['auc_pr_micro']:.3f}  micro average of all classes"]
    named = [int(index) for index in ranked if int(index) in colours]
    for place, index in enumerate(named):
        if len(ranked) > _ALL_NAMED and place == len(_BEST):
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
