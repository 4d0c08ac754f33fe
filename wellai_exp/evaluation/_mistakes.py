"""Which rows a classifier gets wrong, which classes it confuses, and whose label may be the mistake.

Shapes: N rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import SettingError
from wellai_exp.metrics import label_quality

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

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N rows that the model was not trained on: one that has seen a label repeats its mistake.
    top : int, optional
        The most rows to give; all by default.

    Returns
    -------
    DataFrame
        One row a suspect (see `wellai_exp.metrics.label_quality`): ``row`` (index), ``path`` ("" where unknown),
        ``label`` and ``suggested`` (names, the latter the most probable of those with a row), ``label_probability``,
        ``suggested_probability`` and ``margin``, their difference.

    Raises
    ------
    SettingError
        Where `top` is below 1.
    """
    if top is not None:
        _check_top(top)
    labels, probabilities = evaluation.labels, evaluation.probabilities
    judged = label_quality(labels, probabilities.astype(np.float64))
    rows = np.flatnonzero(judged.doubted)
    rows = rows[np.lexsort((rows, judged.quality[rows]))][:top]
    suggested = judged.likely[rows]
    ours, theirs = probabilities[rows, labels[rows]], probabilities[rows, suggested]
    names = np.array(evaluation.class_names, dtype=object)
    return pd.DataFrame(
        {
            "row": rows,
            "path": [evaluation.paths[row] if evaluation.paths else "" for row in rows],
            "label": names[labels[rows]],
            "suggested": names[suggested],
            "label_probability": ours,
            "suggested_probability": theirs,
            "margin": theirs - ours,
        }
    )


def _check_top(top: int) -> None:
    if top < 1:
        raise SettingError("top", top, "there is nothing to give", "set top=1 or more")
