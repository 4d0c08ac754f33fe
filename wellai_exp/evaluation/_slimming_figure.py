"""The picture of what a smaller or faster artifact of a model costs in quality."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import CYCLE, GREY, VERMILION, canvas, message_figure, metric_label, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_SPAN = 0.03
_MARKERS = "osD^v"
_COLUMNS = ("artifact", "format", "size_mb", "latency_ms", "quality", "fit")
_AXES = (("size_mb", "Size on disk (MB, less is better)"), ("latency_ms", "Latency (ms a frame here, less is better)"))


def slimming_figure(artifacts: pd.DataFrame, metric: str, keras: float | None = None) -> Figure:
    """Draw a quality of every artifact against its size and its latency.

    Parameters
    ----------
    artifacts : DataFrame
        One row an artifact and runtime: ``artifact`` and ``format`` (names), ``size_mb``, ``latency_ms``, ``quality``
        and ``fit`` (bool). Rows without a number are left out.
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
    with canvas(12, 5.2, columns=2, sharey=True) as (figure, pair):
        for axes, (column, label) in zip(pair, _AXES, strict=True):
            _panel(axes, known, column, colours)
            if keras is not None:
                axes.axhline(keras, color=GREY, lw=1, ls="--", zorder=1, label="Keras, at the model's own size")
            axes.set_xlabel(label)
            axes.grid(visible=True, which="both", linewidth=0.6)
        _spread(pair[0], [*known["quality"], *([] if keras is None else [keras])])
        pair[0].set_ylabel(f"{metric_label(metric)} (more is better)")
        pair[0].set_title(title, pad=32)
        handles, names = pair[0].get_legend_handles_labels()
        pair[0].legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, borderaxespad=0.2)
    return figure


def _panel(axes: Axes, known: pd.DataFrame, column: str, colours: dict[str, str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.margins(x=0.18)
    for (name, colour), marker in zip(colours.items(), cycle(_MARKERS), strict=False):
        rows: pd.DataFrame = known.loc[(known["format"] == name) & known["fit"].astype(bool)]
        if not rows.empty:
            axes.plot(rows[column], rows["quality"], marker, color=colour, mec="white", ms=8, label=name, zorder=3)
    unfit: pd.DataFrame = known.loc[~known["fit"].astype(bool)]
    if not unfit.empty:
        axes.plot(unfit[column], unfit["quality"], "x", color=VERMILION, ms=8, mew=2, label="unfit", zorder=4)
    # Labels of neighbours go up and down in turn, by their place from left to right.
    for place, (_, row) in enumerate(known.sort_values(column).iterrows()):
        up = place % 2 == 0
        axes.annotate(
            printable(row["artifact"], 30), (row[column], row["quality"]), (0, 7 if up else -7),
            textcoords="offset points", ha="center", va="bottom" if up else "top", fontsize=7, rotation=25,
        )  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _spread(axes: Axes, qualities: list[float]) -> None:
    """Leave room for names, and do not blow a difference of nothing up to the whole picture."""
    low, high = min(qualities), max(qualities)
    room = max(0.25 * (high - low), 0.5 * (_LEAST_SPAN - (high - low)))
    axes.set_ylim(low - room, high + room)
