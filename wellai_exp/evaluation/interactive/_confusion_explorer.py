"""The confusion matrix as a heat map that can be zoomed and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wellai_exp.evaluation._seriation import order_by_confusion
from wellai_exp.evaluation._style import GREY
from wellai_exp.evaluation.interactive._layout import axis, base_layout, buttons, folded_menus, shown, shown_apart

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

IntArray = npt.NDArray[np.int64]

# From dark blue (every row right) to pale, then from pale to dark orange (the worst mistake), as the printed matrix.
_COLOURS = (
    (0, "#08306B"),
    (0.25, "#2171B5"),
    (0.4999, "#DEEBF7"),
    (0.5001, "#FEE6CE"),
    (0.75, "#F16913"),
    (1, "#7F2704"),
)
# Below 20 % the scale would paint two stray mistakes as a disaster.
_LEAST_CEILING = 0.2
# Up to this many classes the cells carry their numbers; up to that many every class is named on the axes.
_NUMBERED, _NAMED = 30, 120
_HIERARCHY = "by hierarchy"


def confusion_explorer(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix as a heat map with buttons for the order of its classes and the unit of its cells.

    Orders: by index, by name, by confusion (classes that are taken for each other become neighbours, see
    `order_by_confusion`) and, where the evaluation has levels, by hierarchy, with lines between the coarsest parents.
    Units: shares of the true class's rows, or rows. Right answers are blue, mistakes orange, on scales of their own.
    Hovering tells true and predicted class, rows and share. Each order holds the matrix once more, 50 C² bytes in all.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes. A class without a row has an empty line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    from plotly.graph_objects import Figure

    support = np.maximum(evaluation.support, 1)[:, None]
    mistakes = evaluation.confusion * (1 - np.eye(evaluation.n_classes, dtype=np.int64))
    shares = _Unit(
        evaluation.confusion / support, 1.0, max(_LEAST_CEILING, float((mistakes / support).max())), 100, " %"
    )
    rows = _Unit(evaluation.confusion, max(1, np.diag(evaluation.confusion).max()), max(1, mistakes.max()), 1, "")
    views = {
        label: _view(evaluation, (shares, rows), order, _borders(evaluation, order) if label == _HIERARCHY else ())
        for label, order in _orders(evaluation).items()
    }
    first, on_axes = views["by index"]
    traces = [
        {**_TRACE, **{name: values[place % len(values)] for name, values in first.items()}, "coloraxis": scale}
        for place, scale in enumerate(("coloraxis", "coloraxis2"))
    ]
    traces[1]["visible"] = False
    units = {"share of the true class": [{"visible": [True, False]}], "rows": [{"visible": [False, True]}]}
    sorting = {label: list(view) for label, view in views.items()}
    menus = [buttons(sorting, "update"), buttons(units, "restyle", side="right")]
    return Figure(traces, _layout(evaluation, menus, (shares, rows))).update_layout(on_axes)


_TRACE = {
    "type": "heatmap",
    "hoverongaps": False,
    "hovertemplate": "%{hovertext}<extra></extra>",
    "xgap": 0.5,
    "ygap": 0.5,
}


class _Unit(NamedTuple):
    """The cells in one unit, with the scale of their colours.

    Parameters
    ----------
    values : ndarray, shape [C, C]
        By (true class, predicted class).
    right, mistaken : float
        Values with the darkest blue on the diagonal, and the darkest orange beside it.
    factor : float
        From `values` to what is written: 100 for percent.
    sign : str
        Written behind.
    """

    values: npt.NDArray[Any]
    right: float
    mistaken: float
    factor: float
    sign: str

    @property
    def colours(self) -> npt.NDArray[np.object_]:
        """Each cell's place on the scale [C, C], from -1 (right) to 1 (mistaken); None where it is empty."""
        on_diagonal = np.eye(len(self.values), dtype=bool)
        places = np.where(on_diagonal, -self.values / self.right, self.values / self.mistaken).round(4).astype(object)
        places[self.values == 0] = None
        return places

    @property
    def numbers(self) -> npt.NDArray[np.object_]:
        """What is written into each cell [C, C]."""
        written = (self.factor * self.values).round().astype(int).astype(object)
        written[self.values == 0] = ""
        return written

    def scale(self) -> dict[str, Any]:
        """Give plotly's colour axis."""
        return {
            "cmin": -1,
            "cmax": 1,
            "colorscale": _COLOURS,
            "colorbar": {
                "tickvals": [-1, -0.5, 0, 0.5, 1],
                "ticktext": self._ticks([self.right, self.right / 2, 0, self.mistaken / 2, self.mistaken]),
                "outlinewidth": 0,
                "thickness": 12,
                "len": 300,
                "lenmode": "pixels",
                "y": 1,
                "yanchor": "top",
            },
        }

    def narrow_scale(self, name: str) -> dict[str, Any]:
        """Give what lays the bar of the colour axis `name` under the plot, with room for three ticks."""
        changed = {
            "orientation": "h",
            "len": 0.75,
            "lenmode": "fraction",
            "y": -0.1,
            "tickvals": [-1, 0, 1],
            "ticktext": self._ticks([self.right, 0, self.mistaken]),
        }
        return {f"{name}.colorbar.{key}": value for key, value in changed.items()}

    def _ticks(self, values: Sequence[float]) -> list[str]:
        written = [f"{self.factor * value:,.3g}{self.sign}" for value in values]
        return [f"{written[0]} right", *written[1:-1], f"{written[-1]} mistaken"]


