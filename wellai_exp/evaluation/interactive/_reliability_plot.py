"""Confidence against accuracy, as predicted and with the temperature that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wellai_exp import metrics
from wellai_exp.evaluation._style import BLUE, GREY, ORANGE
from wellai_exp.evaluation.interactive._layout import axis, base_layout, legend_below

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from wellai_exp.evaluation._evaluation import Evaluation
    from wellai_exp.metrics import Reliability


def reliability_plot(evaluation: Evaluation, temperature: float | None = None) -> Figure:
    """Draw the reliability diagram before and after temperature scaling (Guo et al., ICML 2017).

    Above, the accuracy of the rows in each of 15 bins of confidence, which lies on the diagonal where confidence can
    be taken at its word; below, how many rows each bin has.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.
    temperature : float, optional
        From rows that are not among these. By default it is fitted to these very rows, which makes the calibration
        afterwards look better than it would be elsewhere; the legend says so.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ArrayError
        Where `temperature` is not above 0.
    """
    from plotly.graph_objects import Figure

    source = "fitted to these rows" if temperature is None else "as given"
    if temperature is None:
        temperature = metrics.fit_temperature(evaluation.labels, evaluation.probabilities)
    before = metrics.reliability(evaluation.labels, evaluation.probabilities)
    after = metrics.reliability(evaluation.labels, metrics.scale_temperature(evaluation.probabilities, temperature))
    diagonal = {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip", "showlegend": False}
    traces = [{**diagonal, "line": {"color": GREY, "dash": "dash", "width": 1}}]
    traces += _pair(before, "as predicted", ORANGE, "circle", "left")
    traces += _pair(after, f"temperature {temperature:.2f}, {source}", BLUE, "square", "right")
    return Figure(traces, _layout(f"Reliability of {len(evaluation.labels):,} predictions"))


def _pair(found: Reliability, name: str, colour: str, symbol: str, side: str) -> list[dict[str, Any]]:
    """Give the line of the bins that have rows, and the bars of their rows on one side of the bins' middles."""
    filled = np.flatnonzero(found.rows)
    whole = f"{name}: ECE {found.error:.3f}"
    told = [
        f"{found.rows[place]:,.0f} rows with a confidence of {found.edges[place]:.2f} to {found.edges[place + 1]:.2f}"
        for place in filled
    ]
    shared = {"name": whole, "legendgroup": name, "hovertext": told}
    gaps = found.confidence[filled] - found.accuracy[filled]
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": found.confidence[filled],
        "y": found.accuracy[filled],
        "customdata": gaps,
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 8, "symbol": symbol},
        "hovertemplate": "%{hovertext}<br>mean confidence %{x:.3f}<br>accuracy %{y:.3f}<br>"
        "confidence − accuracy %{customdata:+.3f}<extra></extra>",
    }
    width = 0.45 * (found.edges[1] - found.edges[0])
    bars = {
        "type": "bar",
        "width": width,
        "offset": -width if side == "left" else 0,
        "x": (found.edges[filled] + found.edges[filled + 1]) / 2,
        "y": found.rows[filled],
        "marker": {"color": colour},
        "opacity": 0.75,
        "yaxis": "y2",
        "showlegend": False,
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    return [{**shared, **line}, {**shared, **bars}]


def _layout(title: str) -> dict[str, Any]:
    return base_layout(
        title,
        640,
        hint="On the dashed line confidence can be taken at its word; ECE is the expected calibration error, the mean "
        "distance from it over the rows. Click in the legend to hide one of the two.",
        narrow={"margin.t": 66, **legend_below(60)},
        xaxis=axis("Confidence: the highest probability of a row", range=[0, 1.01], anchor="y2"),
        yaxis=axis("Accuracy", range=[-0.02, 1.02], domain=[0.34, 1]),
        yaxis2=axis("Rows", domain=[0, 0.26]),
        barmode="overlay",
        legend={"orientation": "h", "x": 0, "y": 1.01, "xanchor": "left", "yanchor": "bottom"},
        hovermode="closest",
    )
