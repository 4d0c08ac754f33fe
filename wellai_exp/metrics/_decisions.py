"""Scores of predicted labels, all from the confusion matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import FloatArray, IntArray, check_labels, check_pair


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, n_classes: int) -> IntArray:
    """Count the rows of each (true class, predicted class).

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    predictions : array_like of int, shape [N]
        Predicted class indices.
    n_classes : int
        C.

    Returns
    -------
    ndarray of int64, shape [C, C]
        Rows are true classes, columns predicted ones.

    Raises
    ------
    ArrayError
        Where the lengths differ or an index is out of range.
    """
    true, predicted = check_pair(labels, predictions)
    check_labels(true, n_classes)
    check_labels(predicted, n_classes, "predictions")
    counts = np.bincount(true * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes)


def precision_recall_f1_per_class(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, n_classes: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 of every class.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    predictions : array_like of int, shape [N]
        Predicted class indices.
    n_classes : int
        C.

    Returns
    -------
    precision, recall, f1 : ndarray of float64, shape [C]
        In [0, 1]. A quotient with a zero denominator is 0, as with scikit-learn's ``zero_division=0``.

    Raises
    ------
    ArrayError
        Where the lengths differ or an index is out of range.
    """
    return scores_of_confusion(confusion_matrix(labels, predictions, n_classes).astype(np.float64))


def scores_of_confusion(confusion: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 [C] of a confusion matrix [C, C]."""
    hits = np.diag(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return _quotient(hits, predicted), _quotient(hits, support), _quotient(2 * hits, support + predicted)


def cohen_kappa(confusion: FloatArray) -> float:
    """Agreement beyond chance of true and predicted labels (Cohen, 1960) from a confusion matrix [C, C].

    NaN where only one class occurs on both sides, as scikit-learn's: chance alone agrees then.
    """
    support, predicted, total = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    chance = support @ predicted
    return float((np.trace(confusion) * total - chance) / (total**2 - chance)) if total**2 > chance else float("nan")


def matthews_corrcoef(confusion: FloatArray) -> float:
    """Correlation of true and predicted labels (Gorodkin, 2004) from a confusion matrix [C, C].

    0 where only one class was true or predicted, as scikit-learn's.
    """
    support, predicted, total = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    covariance = np.trace(confusion) * total - support @ predicted
    spread = (total**2 - support @ support) * (total**2 - predicted @ predicted)
    # Classes are counted, because sums of fractional weights differ by rounding where one class holds them all.
    if min(np.count_nonzero(support), np.count_nonzero(predicted)) < 2 or spread <= 0:
        return 0.0
    return float(covariance / np.sqrt(spread))


def _quotient(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
