"""The photographs behind a classifier's mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wellai_exp.evaluation._contact_sheet import Picture, contact_sheet, thumbnails
from wellai_exp.evaluation._mistakes import confused_pairs, likely_mislabelled, worst_mistakes
from wellai_exp.evaluation._style import BLUE, GREEN, VERMILION, message_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

# Photographs of each kind in a row of the sheet of pairs: mistaken ones, then examples of either class.
_SAMPLES = 3


def worst_mistakes_sheet(evaluation: Evaluation, top: int = 24) -> Figure:
    """Show the mistaken rows whose own class was thought least likely (see `worst_mistakes`), the worst first.

    Parameters
    ----------
    evaluation : Evaluation
        With the paths of its photographs.
    top : int
        The most photographs to show.

    Returns
    -------
    matplotlib.figure.Figure
        Below each photograph its label and the predicted class, with the probability that each was given.
    """
    rows = worst_mistakes(evaluation, top)
    wrong = int((evaluation.predictions != evaluation.labels).sum())
    if not wrong:
        return message_figure("Worst mistakes", "No row was mistaken.")
    return contact_sheet(
        thumbnails(evaluation, rows),
        [_told_apart(evaluation, row, int(evaluation.predictions[row])) for row in rows],
        f"Worst mistakes: {len(rows)} of {wrong}",
        note="Label, → prediction, and the probability given to each; the least likely label first.",
    )


def likely_mislabelled_sheet(evaluation: Evaluation, top: int = 24) -> Figure:
    """Show the rows whose label is likely to be the mistake (see `likely_mislabelled`), the likeliest first.

    Parameters
    ----------
    evaluation : Evaluation
        With the paths of its photographs.
    top : int
        The most photographs to show.

    Returns
    -------
    matplotlib.figure.Figure
        Below each photograph its label and the suggested class, with the probability that each was given.
    """
    suspects = likely_mislabelled(evaluation)
    if suspects.empty:
        return message_figure("Labels to look at again", "No label is suspected.")
    shown = suspects.head(top)
    place = {name: index for index, name in enumerate(evaluation.class_names)}
    pairs = zip(shown["row"], shown["suggested"], strict=True)
    return contact_sheet(
        thumbnails(evaluation, shown["row"].to_numpy(np.int64)),
        [_told_apart(evaluation, int(row), place[name]) for row, name in pairs],
        f"Labels to look at again: {len(shown)} of {len(suspects)}",
        note="Label, → suggested class, and the probability given to each; the widest margin first.",
    )


def confused_pairs_sheet(evaluation: Evaluation, top: int = 8) -> Figure:
    """Show the pairs of classes that take most mistakes (see `confused_pairs`), a row of photographs each.

    Parameters
    ----------
    evaluation : Evaluation
        With the paths of its photographs.
    top : int
        The most pairs to show.

    Returns
    -------
    matplotlib.figure.Figure
        For each pair the surest mistakes (framed vermilion), then the surest examples of the true class (blue) and of
        the predicted one (green), by their labels. Of near-duplicates only one is shown.
    """
    pairs = confused_pairs(evaluation, top)
    if pairs.empty:
        return message_figure("Most confused classes", "No row was mistaken.")
    place = {name: index for index, name in enumerate(evaluation.class_names)}
    pictures: list[Picture] = []
    captions: list[str] = []
    headings = []
    for pair in pairs.to_dict("records"):
        true, predicted = place[pair["true"]], place[pair["predicted"]]
        crossing = ", across parents" if pair.get("cross_parent") else ""
        support = evaluation.support[true]
        headings.append(f"{pair['true']} → {pair['predicted']}: {pair['rows']} of {support}{crossing}")
        for rows, of in _samples(evaluation, true, predicted):
            words = [f"{evaluation.probabilities[row, of]:.2f}" for row in rows]
            empty = _SAMPLES - len(rows)
            pictures += [*thumbnails(evaluation, rows), *[None] * empty]
            captions += [*words, *[""] * empty]
    return contact_sheet(
        pictures,
        captions,
        "Most confused classes",
        3 * _SAMPLES,
        note="Vermilion: mistaken, with the probability of the wrong class. Blue: the true class, and green: the class "
        "predicted, at their surest, with their own probability.",
        headings=headings,
        frames=[colour for colour in (VERMILION, BLUE, GREEN) for _ in range(_SAMPLES)] * len(headings),
        tile=(1.25, 1.25),
    )


def _samples(evaluation: Evaluation, true: int, predicted: int) -> list[tuple[npt.NDArray[np.int64], int]]:
    """Give the rows to show for a pair, with the class whose probability says how sure they are."""
    labels, given = evaluation.labels, evaluation.predictions
    kinds = (
        ((labels == true) & (given == predicted), predicted),
        ((labels == true) & (given != predicted), true),
        (labels == predicted, predicted),
    )
    return [(_surest(evaluation, np.flatnonzero(kind), of), of) for kind, of in kinds]


def _surest(evaluation: Evaluation, rows: npt.NDArray[np.int64], of: int) -> npt.NDArray[np.int64]:
    """Give some rows by falling probability of a class, one from each group of near-duplicates."""
    ordered = rows[np.argsort(-evaluation.probabilities[rows, of], kind="stable")]
    _, first = np.unique(evaluation.groups[ordered], return_index=True)
    return ordered[np.sort(first)][:_SAMPLES]


def _told_apart(evaluation: Evaluation, row: int, other: int) -> str:
    """Give a row's label and another class, each with its probability."""
    label = int(evaluation.labels[row])
    names, given = evaluation.class_names, evaluation.probabilities[row]
    return f"{names[label]}  {given[label]:.2f}\n→ {names[other]}  {given[other]:.2f}"
