"""How far a score might have come out otherwise, had other images of the same kind been in the test set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, FloatArray
from wellai_exp.metrics._ranges import Range, range_of
from wellai_exp.metrics._resampling import GroupResampling
from wellai_exp.seeding import generator

Score = Callable[[FloatArray], Mapping[str, FloatArray]]
ScorePerClass = Callable[[FloatArray], FloatArray]

# Resamples are scored together as long as so many weights, which caches hold, go round; beyond 64 nothing is gained.
_TOGETHER, _MOST = 2**19, 64

# Sums of weights leave so much rounding in a score that does not vary.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A score and the range in which its true value lies.

    Parameters
    ----------
    estimate : float
        The score of the test set itself.
    low, high : float
        The ends, ``low <= estimate <= high``; NaN where nothing is known of the spread.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """Scores of one set of predictions on its test set and on resamples of it; made by `resample`.

    Parameters
    ----------
    names : tuple of str, length M
        Of the scores.
    estimates : ndarray, shape [M]
        Scores of the test set.
    values : ndarray, shape [R, M]
        Scores of each resample; NaN where a resample has none.
    degrees_of_freedom, effective_groups : ndarray, shape [M]
        How much is known of each score's spread (see `GroupResampling`).
    digest : str
        Of labels, groups, seed and R: with the same one, row r is the same resample.
    """

    names: tuple[str, ...]
    estimates: FloatArray
    values: FloatArray
    degrees_of_freedom: FloatArray
    effective_groups: FloatArray
    digest: str

    def intervals(
        self, level: float = 0.95, ranges: Mapping[str, tuple[float, float]] | None = None
    ) -> dict[str, Interval]:
        """Give the interval of each score; see `bootstrap`."""
        quantiles = student_quantiles(level, self.degrees_of_freedom, len(self.values))
        return {
            name: _interval(
                range_of(name, ranges), name, float(estimate), values[np.isfinite(values)], quantile, groups, level
            )
            for name, estimate, values, quantile, groups in zip(
                self.names, self.estimates, self.values.T, quantiles, self.effective_groups, strict=True
            )
        }


def resample(
    score: Score, labels: npt.ArrayLike, groups: npt.ArrayLike | None = None, *, n_resamples: int = 1000, seed: int = 0
) -> Resamples:
    """Score a test set and resamples of it, which are drawn by class and with near-duplicates together.

    Parameters
    ----------
    score : callable
        Gives scores [r] by name for r weightings [r, N] of the rows, e.g. ``Scorer.weighted_scores``. It is called with
        one, all equal, and then with several at a time.
    labels : array_like of int, shape [N]
        True class indices.
    groups : array_like of int, shape [N], optional
        The near-duplicate group of each row; by default each row is one of its own (see `GroupResampling`).
    n_resamples : int
        R, at least 2. With 200 the ends of an interval move by about a twentieth of its width from seed to seed, with
        1000 by a fortieth.
    seed : int
        The same seed, labels and groups give the same resamples, whatever the score.

    Returns
    -------
    Resamples

    Raises
    ------
    ArrayError
        Where labels or groups are unsound, or there are fewer than two resamples.
    """
    rows = GroupResampling(labels, groups)
    equal = score(np.ones((1, rows.rows)))
    names = tuple(equal)

    def ordered(weights: FloatArray) -> FloatArray:
        scores = score(weights)
        return np.stack([scores[name] for name in names], axis=1)

    return Resamples(
        names,
        np.array([equal[name][0] for name in names], dtype=np.float64),
        _scores_of_resamples(ordered, rows, n_resamples, seed),
        np.full(len(names), rows.degrees_of_freedom()),
        np.full(len(names), rows.effective_groups()),
        _digest(rows, n_resamples, seed),
    )


def resample_per_class(
    score: ScorePerClass,
    labels: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Resamples:
    """Score each class of a test set and of resamples of it.

    Parameters
    ----------
    score : callable
        Gives one score a class [r, C] for r weightings [r, N] of the rows, e.g. ``Scorer.weighted_auc_pr``; each lies
        in [0, 1].
    labels, groups, n_resamples, seed
        As in `resample`.

    Returns
    -------
    Resamples
        Named by class index. A class of k groups has k - 1 degrees of freedom, so nothing is said of the spread where
        it has only one.

    Raises
    ------
    ArrayError
        As in `resample`.
    """
    rows = GroupResampling(labels, groups)
    estimates = np.asarray(score(np.ones((1, rows.rows)))[0], dtype=np.float64)
    of_class = np.zeros(len(estimates))
    of_class[: len(rows.groups_of_class)] = rows.groups_of_class
    return Resamples(
        tuple(str(index) for index in range(len(estimates))),
        estimates,
        _scores_of_resamples(score, rows, n_resamples, seed),
        np.where(of_class > 1, of_class - 1, np.nan),
        of_class,
        _digest(rows, n_resamples, seed),
    )


def bootstrap(
    score: Score,
    labels: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Interval]:
    """Give each score's confidence interval for other test images of the same kind, in the same class proportions.

    Parameters
    ----------
    score, labels, groups, n_resamples, seed
        As in `resample`.
    level : float
        Share of test sets whose interval is to hold the true value, in (0, 1).
    ranges : mapping of str to (float, float), optional
        The least and greatest value that a score can have (the greatest may be ``inf``), where it is not the usual one
        of its name, or [0, 1] for a name that is not known.

    Returns
    -------
    dict of str to Interval
        In the order of the scores. Resamples without a score (NaN) are left out; where fewer than two have one, or no
        class has two groups, the ends are NaN.

    Raises
    ------
    ArrayError
        As in `resample`; also where the level or a score is out of its range.

    Notes
    -----
    The interval is ``estimate - bias ± t × spread`` on a scale without ends, the logit of the score's place in its
    range (the logarithm for a loss), as Boyd, Eng and Page, "Area under the Precision-Recall Curve: Point Estimates
    and Confidence Intervals", ECML PKDD 2013, recommend for AUC-PR. The spread is the standard deviation of the
    resamples; a resample that reaches the end of the range, where the logit is infinite, counts as one that comes three
    quarters of the way. Student's t takes the degrees of freedom of the classes (Satterthwaite) and of R resamples.

    Percentiles of the resamples would be easier, and wrong. In a resample rows occur twice, and a positive row that
    does raises its own precision: resamples have a greater AUC-PR than the test set, by about as much as the test set
    has a greater one than endless data, where no row counts for itself. Percentiles thus err twice to the same side:
    their 95 % intervals held the true macro AUC-PR in 82 to 92 of 100 simulated test sets. So the shift from the
    test set to the resamples' mean is the bias, and is taken off (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapter 10), after which the interval is widened, where need be, to hold the estimate.
    BCa intervals read the far tail where that shift is large, as it is with many small classes.

    Two scores are not corrected, because resamples do not tell their bias, and their intervals are for test sets of
    this size: ``expected_calibration_error``, which noise in its bins raises (Kumar, Liang and Ma, "Verified
    Uncertainty Calibration", NeurIPS 2019), and ``auc_pr_worst``, since chance has a say in which class is the worst.

    A score at an end of its range shows no spread; its interval reaches as far as that of a share, all or none of as
    many images as the classes' groups are worth (Clopper and Pearson, Biometrika 1934).

    Classes of fewer than about six groups leave the spread of an AUC-PR near 1 unseen when all of them happen to be
    ranked first; where such classes are few, intervals of macro AUC-PR are then too narrow.
    """
    return resample(score, labels, groups, n_resamples=n_resamples, seed=seed).intervals(level, ranges)


def bootstrap_per_class(
    score: ScorePerClass,
    labels: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Interval]:
    """Give the confidence interval of each class's score [C], as `bootstrap` does of `resample_per_class`."""
    drawn = resample_per_class(score, labels, groups, n_resamples=n_resamples, seed=seed)
    return list(drawn.intervals(level).values())


def student_quantiles(level: float, degrees_of_freedom: FloatArray, n_resamples: int) -> FloatArray:
    """Give how many standard deviations of R resamples reach to the ends of an interval [M].

    Raises
    ------
    ArrayError
        Where the level does not lie in (0, 1).
    """
    from scipy.special import stdtrit

    if not 0 < level < 1:
        raise ArrayError(f"level must lie between 0 and 1, e.g. 0.95, but it is {level}.")
    quantiles: FloatArray = stdtrit(joint_degrees_of_freedom(degrees_of_freedom, n_resamples), (1 + level) / 2)
    return quantiles


def joint_degrees_of_freedom(degrees_of_freedom: FloatArray, n_resamples: int) -> FloatArray:
    """Degrees of freedom of a standard deviation that is itself taken from R resamples."""
    return 1 / (1 / degrees_of_freedom + 1 / (n_resamples - 1))


def _scores_of_resamples(score: ScorePerClass, rows: GroupResampling, n_resamples: int, seed: int) -> FloatArray:
    if n_resamples < 2:
        raise ArrayError(f"n_resamples must be at least 2, but it is {n_resamples}.")
    rng = generator(seed, "resamples")
    together = int(np.clip(_TOGETHER // rows.rows, 1, _MOST))
    sizes = [min(together, n_resamples - done) for done in range(0, n_resamples, together)]
    return np.concatenate([score(np.stack([rows.weights(rng) for _ in range(size)])) for size in sizes])


def _digest(rows: GroupResampling, n_resamples: int, seed: int) -> str:
    return hashlib.sha256(f"{rows.digest} {n_resamples} {seed}".encode()).hexdigest()


def _interval(
    scale: Range, name: str, estimate: float, values: FloatArray, quantile: float, groups: float, level: float
) -> Interval:
    if not np.isfinite(estimate):
        return Interval(estimate, float("nan"), float("nan"))
    place = scale.checked(name, estimate)
    if len(values) < 2 or not np.isfinite(quantile):
        return Interval(estimate, float("nan"), float("nan"))
    if scale.at_end(place):
        low, high = scale.from_end(place, ((1 - level) / 2) ** (1 / groups))
    else:
        spread = scale.unbounded(scale.drawn_in(values, place)).std(ddof=1)
        bias = scale.slope(place) * (values.mean() - place) if scale.bias_is_seen else 0.0
        middle = scale.unbounded(place) - bias
        low, high = scale.bounded(middle - quantile * spread), scale.bounded(middle + quantile * spread)
    return Interval(estimate, float(min(low, estimate)), float(max(high, estimate)))
