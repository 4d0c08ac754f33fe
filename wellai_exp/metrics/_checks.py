"""What every score requires of its arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import DataError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

# Softmax in float16 or after a mean over folds is off by less than this; logits are off by much more.
_SUM_TOLERANCE = 1e-3


class ArrayError(DataError, ValueError):
    """An array of labels or scores cannot be evaluated; the message is one sentence."""


def check_labels(labels: npt.ArrayLike, n_classes: int | None = None, name: str = "labels") -> IntArray:
    """Give class indices as an int64 array.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        Class indices, from 0.
    n_classes : int, optional
        C, where known; every index must lie below it.
    name : str
        What the error calls the array.

    Returns
    -------
    ndarray of int64, shape [N]

    Raises
    ------
    ArrayError
        Where the array is empty, is not one-dimensional, is not of integers, or an index is out of range.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise ArrayError(f"{name} must be a non-empty array of shape [N], but its shape is {list(array.shape)}.")
    if array.dtype.kind not in "iu":
        raise ArrayError(f"{name} must be integers from 0, but its type is {array.dtype}.")
    low, high = int(array.min()), int(array.max())
    if low < 0:
        raise ArrayError(f"{name} must be integers from 0, but {low} is among them.")
    if n_classes is not None and high >= n_classes:
        raise ArrayError(f"{name} must lie below the number of classes, {n_classes}, but {high} is among them.")
    return array.astype(np.int64, copy=False)


def check_pair(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Give labels and predicted labels, both [N] and of one length."""
    true, predicted = check_labels(labels), check_labels(predictions, name="predictions")
    if len(true) != len(predicted):
        raise ArrayError(f"There are {len(true)} labels but {len(predicted)} predictions; they must be as many.")
    return true, predicted


def check_weights(weights: npt.ArrayLike, rows: int) -> FloatArray:
    """Give how often each row counts, float64 [N].

    Raises
    ------
    ArrayError
        Where there is not one for each row, one is negative or not finite, or all are 0.
    """
    array = np.asarray(weights)
    if array.shape != (rows,):
        raise ArrayError(f"weights must have shape [{rows}], one for each row, but their shape is {list(array.shape)}.")
    if array.dtype.kind not in "iufb":
        raise ArrayError(f"weights must be real numbers, but their type is {array.dtype}.")
    low, total = float(array.min()), float(array.sum(dtype=np.float64))
    if not (low >= 0 and 0 < total < np.inf):
        raise ArrayError(
            f"weights must be finite, at least 0 and not all 0, but the least is {low:.4g} and their sum {total:.4g}."
        )
    return array.astype(np.float64, copy=False)


def check_scores(scores: npt.ArrayLike, name: str = "scores") -> npt.NDArray[Any]:
    """Give finite scores [N, C] in a floating type of at least 32 bits, in their own precision."""
    array = np.asarray(scores)
    if array.ndim != 2 or 0 in array.shape:
        raise ArrayError(f"{name} must be a non-empty array of shape [N, C], but its shape is {list(array.shape)}.")
    if array.dtype.kind not in "iufb":
        raise ArrayError(f"{name} must be real numbers, but its type is {array.dtype}.")
    if array.dtype not in (np.float32, np.float64):
        # float32 wherever it holds every value of the type (float16, bool, 16-bit integers), float64 elsewhere.
        array = array.astype(np.result_type(array.dtype, np.float32))
    finite = np.isfinite(array)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ArrayError(f"{name} must be finite, but row {row}, column {column} holds {array[row, column]}.")
    return array


def check_probabilities(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[IntArray, npt.NDArray[Any]]:
    """Give labels and predicted probabilities that belong together.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; a row sums to 1 within 1e-3.

    Returns
    -------
    labels : ndarray of int64, shape [N]
    probabilities : ndarray of float32 or float64, shape [N, C]

    Raises
    ------
    ArrayError
        Where shapes differ, a label is out of range, a value is not finite or lies outside [0, 1], or a row does not
        sum to 1.
    """
    array = check_scores(probabilities, "probabilities")
    true = check_labels(labels, array.shape[1])
    if len(true) != len(array):
        raise ArrayError(f"There are {len(true)} labels but {len(array)} rows of probabilities; they must be as many.")
    low, high = float(array.min()), float(array.max())
    if low < -_SUM_TOLERANCE or high > 1 + _SUM_TOLERANCE:
        raise ArrayError(f"probabilities must lie in [0, 1], but they reach from {low:.4g} to {high:.4g}.")
    sums = array.sum(axis=1, dtype=np.float64)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > _SUM_TOLERANCE:
        raise ArrayError(
            f"Each row of probabilities must sum to 1, but row {worst} sums to {sums[worst]:.4g}; apply softmax first."
        )
    return true, array
