"""Confidence against accuracy, on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wellai_exp import metrics
from wellai_exp.evaluation._style import BLUE, GREY, canvas, drawn_once, grid_along

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation


@drawn_once
def reliability_figure(evaluation: Evaluation) -> Figure:
    """Draw the reliability diagram (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.

    Returns
    -------
    matplotlib.figure.Figure
        Above, the accuracy of the rows in each of 15 bins of confidence, on the diagonal where confidence can be taken
        at its word; below, how many rows each bin has.
    """
    found = metrics.reliability(evaluation.labels, evaluation.probabilities)
    filled = np.flatnonzero(found.rows)
    with canvas(5.2, 5.0, rows=2, sharex=True, height_ratios=[3, 1]) as (figure, (curve, bars)):
        curve.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        curve.plot(found.confidence[filled], found.accuracy[filled], color=BLUE, marker="o", markersize=5)
        curve.set(xlim=(0, 1.01), ylim=(-0.02, 1.02), ylabel="Accuracy")
        curve.set_title(f"Reliability: expected calibration error {found.error:.3f}")
        middles = (found.edges[filled] + found.edges[filled + 1]) / 2
        bars.bar(middles, found.rows[filled], width=0.9 * (found.edges[1] - found.edges[0]), color=BLUE)
        bars.set(xlabel="Confidence: the highest probability of a row", ylabel="Rows")
        for axes in (curve, bars):
            grid_along(axes, "y")
    return figure
