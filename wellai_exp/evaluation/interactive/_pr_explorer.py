"""Precision-recall curves of many classes, to find and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wellai_exp.evaluation._curves import ALL_NAMED, micro_curve, named_colours, ranked_classes
from wellai_exp.evaluation._pr_table import StepCurve, class_curves
from wellai_exp.evaluation._style import CYCLE, GREY, INK
from wellai_exp.evaluation.interactive._layout import axis, base_layout, buttons, folded_menus, legend_below, shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

_DASHES = ("dash", "dot", "dashdot", "longdash")
_SHOWN = 10
_NUMBERS = "<br>threshold %{customdata:.3f}<br>precision %{y:.3f}<br>recall %{x:.3f}<extra></extra>"


def pr_explorer(evaluation: Evaluation) -> Figure:
    """Draw the one-vs-rest precision-recall curve of every class, each to be called up by its name.

    The legend holds every class, worst AUC-PR first: a click shows or hides a curve, a double click leaves it alone on
    the canvas. Above 8 classes the three best and the three worst are shown at first, and all curves lie thin and grey
    behind. Hovering tells class, threshold, precision and recall of a corner (see `pr_table`).

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes. A class without a row has no curve.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    from plotly.graph_objects import Figure

    curves, ranked = class_curves(evaluation), ranked_classes(evaluation)
    few = len(ranked) <= ALL_NAMED
    traces = [_micro(evaluation)]
    if not few:
        traces.append(_background(evaluation, ranked, curves))
    fixed = len(traces)
    colours = named_colours(ranked)
    for place, index in enumerate(reversed(ranked)):
        style = {"color": colours.get(index, CYCLE[place % 6]), "width": 2}
        if index not in colours:
            style["dash"] = _DASHES[place // 6 % len(_DASHES)]
        traces.append(_class_trace(evaluation, index, curves[index], style, visible=index in colours))
    menus = [] if few else [buttons(_choices(ranked, colours, fixed), "restyle")]
    macro = evaluation.aggregates["auc_pr_macro"]
    title = f"Precision-recall of {len(ranked)} classes, macro AUC-PR {macro:.3f}"
    return Figure(traces, _layout(title, menus, len(traces)))


def _layout(title: str, menus: list[dict[str, Any]], entries: int) -> dict[str, Any]:
    # Pixels of the legend under the plot: its title and a line for each entry, as far as a small screen has room.
    below = min(300, 30 + 20 * entries)
    return base_layout(
        title,
        680,
        hint="Click a class in the legend to show or hide its curve, double-click to see it alone.",
        find=True,
        narrow={"height": 520 + below, **folded_menus(len(menus)), **legend_below(below)},
        xaxis=axis("Recall", range=[0, 1.005]),
        yaxis=axis("Precision", range=[0, 1.02]),
        hovermode="closest",
        hoverdistance=60,
        legend={
            "title": {"text": "AUC-PR  class (rows), worst first"},
            "font": {"size": 11},
            "x": 1.01,
            "y": 1,
            "xanchor": "left",
            "yanchor": "top",
            "orientation": "v",
        },
        margin={"l": 64, "r": 24, "t": 84 if menus else 48, "b": 56},
        updatemenus=menus,
    )


def _steps(curve: StepCurve, name: str) -> dict[str, Any]:
    """Give a curve as plotly draws it: up or down first, then along to the next recall."""
    recall, precision = curve.outline
    return {
        "type": "scatter",
        "mode": "lines",
        "x": recall,
        "y": precision,
        "customdata": np.append(curve.threshold[0], curve.threshold),
        "hovertemplate": f"<b>{name}</b>{_NUMBERS}",
    }


def _class_trace(
    evaluation: Evaluation, index: int, curve: StepCurve, style: dict[str, Any], *, visible: bool
) -> dict[str, Any]:
    name = evaluation.class_names[index]
    return {
        **_steps(curve, shown(name)),
        "name": f"{evaluation.auc_pr[index]:.3f}  {shown(name, 36)} ({evaluation.support[index]:,})",
        "meta": name,
        "line": {"shape": "vh", **style},
        "visible": True if visible else "legendonly",
    }


def _micro(evaluation: Evaluation) -> dict[str, Any]:
    score = evaluation.aggregates["auc_pr_micro"]
    return {
        **_steps(micro_curve(evaluation), "micro average of all classes"),
        "name": f"{score:.3f}  micro average of all classes",
        "line": {"shape": "vh", "color": INK, "width": 3},
    }


def _background(evaluation: Evaluation, ranked: list[int], curves: dict[int, StepCurve]) -> dict[str, Any]:
    """Join all curves into one grey trace, in which a gap parts each from the next."""
    parts = [_steps(curves[index], "%{hovertext}") for index in ranked]
    names = [name for index, part in zip(ranked, parts, strict=True) for name in _repeated(evaluation, index, part)]
    return {
        **parts[0],
        **{key: np.concatenate([np.append(part[key], np.nan) for part in parts]) for key in ("x", "y", "customdata")},
        "name": "all classes, thin and grey",
        "hovertext": names,
        "line": {"shape": "vh", "color": GREY, "width": 0.7},
        "opacity": 0.45,
    }


def _repeated(evaluation: Evaluation, index: int, part: dict[str, Any]) -> list[str]:
    return [shown(evaluation.class_names[index])] * len(part["x"]) + [""]


def _choices(ranked: list[int], colours: dict[int, str], fixed: int) -> dict[str, list[dict[str, Any]]]:
    """Give the buttons that choose which of the classes' traces, after `fixed` others, are visible."""

    def visible(chosen: set[int]) -> list[dict[str, Any]]:
        states = [True if index in chosen else "legendonly" for index in reversed(ranked)]
        return [{"visible": [True] * fixed + states}]

    count = min(_SHOWN, len(ranked))
    return {
        "worst and best 3": visible(set(colours)),
        f"worst {count}": visible(set(ranked[-count:])),
        f"best {count}": visible(set(ranked[:count])),
        "all": visible(set(ranked)),
        "none": visible(set()),
    }
