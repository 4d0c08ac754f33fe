"""The confusion matrix as a picture that stays readable at a hundred classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wellai_exp.evaluation._style import INK, PALE, canvas, drawn_once, printable, text_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

    from wellai_exp.evaluation._evaluation import Evaluation

# Up to this many classes every cell that is not empty carries its number; above it, only those worth reading do.
_ALL_NUMBERS = 30
_WORTH_READING = 0.1


@drawn_once
def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix, each row in percent of the true class's rows.

    Right answers (the diagonal) are blue, mistakes orange, on scales of their own, so that a mistake of a few percent
    shows beside a diagonal near 100. Above 30 classes only the diagonal and mistakes of at least 10 % carry numbers. A
    class without a row is an empty grey line.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_classes = evaluation.n_classes
    support = evaluation.support[:, None]
    shares = np.divide(
        evaluation.confusion, support, out=np.full(evaluation.confusion.shape, np.nan), where=support > 0
    )
    cell = float(np.interp(n_classes, [3, 12, 30, 60], [0.9, 0.55, 0.34, 0.235]))
    font = float(np.interp(n_classes, [12, 30, 60], [9, 8, 7]))
    width = int(np.interp(n_classes, [12, 60], [28, 40]))
    names = [printable(name, width) for name in evaluation.class_names]
    counted = [f"{name}  ({rows})" for name, rows in zip(names, evaluation.support, strict=True)]
    side = max(2.6, cell * n_classes)
    widest = text_inches(names, font)
    lying = widest < side / n_classes - 0.1
    left, below = text_inches(counted, font) + 0.5, (0.2 if lying else widest) + 0.5
    size = (left + side + 1.25, below + side + 0.45)
    # Placed by measured inches: constrained layout takes seconds here, and cuts long names off square axes.
    with canvas(*size, layout=None) as (figure, axes):
        axes.set_position((left / size[0], below / size[1], side / size[0], side / size[1]))
        _paint(figure, axes, shares, side)
        _write_numbers(axes, shares, font)
        ticks = np.arange(n_classes)
        axes.set_xticks(ticks, names, rotation=0 if lying else 90, fontsize=font)
        axes.set_yticks(ticks, counted, fontsize=font)
        figure.text((left + side / 2) / size[0], 0.12 / size[1], "Predicted class", ha="center")
        figure.text(0.12 / size[0], (below + side / 2) / size[1], "True class (rows)", rotation=90, va="center")
        correct = evaluation.aggregates["accuracy"]
        axes.set_title(f"Confusion matrix: {len(evaluation.labels):,} rows, {correct:.1%} right")
    return figure


def _paint(figure: Figure, axes: Axes, shares: npt.NDArray[np.float64], side: float) -> None:
    """Colour the cells in percent and draw the two scales, one above the other, beside axes of `side` inches."""
    diagonal = np.eye(len(shares), dtype=bool)
    mistakes = np.ma.masked_where(diagonal | ~(shares > 0), shares) * 100
    right = np.ma.masked_where(~diagonal | np.isnan(shares), shares) * 100
    orange = axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=100 * _ceiling(shares), interpolation="nearest")
    blue = axes.imshow(right, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    for index in np.flatnonzero(np.isnan(shares[:, 0])):
        axes.axhspan(index - 0.5, index + 0.5, color=PALE, linewidth=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    edges = np.arange(1, len(shares)) - 0.5
    axes.hlines(edges, -0.5, len(shares) - 0.5, color=PALE, linewidth=0.5)
    axes.vlines(edges, -0.5, len(shares) - 0.5, color=PALE, linewidth=0.5)
    axes.tick_params(length=0)
    height = min(2.4, 0.46 * side) / side
    for image, label, bottom in (
        (blue, "Right (%)", 1 - height),
        (orange, "Mistakes (%)", 1 - 2 * height - 0.2 / side),
    ):
        bar = figure.colorbar(image, cax=axes.inset_axes((1 + 0.2 / side, bottom, 0.14 / side, height)))
        bar.ax.yaxis.set_major_locator(_whole_numbers())
        bar.set_label(label)
        bar.outline.set_visible(False)


def _whole_numbers() -> Locator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)


def _ceiling(shares: npt.NDArray[np.float64]) -> float:
    """Give the top of the scale of mistakes: below 20 % it would paint two stray mistakes as a disaster."""
    mistakes = np.where(np.eye(len(shares), dtype=bool), 0, np.nan_to_num(shares))
    return max(0.2, float(mistakes.max()))


def _write_numbers(axes: Axes, shares: npt.NDArray[np.float64], font: float) -> None:
    n_classes = len(shares)
    diagonal = np.eye(n_classes, dtype=bool)
    floor = 0.005 if n_classes <= _ALL_NUMBERS else _WORTH_READING
    mistakes = np.where(diagonal, 0, np.nan_to_num(shares))
    ceiling = _ceiling(shares)
    for row, column in np.argwhere((mistakes >= floor) | (diagonal & ~np.isnan(shares))):
        share = shares[row, column]
        filled = share if row == column else share / ceiling
        axes.text(
            column,
            row,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            fontsize=font - 0.5,
            color="white" if filled > 0.6 else INK,
        )
