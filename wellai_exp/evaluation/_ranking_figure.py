"""The picture of a ranking of backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._style import BLUE, GREY, canvas, grid_along, message_figure, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLE = "Ranking of the backbones before the search"
_REQUIRED = ("backbone", "score", "dim", "seconds")


def ranking_figure(table: pd.DataFrame, score_name: str, *, keep: int | None = None) -> Figure:
    """Draw each backbone's score as a dot, best on top, with the width of its features and what the score took.

    Parameters
    ----------
    table : DataFrame
        Columns ``backbone``, ``score`` (greater is better), ``dim`` and ``seconds``.
    score_name : str
        What the score is, for the axis label.
    keep : int, optional
        How many go on into the search; the others are drawn in grey. None means all.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        Where a column is missing or a score is not finite.
    """
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise DataError(f"A ranking needs the columns {', '.join(_REQUIRED)}, but lacks {', '.join(missing)}.")
    if not np.isfinite(table["score"].to_numpy(float)).all():
        raise DataError("Every score of a ranking must be finite; leave out the backbones that have none.")
    if table.empty:
        return message_figure(_TITLE, "No backbone was ranked.")
    ranked = table.sort_values("score", ascending=False, kind="stable")
    places, scores = np.arange(len(ranked)), ranked["score"].to_numpy(float)
    on = len(ranked) if keep is None else min(keep, len(ranked))
    with canvas(9, 0.3 * len(ranked) + 1.6) as (figure, axes):
        axes.plot(scores[:on], places[:on], "o", color=BLUE, ms=7, label=f"goes into the search ({on})")
        if on < len(ranked):
            axes.plot(scores[on:], places[on:], "o", color=GREY, ms=7, label=f"left out ({len(ranked) - on})")
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, handletextpad=0.3)
        for place, score in zip(places, scores, strict=True):
            axes.annotate(f"{score:.4f}", (score, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(places, [_row_name(row) for _, row in ranked.iterrows()])
        axes.set_ylim(len(ranked) - 0.4, -0.6)
        axes.set_xlabel(printable(score_name, 60))
        axes.margins(x=0.12)
        grid_along(axes, "x")
        axes.grid(visible=True, axis="y", linewidth=0.5)
        axes.set_title(_TITLE, pad=26 if on < len(ranked) else 10)
    return figure


def _row_name(row: pd.Series[float]) -> str:
    return f"{printable(row['backbone'], 36)} ({int(row['dim'])} features, {row['seconds']:.1f} s)"
