"""Which rows a classifier gets wrong, which classes it confuses, and whose label may be the mistake.

Shapes: N rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import SettingError

if TYPE_CHECKING:
    from wellai_exp.evaluation._evaluation import Evaluation


def confused_pairs(evaluation: Evaluation, top: int = 10) -> pd.DataFrame:
    """Give the pairs of classes that take most mistakes, the most frequent first.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.
    top : int
        The most pairs to give.

    Returns
    -------
    DataFrame
        One row a pair that occurs: ``true`` and ``predicted`` (names), ``rows`` mistaken, ``share`` of the true class's
        rows and, where the classes have parents, ``cross_parent``: whether the two have different parents at the
        finest level, so that the mistake is more than one between siblings. Of pairs of equally many rows the one that
        takes the greater share comes first, then that of the earlier class.

    Raises
    ------
    SettingError
        Where `top` is below 1.
    """
    _check_top(top)
    mistakes = evaluation.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    true, predicted = np.nonzero(mistakes)
    rows = mistakes[true, predicted]
    share = rows / evaluation.support[true]
    order = np.lexsort((predicted, true, -share, -rows))[:top]
    true, predicted = true[order], predicted[order]
    names = np.array(evaluation.class_names, dtype=object)
    pairs = pd.DataFrame(
        {"true": names[true], "predicted": names[predicted], "rows": rows[order], "share": share[order]}
    )
    if evaluation.parents:
        finest = list(evaluation.parents.values())[-1]
        pairs["cross_parent"] = finest[true] != finest[predicted]
    return pairs


def worst_mistakes(evaluation: Evaluation, top: int = 24) -> npt.NDArray[np.int64]:
    """Give the mistaken rows whose own class was thought least likely, the worst first.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N rows.
    top : int
        The most rows to give.

    Returns
    -------
    ndarray of int64
        Row indices: those predicted wrongly, by the probability of the true class (and so by its logarithm, the row's
        share of the log loss), rising; of equal ones the more certain of its wrong class first, then the earlier.

    Raises
    ------
    SettingError
        Where `top` is below 1.
    """
    _check_top(top)
    wrong = np.flatnonzero(evaluation.predictions != evaluation.labels)
    own = evaluation.probabilities[wrong, evaluation.labels[wrong]]
    given = evaluation.probabilities[wrong, evaluation.predictions[wrong]]
    return wrong[np.lexsort((wrong, -given, own))[:top]].astype(np.int64)


def likely_mislabelled(evaluation: Evaluation, top: int | None = None) -> pd.DataFrame:
    """Give the rows whose label is likely to be the mistake, the likeliest first, by confident learning.

    A class's threshold is the mean probability it is given by the rows labelled so. A row belongs to the most probable
    of the classes that reach their threshold; where that is not its label, it lies off the diagonal of the confident
    joint and is suspected. Suspects are ranked by the margin between the suggested class and the label.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N rows that the model was not trained on: one that has seen a label repeats its mistake.
    top : int, optional
        The most rows to give; all by default.

    Returns
    -------
    DataFrame
        One row a suspect: ``row`` (index), ``path`` ("" where unknown), ``label`` and ``suggested`` (names),
        ``label_probability``, ``suggested_probability`` and ``margin``, their difference.

    Raises
    ------
    SettingError
        Where `top` is below 1.

    References
    ----------
    Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021),
    equations 1 and 2; the ranking is that of its prune-by-noise-rate method.
    """
    if top is not None:
        _check_top(top)
    labels, probabilities = evaluation.labels, evaluation.probabilities
    # A mean of equal numbers can lie above them by a rounding.
    confident = probabilities >= _thresholds(labels, probabilities) - 1e-6
    among = np.where(confident, probabilities, -1.0)
    suggested = among.argmax(axis=1)
    rows = np.flatnonzero(confident.any(axis=1) & (suggested != labels))
    ours, theirs = probabilities[rows, labels[rows]], probabilities[rows, suggested[rows]]
    order = np.lexsort((rows, ours - theirs))[:top]
    rows = rows[order]
    names = np.array(evaluation.class_names, dtype=object)
    return pd.DataFrame(
        {
            "row": rows,
            "path": [evaluation.paths[row] if evaluation.paths else "" for row in rows],
            "label": names[labels[rows]],
            "suggested": names[suggested[rows]],
            "label_probability": ours[order],
            "suggested_probability": theirs[order],
            "margin": (theirs - ours)[order],
        }
    )


def _thresholds(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Give each class's mean self-confidence [C]; infinite for a class without a row, which nothing can calibrate."""
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    n_classes = probabilities.shape[1]
    rows = np.bincount(labels, minlength=n_classes)
    total = np.bincount(labels, own, n_classes)
    means: npt.NDArray[np.float64] = np.divide(total, rows, out=np.full(n_classes, np.inf), where=rows > 0)
    return means


def _check_top(top: int) -> None:
    if top < 1:
        raise SettingError("top", top, "there is nothing to give", "set top=1 or more")
