"""AUC-PR of each class with its interval, to be sorted and hovered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wellai_exp import metrics
from wellai_exp.evaluation._style import BLUE, GREEN, INK, ORANGE
from wellai_exp.evaluation.interactive._layout import (
    axis,
    base_layout,
    buttons,
    folded_menus,
    legend_below,
    shown,
    shown_apart,
)
from wellai_exp.metrics import ArrayError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from wellai_exp.evaluation._evaluation import Evaluation
    from wellai_exp.metrics import Interval

_PART_COLOURS = dict(zip(metrics.PARTS, (BLUE, GREEN, ORANGE), strict=True))


def per_class_plot(evaluation: Evaluation, intervals: Sequence[Interval] | None = None) -> Figure:
    """Draw each class's AUC-PR as a dot, with buttons for the order of the classes.

    Orders: by AUC-PR, by name, by rows and, where the evaluation knows them, by training images; then the classes of
    head, middle and tail (see `wellai_exp.metrics.parts_of`) have colours of their own. Hovering tells precision,
    recall, F1, rows, training images and the class that most of the mistakes were given to.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes. A class without a row has its line and no dot.
    intervals : sequence of Interval, length C, optional
        The AUC-PR's interval of each class (see `wellai_exp.metrics.bootstrap_per_class`), drawn as a whisker.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ArrayError
        Where there are not as many intervals as classes.
    """
    from plotly.graph_objects import Figure

    if intervals is not None and len(intervals) != evaluation.n_classes:
        raise ArrayError(
            f"There are {evaluation.n_classes} classes but {len(intervals)} intervals; they must be as many."
        )
    table = evaluation.per_class
    table["y"] = shown_apart(evaluation.class_names)
    table["trained"] = np.nan if evaluation.train_support is None else evaluation.train_support
    table["low"] = np.nan if intervals is None else [interval.low for interval in intervals]
    table["high"] = np.nan if intervals is None else [interval.high for interval in intervals]
    parts = np.repeat("", len(table)) if evaluation.train_support is None else metrics.parts_of(table["trained"])
    traces = [_dots(table[parts == part], part) for part in ("", *metrics.PARTS) if (parts == part).any()]
    return Figure(traces, _layout(evaluation, table))


def _dots(table: pd.DataFrame, part: str) -> dict[str, Any]:
    """Give the dots of one part's classes."""
    score = table["auc_pr"]
    colour = _PART_COLOURS.get(part, BLUE)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{part} ({len(table)} classes, mean {score.mean():.3f})",
        "showlegend": bool(part),
        "x": score.to_numpy(),
        "y": table["y"].tolist(),
        "marker": {"color": colour, "size": 8},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": (table["high"] - score).to_numpy(),
            "arrayminus": (score - table["low"]).to_numpy(),
            "color": colour,
            "thickness": 1.4,
            "width": 3,
        },
        "hovertext": [_told(row) for row in table.to_dict("records")],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _told(row: Mapping[Any, Any]) -> str:
    """Give what hovering tells of a class."""
    lines = [
        f"<b>{row['y']}</b>",
        f"AUC-PR {row['auc_pr']:.3f}" + ("" if np.isnan(row["low"]) else f" ({row['low']:.3f} to {row['high']:.3f})"),
        f"precision {row['precision']:.3f}, recall {row['recall']:.3f}, F1 {row['f1']:.3f}",
        f"{row['support']:,} rows" + ("" if np.isnan(row["trained"]) else f", {row['trained']:,.0f} training images"),
    ]
    if row["most_confused_with"]:
        lines.append(f"most often taken for {shown(row['most_confused_with'])}")
    return "<br>".join(lines)


def _layout(evaluation: Evaluation, table: pd.DataFrame) -> dict[str, Any]:
    orders = {"by AUC-PR": table.sort_values("auc_pr", ascending=False, kind="stable", na_position="last")}
    orders["by name"] = table.sort_values("class", key=lambda names: names.str.casefold(), kind="stable")
    orders["by rows"] = table.sort_values("support", ascending=False, kind="stable")
    if evaluation.train_support is not None:
        orders["by training images"] = table.sort_values("trained", ascending=False, kind="stable")
    choices = {label: [{"yaxis.categoryarray": sorted_["y"].tolist()}] for label, sorted_ in orders.items()}
    macro = evaluation.aggregates["auc_pr_macro"]
    size = len(table)
    aliases = {row["y"]: f"{shown(row['class'], 40)} ({row['support']:,})" for row in table.to_dict("records")}
    return base_layout(
        f"AUC-PR of {size} classes; dashed: macro mean {macro:.3f}",
        190 + max(160, 15 * size),
        hint="Point at a dot for what is known of its class.",
        narrow={
            "yaxis.tickfont.size": 8,
            "yaxis.labelalias": {row["y"]: shown(row["class"], 18) for row in table.to_dict("records")},
            **folded_menus(1),
            **legend_below(70),
        },
        xaxis=axis("AUC-PR (one class against the rest)", range=[0, 1.02]),
        yaxis=axis(
            "",
            type="category",
            categoryorder="array",
            categoryarray=next(iter(orders.values()))["y"].tolist(),
            range=[size - 0.4, -0.6],
            tickmode="linear",
            dtick=1,
            labelalias=aliases,
            tickfont={"size": 10},
        ),
        shapes=[
            {
                "type": "line",
                "x0": macro,
                "x1": macro,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "layer": "below",
                "line": {"color": INK, "width": 1, "dash": "dash"},
            }
        ],
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
        hovermode="closest",
        updatemenus=[buttons(choices, "relayout")],
    )
