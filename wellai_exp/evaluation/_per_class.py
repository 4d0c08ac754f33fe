"""AUC-PR of each class beside the number of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wellai_exp.evaluation._style import BLUE, GREY, INK, canvas, drawn_once, grid_along, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation


@drawn_once
def per_class_figure(evaluation: Evaluation) -> Figure:
    """Draw each class's AUC-PR as a bar, best on top, and its rows (support) beside it.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes. A class without a row stands last, without a bar.

    Returns
    -------
    matplotlib.figure.Figure
    """
    scores = evaluation.auc_pr
    # NaN sorts last, which is where a class that could not be measured belongs.
    order = np.argsort(-scores, kind="stable")
    places = np.arange(len(order))
    pitch = float(np.interp(len(order), [12, 60], [0.3, 0.2]))
    font = float(np.interp(len(order), [12, 60], [9, 8]))
    height = pitch * len(order) + 1.6
    with canvas(11, height, columns=2, sharey=True, width_ratios=[3, 1]) as (figure, (left, right)):
        macro = evaluation.aggregates["auc_pr_macro"]
        left.barh(places, np.nan_to_num(scores[order]), color=BLUE, height=0.72)
        left.axvline(macro, color=INK, lw=1, ls="--")
        for place, index in enumerate(order):
            known = not np.isnan(scores[index])
            left.text(
                scores[index] + 0.006 if known else 0.006,
                place,
                f"{scores[index]:.2f}" if known else "no row to measure",
                va="center",
                fontsize=font - 1,
                color=INK if known else GREY,
                # The mean's line must not run through a number.
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
            right.text(
                evaluation.support[index], place, f" {evaluation.support[index]:,}", va="center", fontsize=font - 1
            )
        left.set_yticks(places, [printable(evaluation.class_names[index], 44) for index in order], fontsize=font)
        left.set(xlim=(0, 1.06), ylim=(len(order) - 0.4, -0.6), xlabel="AUC-PR (one class against the rest)")
        left.set_xticks(np.linspace(0, 1, 6))
        left.set_title(f"AUC-PR by class; dashed: macro mean {macro:.3f}")
        right.barh(places, evaluation.support[order], color=GREY, height=0.72)
        right.set(xlabel="Rows evaluated", xlim=(0, 1.2 * evaluation.support.max()))
        right.set_title("Support")
        for axes in (left, right):
            grid_along(axes, "x")
    return figure
