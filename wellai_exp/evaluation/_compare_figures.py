"""Pictures of a comparison: metrics, classes, confusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.evaluation._compare import FALLING
from wellai_exp.evaluation._style import (
    BLUE,
    GREY,
    INK,
    PALE,
    VERMILION,
    canvas,
    grid_along,
    message_figure,
    metric_label,
    printable,
    text_inches,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

# f1_micro is the accuracy, where each row has one label.
_LEFT_OUT = "f1_micro"
_NAMED = 14
# Cells are too small for numbers above so many classes.
_NUMBERED = 30
_SURE = 0.05


def metric_deltas_figure(deltas: Mapping[str, pd.DataFrame], reference: str) -> Figure:
    """Draw by how much each metric differs from the reference's, with its interval: a column a model.

    Parameters
    ----------
    deltas : mapping of str to DataFrame
        Model -> its table of metrics, see `wellai_exp.evaluation.Comparison`.
    reference : str
        The model that they are compared with.

    Returns
    -------
    matplotlib.figure.Figure
        Above, scores in points; below, what falls as a model improves, in its own unit. Blue is better and vermilion
        worse than the reference where the interval leaves out 0; grey is undecided.
    """
    known = [str(name) for name in next(iter(deltas.values()))["metric"] if name != _LEFT_OUT]
    halves = [[name for name in known if name not in FALLING], [name for name in known if name in FALLING]]
    halves = [half for half in halves if half]
    heights = [len(half) + 0.8 for half in halves]
    size = (2.2 + 4.6 * len(deltas), 0.27 * sum(heights) + 0.75 * len(halves) + 0.9)
    shared: dict[str, Any] = {"sharex": "row", "sharey": "row", "height_ratios": heights, "squeeze": False}
    with canvas(*size, rows=len(halves), columns=len(deltas), layout="constrained", **shared) as (figure, panels):
        figure.suptitle(f"Against {printable(reference, 60)}", x=0.01, ha="left", fontweight="bold", fontsize=11)
        for row, half in enumerate(halves):
            for axes, (model, table) in zip(panels[row], deltas.items(), strict=True):
                _forest(axes, table.set_index("metric").loc[half], falling=half[0] in FALLING)
                axes.set_title(printable(model, 48) if row == 0 else "")
            panels[row, 0].set_yticks(np.arange(len(half)), [metric_label(name) for name in half])
            panels[row, 0].set_ylim(len(half) - 0.5, -0.6)
    return figure


def _forest(axes: Axes, rows: pd.DataFrame, *, falling: bool) -> None:
    scale = 1.0 if falling else 100.0
    delta, low, high = (scale * rows[name].to_numpy(float) for name in ("delta", "low", "high"))
    axes.axvline(0, color=INK, lw=1)
    colours = _verdicts(delta, (low > 0) | (high < 0), falling=falling)
    places = range(len(rows))
    axes.hlines(places, low, high, colors=colours, lw=2)
    axes.scatter(delta, places, c=colours, s=26, zorder=3)
    for place in places:
        said = "not measured" if np.isnan(delta[place]) else _number(delta[place], low[place], high[place], falling)
        axes.text(1.02, place, said, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=INK)
    axes.set_xlabel("Difference (less is better)" if falling else "Difference in points (more is better)")
    axes.margins(x=0.08)
    grid_along(axes, "x")


def _number(delta: float, low: float, high: float, falling: bool) -> str:
    digits = 3 if falling else 1
    return f"{delta:+.{digits}f}  [{low:+.{digits}f}, {high:+.{digits}f}]"


def _verdicts(delta: npt.NDArray[np.float64], sure: npt.NDArray[np.bool_], *, falling: bool = False) -> list[str]:
    better = delta < 0 if falling else delta > 0
    return [(BLUE if good else VERMILION) if decided else GREY for good, decided in zip(better, sure, strict=True)]


def class_deltas_figure(classes: pd.DataFrame, reference: str, candidate: str) -> Figure:
    """Draw by how much each class's AUC-PR differs, the most gained on top.

    Parameters
    ----------
    classes : DataFrame
        The table of classes, see `wellai_exp.evaluation.Comparison`.
    reference, candidate : str
        The models.

    Returns
    -------
    matplotlib.figure.Figure
        Blue is better and vermilion worse where the difference is significant at 5 % after Holm's correction for the
        number of classes; grey is undecided. A class without a row stands last, without a marker. The axis reaches half
        as far again as the greatest difference; wider intervals, of classes with two or three rows, are cut off.
    """
    table = classes.sort_values("delta", ascending=False, kind="stable", na_position="last", ignore_index=True)
    delta = 100 * table["delta"].to_numpy(float)
    sure = table["p_holm"].to_numpy(float) < _SURE
    colours = _verdicts(delta, sure)
    places = np.arange(len(table))
    pitch = float(np.interp(len(table), [12, 60], [0.3, 0.18]))
    font = float(np.interp(len(table), [12, 60], [9, 7.5]))
    names = [f"{printable(name, 44)}  ({rows})" for name, rows in zip(table["class"], table["support"], strict=True)]
    with canvas(9.5, pitch * len(table) + 1.7) as (figure, axes):
        axes.axvline(0, color=INK, lw=1)
        axes.hlines(places, 100 * table["low"], 100 * table["high"], colors=colours, lw=3, alpha=0.35)
        axes.scatter(delta, places, c=colours, s=20, zorder=3)
        for place, row in zip(places, table.itertuples(), strict=True):
            said = "no row to measure" if np.isnan(delta[place]) else f"{row.reference:.2f} → {row.candidate:.2f}"
            ink = INK if sure[place] else GREY
            axes.text(
                1.01, place, said, transform=axes.get_yaxis_transform(), va="center", fontsize=font - 0.5, color=ink
            )
        axes.set_yticks(places, names, fontsize=font)
        reach = 1.5 * float(np.nanmax(np.abs(delta), initial=2.0))
        axes.set(xlim=(-reach, reach), ylim=(len(table) - 0.4, -0.6))
        axes.set_xlabel("Difference of AUC-PR in points (rows in brackets)")
        axes.set_title(
            f"{printable(candidate, 30)} against {printable(reference, 30)}: "
            f"{int(sure.sum())} of {len(table)} classes surely differ"
        )
        grid_along(axes, "x")
        axes.grid(visible=True, axis="y", linewidth=0.4)
    return figure


def confusion_difference_figure(
    reference: Evaluation, candidate: Evaluation, names: tuple[str, str] = ("reference", "candidate")
) -> Figure:
    """Draw the difference of two confusion matrices, each row in points of the true class's rows.

    Parameters
    ----------
    reference, candidate : Evaluation
        Of the same rows and classes, see `pair_evaluations`.
    names : tuple of str and str
        The models' names, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Blue is better: more on the diagonal, or less beside it; red is worse. Only the classes in the largest changes
        are named, and up to 30 classes those changes carry their number. A class without a row is an empty grey line.
    """
    change = confusion_difference(reference, candidate)
    title = f"Confusions of {printable(names[1], 30)} minus {printable(names[0], 30)}, points of the true class"
    n_classes = len(change)
    shown = _largest(change)
    if not shown:
        return message_figure(title, "Nothing changed: both gave as many rows of each class to each class.")
    named = sorted({int(index) for cell in shown for index in cell})
    cell = float(np.interp(n_classes, [3, 12, 30, 60], [0.9, 0.5, 0.3, 0.125]))
    font = 8.0 if n_classes <= 30 else 7.0
    labels = [printable(reference.class_names[index], 34) for index in named]
    side = max(2.6, cell * n_classes)
    room = text_inches(labels, font) + 0.5
    size = (room + side + 1.25, room + side + 0.45)
    with canvas(*size, layout=None) as (figure, axes):
        axes.set_position((room / size[0], room / size[1], side / size[0], side / size[1]))
        _paint(figure, axes, change, side)
        if n_classes <= _NUMBERED:
            _write_numbers(axes, change, shown, font - 1)
        for axis, rotation in ((axes.xaxis, 90), (axes.yaxis, 0)):
            axis.set_ticks(named, labels, rotation=rotation, fontsize=font)
        figure.text((room + side / 2) / size[0], 0.12 / size[1], "Predicted class", ha="center")
        figure.text(0.12 / size[0], (room + side / 2) / size[1], "True class", rotation=90, va="center")
        axes.set_title(title)
    return figure


def confusion_difference(reference: Evaluation, candidate: Evaluation) -> npt.NDArray[np.float64]:
    """Give candidate minus reference in points of each true class's rows [C, C]; NaN for a class without a row."""
    support = reference.support[:, None].astype(float)
    support[support == 0] = np.nan
    return np.asarray(100 * (candidate.confusion - reference.confusion) / support)


