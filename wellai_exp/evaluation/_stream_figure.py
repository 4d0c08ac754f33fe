"""The picture of a model before a camera: how late its answers are, and how many frames it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wellai_exp.evaluation._style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SKY,
    canvas,
    grid_along,
    message_figure,
    printable,
    text_inches,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = "Latency from the camera to the answer, and frames dropped"
_ROW_INCHES, _PANELS_INCHES = 0.42, 6.2


def stream_figure(
    latencies: Mapping[str, npt.NDArray[np.float64]], dropped: Sequence[float], fps: float, source: str
) -> Figure:
    """Draw each artifact's latencies and the share of frames that it dropped.

    Parameters
    ----------
    latencies : mapping of str to ndarray
        For each artifact in its runtime the milliseconds of its answers, at least one.
    dropped : sequence of float
        The share of frames dropped by each, 0 to 1.
    fps : float
        Frames a second that the camera sent.
    source : str
        What it sent, in words.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not latencies:
        return message_figure(_TITLE, "Nothing could be measured.")
    names = [printable(name, 48) for name in latencies]
    width = text_inches(names, 9) + _PANELS_INCHES
    height = 1.75 + _ROW_INCHES * len(names)
    with canvas(width, height, columns=2, sharey=True, width_ratios=(3, 1)) as (figure, (left, right)):
        places = np.arange(len(names))
        _draw_latencies(left, list(latencies.values()), 1000.0 / fps)
        right.barh(places, 100 * np.asarray(dropped), height=0.55, color=ORANGE)
        for place, share in zip(places, dropped, strict=True):
            right.annotate(f"{100 * share:.1f}", (100 * share, place), (4, 0), textcoords="offset points", va="center")
        right.set(xlim=(0, 130), xticks=[0, 50, 100])
        right.set_xlabel("frames dropped (%)")
        left.set_yticks(places, names)
        left.set_ylim(len(names) - 0.5, -0.5)
        grid_along(left, "x")
        grid_along(right, "x")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=4, handletextpad=0.4)
        figure.suptitle(_TITLE, x=0.01, ha="left", fontweight="bold", fontsize=11)
        left.set_title(printable(f"{fps:g} frames a second of {source}", 90), fontsize=9, fontweight="normal")
    return figure


def _draw_latencies(axes: Axes, latencies: Sequence[npt.NDArray[np.float64]], frame: float) -> None:
    """Draw the middle 90 % as a bar, and the median, the 95th and the 99th percentile as marks."""
    for place, found in enumerate(latencies):
        first = place == 0
        low, median, p95, p99 = np.percentile(found, [5, 50, 95, 99])
        axes.barh(place, p95 - low, left=low, height=0.55, color=SKY, label="middle 90 %" if first else None)
        axes.plot([median] * 2, [place - 0.275, place + 0.275], color=INK, lw=2, label="median" if first else None)
        axes.plot(p99, place, "D", color=BLUE, ms=5, label="99th percentile" if first else None)
    axes.axvline(frame, color=GREY, lw=1, ls="--", label="time between two frames")
    axes.set_xscale("log")
    least, most = min(found.min() for found in latencies), max(found.max() for found in latencies)
    axes.set_xlim(0.8 * min(least, frame), 1.25 * max(most, frame))
    axes.set_xlabel("latency (ms)")
    _plain_ticks(axes)


def _plain_ticks(axes: Axes) -> None:
    """Write 1, 2, 5, 10 … instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
