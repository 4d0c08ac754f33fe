"""Pictures of a data set: how many images each class has, what they look like, which are twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wellai_exp.evaluation._contact_sheet import Picture, contact_sheet, thumbnail
from wellai_exp.evaluation._style import BLUE, PALE, SKY, canvas, grid_along, message_figure, printable
from wellai_exp.metrics import ArrayError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
_SIDE = 160
_ROUND = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


def class_balance_figure(names: Sequence[str], train: IntArray, test: IntArray) -> Figure:
    """Draw the images of each class, training and test part end to end, the largest class first.

    Parameters
    ----------
    names : sequence of str
        Of C classes.
    train, test : array of int64, shape (C,)
        Images of each.
    """
    if not len(names) == len(train) == len(test):
        raise ArrayError(f"{len(names)} classes came with {len(train)} and {len(test)} counts.")
    order = np.argsort(train + test, kind="stable")
    places = np.arange(len(names))
    with canvas(7.5, max(2.0, 0.6 + 0.155 * len(names))) as (figure, axes):
        axes.barh(places, train[order], color=BLUE, height=0.8, label="training")
        axes.barh(places, test[order], left=train[order], color=SKY, height=0.8, label="test")
        axes.set_yticks(places, [printable(names[index], 34) for index in order], fontsize=7)
        axes.set(ylim=(-0.7, len(names) - 0.3), xlabel="images", title="Class balance")
        axes.legend(loc="lower right")
        grid_along(axes, "x")
    return figure


def sizes_figure(width: IntArray, height: IntArray, parts: Mapping[str, BoolArray]) -> Figure:
    """Draw histograms of the shorter side and of the shape.

    Parameters
    ----------
    width, height : array of int64, shape (n,)
        Pixels of each picture, at least 1.
    parts : mapping of str to array of bool, shape (n,)
        What the legend says -> the pictures that it means; drawn over one another, the first below.
    """
    if not len(width):
        return message_figure("Sizes and shapes", "There is no picture.")
    panels = (
        (np.minimum(width, height).astype(float), "shorter side (px)", "Sizes"),
        (width / height, "width over height", "Shapes"),
    )
    with canvas(9, 3.2, columns=2) as (figure, axes):
        for panel, (values, label, title) in zip(axes, panels, strict=True):
            low, high = float(values.min()), float(values.max())
            bins = np.geomspace(low, high if high > low else low * 1.1, 41)
            for (name, rows), colour in zip(parts.items(), (PALE, BLUE), strict=False):
                panel.hist(values[rows], bins, color=colour, label=name)
            ticks = [tick for tick in _ROUND if low <= tick <= high]
            panel.set(xscale="log", xlabel=label, ylabel="pictures", title=title)
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.minorticks_off()
            grid_along(panel, "y")
        axes[0].legend(loc="upper left")
    return figure


def samples_sheet(files: Sequence[Path], captions: Sequence[str], title: str, note: str = "") -> Figure:
    """Lay out photographs, eight in a row.

    Parameters
    ----------
    files : sequence of Path
        The photographs, in reading order.
    captions : sequence of str
        One for each.
    title, note : str
        What the sheet shows, and how to read it.
    """
    pictures = [thumbnail(file, _SIDE) for file in files]
    return contact_sheet(pictures, captions, title, 8, note=note, tile=(1.15, 1.15))


def twins_sheet(groups: Sequence[Sequence[tuple[Path, str]]], title: str, note: str = "", columns: int = 6) -> Figure:
    """Lay out groups of near-duplicates, one in each row.

    Parameters
    ----------
    groups : sequence of sequence of (Path, str)
        For each group its photographs with a caption; those beyond `columns` are counted in the last caption shown.
    title, note : str
        What the sheet shows, and how to read it.
    columns : int
        Photographs of a group, at most.
    """
    if not groups:
        return message_figure(title, "There is none.")
    columns = min(columns, max(map(len, groups)))
    pictures: list[Picture] = []
    captions: list[str] = []
    for group in groups:
        shown = group[:columns]
        beyond = len(group) - len(shown)
        pictures += [thumbnail(file, _SIDE) for file, _ in shown]
        captions += [caption for _, caption in shown]
        if beyond:
            captions[-1] += f"\nand {beyond:,} more"
        pictures += [None] * (columns - len(shown))
        captions += [""] * (columns - len(shown))
    return contact_sheet(pictures, captions, title, columns, note=note, tile=(1.3, 1.3))