def _orders(evaluation: Evaluation) -> dict[str, IntArray]:
    names = np.array([name.casefold() for name in evaluation.class_names])
    orders = {
        "by index": np.arange(evaluation.n_classes),
        "by name": np.argsort(names, kind="stable"),
        "by confusion": order_by_confusion(evaluation),
    }
    if evaluation.levels:
        orders[_HIERARCHY] = np.lexsort((names, *reversed(evaluation.parents.values())))
    return orders


def _view(
    evaluation: Evaluation, units: Sequence[_Unit], order: IntArray, borders: Sequence[int]
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Give what an order decides: the traces' attributes, a value for each unit or one for both, and the layout's."""
    cells = np.ix_(order, order)
    apart = shown_apart(evaluation.class_names)
    names = [apart[index] for index in order]
    traces: dict[str, list[Any]] = {
        "x": [names],
        "y": [names],
        "z": [unit.colours[cells].tolist() for unit in units],
        "hovertext": [_told(names, evaluation.confusion[cells], evaluation.support[order])],
    }
    if evaluation.n_classes <= _NUMBERED:
        traces |= {"text": [unit.numbers[cells].tolist() for unit in units], "texttemplate": ["%{text}"]}
    layout = {
        "xaxis.categoryarray": names,
        "yaxis.categoryarray": names,
        "xaxis.autorange": True,
        "yaxis.autorange": "reversed",
        "shapes": [line for place in borders for line in _lines(place - 0.5, evaluation.n_classes - 0.5)],
    }
    return traces, layout


def _told(names: Sequence[str], counts: IntArray, support: IntArray) -> list[list[str]]:
    """Give what is told of each cell that is not empty, names included: plotly would give the shortened ones."""
    return [
        [
            f"true <b>{true}</b><br>predicted <b>{predicted}</b><br>"
            f"{rows:,} of {of_class:,} rows ({rows / of_class:.1%})"
            if rows
            else ""
            for predicted, rows in zip(names, line, strict=True)
        ]
        for true, line, of_class in zip(names, counts.tolist(), support.tolist(), strict=True)
    ]


def _borders(evaluation: Evaluation, order: IntArray) -> list[int]:
    """Give the places in an order where another of the coarsest parents begins."""
    coarsest = next(iter(evaluation.parents.values()))[order]
    return [int(place) + 1 for place in np.flatnonzero(np.diff(coarsest))]


def _lines(place: float, end: float) -> list[dict[str, Any]]:
    style = {"type": "line", "line": {"color": GREY, "width": 1}}
    return [
        {**style, "x0": place, "x1": place, "y0": -0.5, "y1": end},
        {**style, "x0": -0.5, "x1": end, "y0": place, "y1": place},
    ]


def _layout(evaluation: Evaluation, menus: list[dict[str, Any]], units: Sequence[_Unit]) -> dict[str, Any]:
    shares, rows = units
    size = evaluation.n_classes
    whole, short = shown_apart(evaluation.class_names), [shown(name, 34) for name in evaluation.class_names]
    counted = [f"{name} ({count:,})" for name, count in zip(short, evaluation.support, strict=True)]
    right = evaluation.aggregates["accuracy"]
    ticks = {"type": "category", "categoryorder": "array", "showgrid": False, "ticks": ""}
    if size <= _NAMED:
        ticks |= {"tickmode": "linear", "dtick": 1, "tickfont": {"size": 9 if size > _NUMBERED else 11}}
    narrow = {
        "height": 560,
        "xaxis.showticklabels": False,
        "yaxis.showticklabels": False,
        "margin.l": 30,
        **shares.narrow_scale("coloraxis"),
        **rows.narrow_scale("coloraxis2"),
        **folded_menus(len(menus)),
    }
    return base_layout(
        f"Confusion matrix: {len(evaluation.labels):,} rows, {right:.1%} right",
        330 + max(260, 12 * min(size, _NAMED)),
        hint="Point at a cell for its classes and rows. By confusion, classes taken for each other are neighbours.",
        narrow=narrow,
        xaxis=axis("Predicted class", **ticks, labelalias=dict(zip(whole, short, strict=True)), tickangle=-90),
        yaxis=axis("True class (rows)", **ticks, labelalias=dict(zip(whole, counted, strict=True))),
        coloraxis=shares.scale(),
        coloraxis2=rows.scale(),
        updatemenus=menus,
    )