def _largest(change: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Give the cells that changed most, until they name as many classes as the axes have room for."""
    order = np.argsort(-np.abs(np.nan_to_num(change)), axis=None, kind="stable")
    cells: list[tuple[int, int]] = []
    named: set[int] = set()
    for flat in order:
        row, column = divmod(int(flat), len(change))
        if not change[row, column] or np.isnan(change[row, column]) or len(named | {row, column}) > _NAMED:
            break
        named |= {row, column}
        cells.append((row, column))
    return cells


def _write_numbers(axes: Axes, change: npt.NDArray[np.float64], cells: list[tuple[int, int]], font: float) -> None:
    reach = _reach(change)
    for row, column in cells:
        ink = "white" if abs(change[row, column]) > 0.6 * reach else INK
        said = f"{change[row, column]:+.0f}"
        axes.text(column, row, said, ha="center", va="center", fontsize=font, color=ink)


def _reach(change: npt.NDArray[np.float64]) -> float:
    """Give the ends of the scale: below 10 points it would paint a stray row as a disaster."""
    return max(10.0, float(np.nanmax(np.abs(change), initial=0)))


def _paint(figure: Figure, axes: Axes, change: npt.NDArray[np.float64], side: float) -> None:
    """Colour the cells by whether they got better, and draw the scale beside axes of `side` inches."""
    n_classes = len(change)
    better = np.where(np.eye(n_classes, dtype=bool), change, -change)
    reach = _reach(change)
    image = axes.imshow(
        np.ma.masked_invalid(better), cmap=_red_to_blue(), vmin=-reach, vmax=reach, interpolation="nearest"
    )
    for index in np.flatnonzero(np.isnan(change[:, 0])):
        axes.axhspan(index - 0.5, index + 0.5, color=PALE, linewidth=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    edges = np.arange(1, n_classes) - 0.5
    axes.hlines(edges, -0.5, n_classes - 0.5, color=PALE, linewidth=0.4)
    axes.vlines(edges, -0.5, n_classes - 0.5, color=PALE, linewidth=0.4)
    height = min(2.6, 0.9 * side) / side
    bar = figure.colorbar(image, cax=axes.inset_axes((1 + 0.2 / side, 1 - height, 0.14 / side, height)))
    bar.set_label("Worse  ←  points  →  better")
    bar.outline.set_visible(False)


def _red_to_blue() -> Colormap:
    import matplotlib as mpl

    return mpl.colormaps["RdBu"]
