"""Scores of predicted labels."""

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
    return scores_of_confusion(confusion_matrix(labels, predictions, n_classes))


def scores_of_confusion(confusion: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 [C] of a confusion matrix [C, C]."""
    hits = np.diag(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return _quotient(hits, predicted), _quotient(hits, support), _quotient(2 * hits, support + predicted)


def macro_of_present(confusion: IntArray, per_class: FloatArray) -> float:
    """Mean of a score [C] over the classes that have a row in the confusion matrix [C, C]."""
    return float(per_class[confusion.sum(axis=1) > 0].mean())


def accuracy(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """Share of the rows whose predicted label is the true one.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    predictions : array_like of int, shape [N]
        Predicted class indices.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ArrayError
        Where the lengths differ, an array is empty, or a value is no class index.
    """
    true, predicted = check_pair(labels, predictions)
    return float((true == predicted).mean())


def balanced_accuracy(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """Unweighted mean of the recall of the classes that have a row; parameters and errors as in `accuracy`."""
    confusion = _square(labels, predictions)
    return macro_of_present(confusion, scores_of_confusion(confusion)[1])


def f1_macro(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """Unweighted mean of the F1 of the classes that have a row; parameters and errors as in `accuracy`.

    scikit-learn's default also counts, as 0, classes that were predicted but have no row; pass it
    ``labels=numpy.unique(labels)`` for this value.
    """
    confusion = _square(labels, predictions)
    return macro_of_present(confusion, scores_of_confusion(confusion)[2])


def _square(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> IntArray:
    true, predicted = check_pair(labels, predictions)
    return confusion_matrix(true, predicted, int(max(true.max(), predicted.max())) + 1)


def _quotient(above: IntArray, below: IntArray) -> FloatArray:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
