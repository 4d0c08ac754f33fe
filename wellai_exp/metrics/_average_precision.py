"""Area under the precision-recall curve as average precision, for every class at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, FloatArray, IntArray, check_probabilities, check_scores


def average_precision(targets: npt.ArrayLike, scores: npt.ArrayLike) -> FloatArray:
    """Area under the precision-recall curve (AUC-PR), one class against the rest.

    The sum over the curve of (rise in recall) × precision, without interpolation, as scikit-learn's
    ``average_precision_score``: the mean, over the positive rows, of the precision at the end of each row's group of
    equal scores (Boyd, Eng and Page, "Area under the Precision-Recall Curve: Point Estimates and Confidence
    Intervals", ECML PKDD 2013).

    Parameters
    ----------
    targets : array_like of bool or int, shape [N, C]
        1 where the row belongs to the class. Rows are usually one-hot; several classes a row are allowed.
    scores : array_like of float, shape [N, C]
        The higher, the more the row looks like the class. Only the order within a column matters.

    Returns
    -------
    ndarray of float64, shape [C]
        In (0, 1]; NaN for a class without a positive row.

    Raises
    ------
    ArrayError
        Where the shapes differ, a target is neither 0 nor 1, or a score is not finite.
    """
    array = check_scores(scores)
    truth = np.asarray(targets)
    if truth.shape != array.shape:
        raise ArrayError(f"targets have shape {list(truth.shape)} but scores {list(array.shape)}; they must be equal.")
    if truth.dtype.kind not in "biu" or (truth.dtype.kind != "b" and not np.isin(truth, (0, 1)).all()):
        raise ArrayError("targets must be booleans, or integers that are 0 or 1.")
    return average_precision_of_checked(truth.astype(bool, copy=False), array)


def average_precision_of_checked(targets: npt.NDArray[np.bool_], scores: npt.NDArray[Any]) -> FloatArray:
    """Compute `average_precision` of arrays that are known to be sound."""
    n_classes = targets.shape[1]
    # One contiguous row per class: sorting along the last axis is several times faster than along the first.
    columns = np.ascontiguousarray(scores.T)
    n_rows = columns.shape[1]
    order = np.argsort(columns, axis=1)[:, ::-1]
    ranked = np.take_along_axis(columns, order, axis=1)
    hits = np.take_along_axis(np.ascontiguousarray(targets.T), order, axis=1)
    true_positives = np.cumsum(hits, axis=1)
    # The last rank of each group of equal scores, carried back to every member of the group.
    last = np.full((n_classes, n_rows), n_rows - 1)
    last[:, :-1] = np.where(ranked[:, 1:] != ranked[:, :-1], np.arange(n_rows - 1), n_rows - 1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    of_class, rank = np.nonzero(hits)
    end = last[of_class, rank]
    precision = true_positives[of_class, end] / (end + 1)
    positives = np.bincount(of_class, minlength=n_classes)
    total = np.bincount(of_class, weights=precision, minlength=n_classes)
    scores_per_class: FloatArray = np.divide(total, positives, out=np.full(n_classes, np.nan), where=positives > 0)
    return scores_per_class


def one_hot(labels: IntArray, n_classes: int) -> npt.NDArray[np.bool_]:
    """Give booleans [N, C] that are true in each row at its label."""
    return np.asarray(labels[:, None] == np.arange(n_classes), dtype=bool)


def auc_pr_macro(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Unweighted mean of the classes' AUC-PR; classes without a row are left out.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; rows sum to 1.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    ArrayError
        See `check_probabilities`.
    """
    true, array = check_probabilities(labels, probabilities)
    return float(np.nanmean(average_precision_of_checked(one_hot(true, array.shape[1]), array)))


def auc_pr_weighted(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean of the classes' AUC-PR weighted by their rows; parameters and errors as in `auc_pr_macro`."""
    true, array = check_probabilities(labels, probabilities)
    return weighted_mean(true, average_precision_of_checked(one_hot(true, array.shape[1]), array))


def auc_pr_micro(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """AUC-PR of all N·C (row, class) decisions in one ranking; parameters and errors as in `auc_pr_macro`."""
    true, array = check_probabilities(labels, probabilities)
    return micro_of_checked(true, array)


def weighted_mean(labels: IntArray, per_class: FloatArray) -> float:
    """Mean of a score [C] weighted by each class's rows; classes without a row have no weight, whatever their score."""
    support = np.bincount(labels, minlength=len(per_class))
    present = support > 0
    return float(np.average(per_class[present], weights=support[present]))


def micro_of_checked(labels: IntArray, probabilities: npt.NDArray[Any]) -> float:
    """Compute `auc_pr_micro` of arrays that are known to be sound."""
    targets = one_hot(labels, probabilities.shape[1])
    return float(average_precision_of_checked(targets.reshape(-1, 1), probabilities.reshape(-1, 1))[0])
