"""A randomisation test of each class's AUC-PR, which asks whether it matters what model gave which ranking."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, FloatArray, IntArray, check_labels, check_scores
from wellai_exp.seeding import generator

_LEAST = 4_999
# A class is left alone once so many swaps have given as great a difference: its p-value is then known to a fifth.
_ENOUGH = 20
_BATCH = 64
# Sums of precisions in another order differ by so much.
_ROUNDING = 1e-12


def swaps_enough(n_classes: int, alpha: float) -> int:
    """Give so many swaps of a class that a single one of C can be significant at `alpha` after Holm's correction.

    Parameters
    ----------
    n_classes : int
        C.
    alpha : float
        In (0, 1).
    """
    return max(_LEAST, math.ceil(3 * n_classes / alpha))


def swap_test(
    labels: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    n_swaps: int = 4999,
    seed: int = 0,
) -> FloatArray:
    """Test in each class whether two models have the same AUC-PR.

    The two models' ranks are swapped at random, group by group, which changes nothing in distribution where the two
    rank alike. Ranks within a class rather than scores, so that a model that is merely surer, or gives a class more
    throughout, is not taken for another ranking. Swaps are drawn until 20 have given as great a difference or there
    are no more (Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 1991), so that many are spent only
    on classes whose p-value is small.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    scores_a, scores_b : array_like of float, shape [N, C]
        The higher, the more the row looks like the class.
    groups : array_like of int, shape [N], optional
        The near-duplicate group of each row; by default each row is one of its own.
    n_swaps : int
        The most swaps of a class. No p-value is below 1 / (n_swaps + 1), so that at least 20 C are needed for Holm's
        correction to find one class among C.
    seed : int
        Decides the swaps.

    Returns
    -------
    ndarray of float64, shape [C]
        Two-sided p-values; NaN for a class without a row.

    Raises
    ------
    ArrayError
        Where arrays are unsound or do not fit each other, or there is no swap.
    """
    a, b = check_scores(scores_a, "scores_a"), check_scores(scores_b, "scores_b")
    true = check_labels(labels, a.shape[1])
    group = np.arange(len(true)) if groups is None else check_labels(groups, name="groups")
    if not (a.shape == b.shape and len(true) == len(a) == len(group)):
        raise ArrayError(
            f"{len(true)} labels, {len(group)} groups and scores of shapes {list(a.shape)} and {list(b.shape)} do not "
            "fit each other; two models of the same rows and classes are compared."
        )
    if n_swaps < 1:
        raise ArrayError(f"n_swaps must be at least 1, but it is {n_swaps}.")
    return _p_values(true, a, b, np.unique(group, return_inverse=True)[1], n_swaps, seed)


def _p_values(
    labels: IntArray, a: npt.NDArray[Any], b: npt.NDArray[Any], groups: IntArray, n_swaps: int, seed: int
) -> FloatArray:
    p_values = np.full(a.shape[1], np.nan)
    as_great = np.zeros(a.shape[1], np.int64)
    waiting = {int(index): _SwappedClass(labels == index, a[:, index], b[:, index]) for index in np.unique(labels)}
    rng, drawn = generator(seed, "swaps"), 0
    while waiting and drawn < n_swaps:
        batch = min(_BATCH, n_swaps - drawn)
        swapped = (rng.random((batch, int(groups.max()) + 1)) < 0.5)[:, groups]
        for index, each in list(waiting.items()):
            counts = as_great[index] + np.cumsum(each.as_great(swapped))
            as_great[index] = counts[-1]
            if counts[-1] >= _ENOUGH:
                p_values[index] = _ENOUGH / (drawn + int(np.searchsorted(counts, _ENOUGH)) + 1)
                del waiting[index]
        drawn += batch
    for index in waiting:
        p_values[index] = (as_great[index] + 1) / (n_swaps + 1)
    return p_values


class _SwappedClass:
    """The difference of one class's AUC-PR for any swap of the two models' ranks.

    Both models' ranks are sorted once, as 2N entries of which a swap gives N to each model: what one model's ranking
    holds down to an entry, the other's does not.
    """

    def __init__(self, targets: npt.NDArray[np.bool_], a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
        ranks = np.concatenate([_ranks(a), _ranks(b)])
        self._order = np.argsort(-ranks, kind="stable")
        ranked = ranks[self._order]
        self._hits = np.flatnonzero(np.concatenate([targets, targets])[self._order])
        # The last entry of equal rank: a threshold takes all of them or none.
        self._ends = np.searchsorted(-ranked, -ranked[self._hits], side="right") - 1
        self._last_hits = np.searchsorted(self._hits, self._ends, side="right") - 1
        self._positives = int(targets.sum())
        self._difference = abs(self._differences(np.zeros((1, len(targets)), bool))[0])

    def as_great(self, swapped: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Say of swaps [S, N] whether their difference is as great as that of the models themselves [S]."""
        found: npt.NDArray[np.bool_] = np.abs(self._differences(swapped)) >= self._difference - _ROUNDING
        return found

    def _differences(self, swapped: npt.NDArray[np.bool_]) -> FloatArray:
        of_a = np.concatenate([~swapped, swapped], axis=1)[:, self._order]
        rows_a = np.cumsum(of_a, axis=1, dtype=np.int32)[:, self._ends]
        hits_a = of_a[:, self._hits]
        found_a = np.cumsum(hits_a, axis=1, dtype=np.int32)[:, self._last_hits]
        rows_b, found_b = self._ends + 1 - rows_a, self._last_hits + 1 - found_a
        precision_a, precision_b = found_a / np.maximum(rows_a, 1), found_b / np.maximum(rows_b, 1)
        total: FloatArray = np.where(hits_a, -precision_a, precision_b).sum(axis=1)
        return total / self._positives


def _ranks(scores: npt.NDArray[Any]) -> FloatArray:
    """Ranks from 1 [N], equal scores at their mean rank."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means: FloatArray = np.cumsum(counts) - (counts - 1) / 2
    return means[place]
