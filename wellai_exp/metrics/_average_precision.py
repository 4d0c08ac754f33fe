"""Area under the precision-recall curve as average precision, for every class at once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, FloatArray, IntArray, check_scores


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
    return Ranking.of_classes(truth.astype(bool, copy=False), array).average_precision()


class Ranking:
    """Rows ranked by their scores once, so that their average precision under many weightings costs a few sums.

    The sums of all weightings that are asked for together are products with sparse matrices, of which each entry is
    then read once for all of them; one after another they take seven times as long.

    Parameters
    ----------
    rows : ndarray of int32, shape [C, M]
        In each column, the rows from the highest score to the lowest; a row may occur several times.
    hits : ndarray of bool, shape [C, M]
        Which of them are positives.
    ties : ndarray of bool, shape [C, M - 1]
        Whether a score equals the next.
    """

    def __init__(self, rows: npt.NDArray[np.int32], hits: npt.NDArray[np.bool_], ties: npt.NDArray[np.bool_]) -> None:
        self._rows = rows.ravel()
        self._columns, length = rows.shape
        # The last rank of each group of equal scores, carried back to every member of the group.
        last = np.full(rows.shape, length - 1, np.int32)
        last[:, :-1] = np.where(ties, length - 1, np.arange(length - 1, dtype=np.int32))
        last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
        self._of, rank = np.nonzero(hits)
        self._end = last[self._of, rank]
        self._hit_rows = rows[self._of, rank]
        # Positives down to the end of a positive's group: as many as stand before the first of a later group.
        column = self._of * length
        place, end = column + rank, column + self._end
        self._until = np.searchsorted(place, end, side="right")
        self._before = np.searchsorted(place, column, side="left")
        # Rows down to that end: whole segments between such ends, so that no running sum over all rows is stored.
        starts = np.union1d(np.arange(self._columns) * length, end + 1)
        self._starts = starts[starts < rows.size]
        self._segments_until = np.searchsorted(self._starts, end, side="right")
        self._segments_before = np.searchsorted(self._starts, column, side="left")

    @classmethod
    def of_classes(cls, targets: npt.NDArray[np.bool_], scores: npt.NDArray[Any]) -> Ranking:
        """Rank N rows for each of C classes, from sound arrays [N, C]."""
        # One contiguous row per class: sorting along the last axis is several times faster than along the first.
        columns = np.ascontiguousarray(scores.T)
        order = np.argsort(columns, axis=1)[:, ::-1].astype(np.int32)
        ranked = np.take_along_axis(columns, order, axis=1)
        hits = np.take_along_axis(np.ascontiguousarray(targets.T), order, axis=1)
        return cls(order, hits, ranked[:, 1:] == ranked[:, :-1])

    @classmethod
    def of_decisions(cls, targets: npt.NDArray[np.bool_], scores: npt.NDArray[Any]) -> Ranking:
        """Rank all N·C decisions in one list, from sound arrays [N, C]."""
        flat = scores.ravel()
        order = np.argsort(flat)[::-1]
        ranked = flat[order]
        rows = (order // scores.shape[1]).astype(np.int32)
        return cls(rows[None], targets.ravel()[order][None], (ranked[1:] == ranked[:-1])[None])

    def average_precision(self) -> FloatArray:
        """Give the average precision of each column [C]; NaN for a column without positives."""
        above = self._end[:, None].astype(np.float64) + 1
        equal: FloatArray = self._precision_of(np.ones(above.shape), above)[0]
        return equal

    def weighted(self, weights: FloatArray) -> FloatArray:
        """Give the average precision of each column [R, C] with rows weighted by each of `weights` [R, N].

        As scikit-learn's with ``sample_weight``; NaN for a column whose positives have no weight.
        """
        each = np.ascontiguousarray(weights.T)
        segments = _running(self._in_segments @ each)
        above = segments[self._segments_until] - segments[self._segments_before]
        return self._precision_of(each[self._hit_rows], above)

    def _precision_of(self, own: FloatArray, above: FloatArray) -> FloatArray:
        """Average [R, C] from the weights [H, R] of all positives and of all rows down to each one's end."""
        running = _running(own)
        positives = running[self._until] - running[self._before]
        precision = np.divide(positives, above, out=np.zeros(own.shape), where=above > 0)
        total, weight = self._of_columns @ (own * precision), self._of_columns @ own
        result: FloatArray = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0).T
        return result

    @cached_property
    def _in_segments(self) -> Any:
        """A sparse matrix that sums weights [N] within segments."""
        return _sums(np.append(self._starts, len(self._rows)), self._rows, int(self._rows.max()) + 1)

    @cached_property
    def _of_columns(self) -> Any:
        """A sparse matrix that sums what positives have [H] within columns."""
        bounds = np.searchsorted(self._of, np.arange(self._columns + 1))
        return _sums(bounds, np.arange(len(self._of)), len(self._of))


def _sums(bounds: IntArray, places: npt.NDArray[Any], n: int) -> Any:
    """Give the sparse matrix that sums, of n values, those at the places from each bound to the next."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(places)), places, bounds), shape=(len(bounds) - 1, n))


def _running(values: FloatArray) -> FloatArray:
    """Give the sums [M + 1, R] of the first 0, 1, … M values."""
    running = np.zeros((len(values) + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=running[1:])
    return running


def one_hot(labels: IntArray, n_classes: int) -> npt.NDArray[np.bool_]:
    """Give booleans [N, C] that are true in each row at its label."""
    return np.asarray(labels[:, None] == np.arange(n_classes), dtype=bool)
