"""The picture of what a smaller or faster artifact of a model costs in quality."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import CYCLE, GREY, VERMILION, canvas, message_figure, metric_label, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_SPAN = 0.03
# Of a panel's width: what a line of slanted small print takes.
_NAMES_APART = 0.045
_MARKERS = "osD^v"
_COLUMNS = ("artifact", "runtime", "format", "size_mb", "latency_ms", "quality", "fit")
_AXES = (("size_mb", "Size on disk (MB, less is better)"), ("latency_ms", "Latency (ms a frame here, less is better)"))


def slimming_figure(artifacts: pd.DataFrame, metric: str, keras: float | None = None) -> Figure:
    """Draw a quality of every artifact against its size and its latency.

    Parameters
    ----------
    artifacts : DataFrame
        One row an artifact and runtime: ``artifact``, ``runtime`` and ``format`` (names), ``size_mb``,
        ``latency_ms``, ``quality`` and ``fit`` (bool). Rows without a number are left out.
    metric : str
        What ``quality`` is, e.g. ``auc_pr_macro``.
    keras : float or None
        The same of the model in Keras, drawn as a line.

    Raises
    ------
    DataError
        Where a column is missing.
    """
    if missing := [name for name in _COLUMNS if name not in artifacts.columns]:
        raise DataError(f"The artifacts lack the columns {', '.join(missing)}.")
    numbers = ["size_mb", "latency_ms", "quality"]
    known: pd.DataFrame = artifacts.dropna(subset=numbers)
    title = f"{metric_label(metric)} against size and latency"
    if known.empty:
        return message_figure(title, "No artifact was run on images.")
    colours = dict(zip(sorted(set(known["format"])), CYCLE, strict=False))
    with canvas(12, 6.4, columns=2, sharey=True) as (figure, pair):
        _spread(pair[0], [*known["quality"], *([] if keras is None else [keras])])
        for axes, (column, label) in zip(pair, _AXES, strict=True):
            # An artifact has one size, and a latency in each of its runtimes.
            _panel(axes, known if column == "latency_ms" else known.drop_duplicates("artifact"), column, colours)
            if keras is not None:
                axes.axhline(keras, color=GREY, lw=1, ls="--", zorder=1, label="Keras, at the model's own size")
            axes.set_xlabel(label)
            axes.grid(visible=True, which="both", linewidth=0.6)
        pair[0].set_ylabel(f"{metric_label(metric)} (more is better)")
        figure.suptitle(title, x=0.008, ha="left", fontsize=11, fontweight="bold")
        # A format may have a marker in one panel and be unfit in all of the other.
        named = {name: mark for axes in pair for mark, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named, loc="outside lower left", ncols=8, borderaxespad=0.2)
    return figure


def _panel(axes: Axes, known: pd.DataFrame, column: str, colours: dict[str, str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.margins(x=0.08)
    for (name, colour), marker in zip(colours.items(), cycle(_MARKERS), strict=False):
        rows: pd.DataFrame = known.loc[(known["format"] == name) & known["fit"].astype(bool)]
        if not rows.empty:
            axes.plot(rows[column], rows["quality"], marker, color=colour, mec="white", ms=8, label=name, zorder=3)
    unfit: pd.DataFrame = known.loc[~known["fit"].astype(bool)]
    if not unfit.empty:
        axes.plot(unfit[column], unfit["quality"], "x", color=VERMILION, ms=8, mew=2, label="unfit", zorder=4)
    several = known["artifact"].duplicated(keep=False)
    names = known["artifact"].where(~several, known["artifact"] + ", " + known["runtime"])
    ordered = known.assign(named=names).sort_values([column, "quality"], ascending=[True, False])
    _name(axes, ordered[column].to_numpy(float), ordered["quality"].to_numpy(float), list(ordered["named"]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name(axes: Axes, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], names: list[str]) -> None:
    """Write the names of points, from left to right, above the panel, and lead a thin line from each to its point.

    Artifacts of one model lie on top of each other: beside the points there is no room for names.
    """
    axes.autoscale_view()
    low, high = np.log(axes.get_xlim())
    gap = min(_NAMES_APART, 1 / len(names))
    for place, across, down, name in zip(apart((np.log(x) - low) / (high - low), gap), x, y, names, strict=True):
        axes.annotate(
            printable(name, 34), (across, down), (place, 1.02), textcoords="axes fraction", fontsize=7, rotation=55,
            ha="left", va="bottom", rotation_mode="anchor",
            arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0, "shrinkB": 3, "relpos": (0, 0)},
        )  # fmt: skip


def apart(wanted: npt.NDArray[np.float64], gap: float) -> npt.NDArray[np.float64]:
    """Move ascending places within 0 to 1 at least `gap` apart, and no further than that needs."""
    steps = gap * np.arange(len(wanted))
    pushed: npt.NDArray[np.float64] = np.minimum(np.maximum.accumulate(wanted - steps), 1 - steps[-1])
    return pushed + steps


def _spread(axes: Axes, qualities: list[float]) -> None:
    """Leave some room, and do not blow a difference of nothing up to the whole picture."""
    low, high = min(qualities), max(qualities)
    room = max(0.1 * (high - low), 0.5 * (_LEAST_SPAN - (high - low)))
    axes.set_ylim(low - room, high + room)
