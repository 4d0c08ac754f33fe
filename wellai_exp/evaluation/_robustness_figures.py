"""Pictures of what perturbations do: to the scores, and to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._contact_sheet import Picture, contact_sheet
from wellai_exp.evaluation._perturbations import PERTURBATIONS
from wellai_exp.evaluation._robustness import CLEAN
from wellai_exp.evaluation._style import BLUE, ORANGE, canvas, grid_along, message_figure, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SCORES = (("accuracy", "accuracy", BLUE, "o"), ("auc_pr_macro", "macro AUC-PR", ORANGE, "s"))
_REQUIRED = ("perturbation", "strength", "value", "unit", *(name for name, *_ in _SCORES))
_COLUMNS = 4


def robustness_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy and macro AUC-PR against the strength of each perturbation, beside those of clean images.

    Parameters
    ----------
    table : DataFrame
        What `robustness` gave.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a perturbation, all with the same scale; dashed lines are the clean scores.

    Raises
    ------
    DataError
        Where a column or the row of clean images is missing.
    """
    if missing := [name for name in _REQUIRED if name not in table.columns]:
        raise DataError(f"A robustness table needs the columns {', '.join(_REQUIRED)}, but lacks {', '.join(missing)}.")
    clean = table[table["perturbation"] == CLEAN]
    if len(clean) != 1:
        raise DataError(f"A robustness table needs one row of clean images, but it has {len(clean)}.")
    kinds = [name for name in dict.fromkeys(table["perturbation"]) if name != CLEAN]
    if not kinds:
        return message_figure("Robustness", "No perturbation was tried.")
    columns = min(_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    with canvas(2.6 * columns + 0.8, 2.3 * rows + 0.7, rows=rows, columns=columns, squeeze=False, sharey=True) as (
        figure,
        grid,
    ):
        panels = list(grid.flat)
        for axes, kind in zip(panels, kinds, strict=False):
            _draw(axes, clean.iloc[0], table[table["perturbation"] == kind].sort_values("strength"))
        for axes in panels[len(kinds) :]:
            axes.remove()
        for line in grid:
            line[0].set_ylabel("Score")
        lines = [axes_line for axes_line in panels[0].lines if not axes_line.get_label().startswith("_")]
        figure.legend(handles=lines, loc="outside upper right", ncols=len(lines))
        figure.suptitle("Robustness", x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _draw(axes: Axes, clean: Any, of_kind: pd.DataFrame) -> None:
    """Draw one perturbation: clean at position 0, its strengths at equal steps."""
    places = np.arange(len(of_kind) + 1)
    for name, label, colour, mark in _SCORES:
        axes.axhline(clean[name], color=colour, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(places, [clean[name], *of_kind[name]], color=colour, marker=mark, markersize=4.5, label=label)
    kind, unit = str(of_kind["perturbation"].iloc[0]), str(of_kind["unit"].iloc[0])
    values = ["on"] if len(of_kind) == 1 else [f"{value:g}" for value in of_kind["value"]]
    axes.set_xticks(places, [CLEAN, *values])
    axes.set_xlim(-0.3, len(of_kind) + 0.3)
    axes.set_ylim(0.0, 1.02)
    axes.set_title(printable(kind.upper() if kind == "jpeg" else kind.capitalize(), 30), fontsize=10)
    axes.set_xlabel(printable(unit, 40), fontsize=8)
    grid_along(axes, "y")


def perturbations_sheet(image: npt.NDArray[np.uint8], seed: int = 0) -> Figure:
    """Show one image under each of `PERTURBATIONS`, so that people can judge the strengths by eye.

    Parameters
    ----------
    image : ndarray of uint8, shape [S, S, 3]
        RGB.
    seed : int
        Decides what is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each perturbation; the first tile is the image itself.
    """
    most = max(len(kind.strengths) for kind in PERTURBATIONS)
    pictures: list[Picture] = []
    captions: list[str] = []
    for kind in PERTURBATIONS:
        empty = most - len(kind.strengths)
        pictures += [image, *(kind(image[None], value, seed)[0] for value in kind.strengths), *[None] * empty]
        captions += [CLEAN, *(kind.shown(value) for value in kind.strengths), *[""] * empty]
    return contact_sheet(
        pictures,
        captions,
        "What the perturbations do",
        most + 1,
        headings=[f"{kind.name} ({kind.unit})" for kind in PERTURBATIONS],
    )
