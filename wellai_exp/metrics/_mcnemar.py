"""McNemar's test, of the images that only one of two models gets right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, IntArray, check_labels, check_pair


@dataclass(frozen=True, eq=False)
class McNemar:
    """What two models get right on the same images, and whether the difference is chance.

    Parameters
    ----------
    counts : ndarray of int64, shape [2, 2]
        Rows by (A is right, B is right), wrong first: ``counts[0, 1]`` are those that only B gets right.
    only_a, only_b : int
        Near-duplicate groups of which A, or B, gets more rows right.
    p_value : float
        Mid-p, two-sided.
    exact_p_value : float
        Never too small, at the price of power.
    """

    counts: IntArray
    only_a: int
    only_b: int
    p_value: float
    exact_p_value: float


def mcnemar(
    labels: npt.ArrayLike,
    predictions_a: npt.ArrayLike,
    predictions_b: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
) -> McNemar:
    """Test whether two models have the same accuracy.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    predictions_a, predictions_b : array_like of int, shape [N]
        Predicted class indices of the two models.
    groups : array_like of int, shape [N], optional
        The near-duplicate group of each row; by default each row is one of its own.

    Returns
    -------
    McNemar

    Raises
    ------
    ArrayError
        Where an array is unsound or lengths differ.

    Notes
    -----
    Where both models are as good, each of the n = only_a + only_b decides by the toss of a coin. Mid-p counts half of
    the probability of what was seen; it stays near 5 % where the exact test is far below, and never goes far above
    (Fagerland, Lydersen and Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better
    than exact conditional", BMC Medical Research Methodology 2013). A group is one vote for the model that gets more of
    its rows right, because its rows are no independent evidence.
    """
    true, a = check_pair(labels, predictions_a)
    _, b = check_pair(labels, predictions_b)
    group = np.arange(len(true)) if groups is None else check_labels(groups, name="groups")
    if len(group) != len(true):
        raise ArrayError(f"There are {len(true)} labels but {len(group)} groups; they must be as many.")
    right_a, right_b = (a == true).astype(np.int64), (b == true).astype(np.int64)
    counts = np.bincount(2 * right_a + right_b, minlength=4).reshape(2, 2)
    lead = np.bincount(np.unique(group, return_inverse=True)[1], right_b - right_a)
    only_a, only_b = int((lead < 0).sum()), int((lead > 0).sum())
    mid, exact = _sign_test(min(only_a, only_b), only_a + only_b)
    return McNemar(counts, only_a, only_b, mid, exact)


def _sign_test(fewer: int, tosses: int) -> tuple[float, float]:
    """Give mid-p and exact p-value, two-sided, of `fewer` heads or as few tails among tosses of a fair coin."""
    from scipy.special import bdtr, gammaln

    tail = 2 * float(bdtr(fewer, tosses, 0.5))
    seen = float(np.exp(gammaln(tosses + 1) - gammaln(fewer + 1) - gammaln(tosses - fewer + 1) - tosses * np.log(2.0)))
    return min(1.0, tail - seen), min(1.0, tail)
