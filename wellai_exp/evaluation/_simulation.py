"""Two classifiers whose true difference is known, for finding out what the tests of it are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import DataError
from wellai_exp.metrics import Scorer

_ENDLESS_ROWS = 60_000


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """Predictions of classifiers A and B for one drawn test set.

    Parameters
    ----------
    labels, groups : ndarray of int64, shape [N]
        True class and near-duplicate group of each row.
    a, b : ndarray of float64, shape [N, C]
        Predicted probabilities.
    """

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TwoClassifiers:
    """Two noisy classifiers on test sets of a long tail with near-duplicates.

    A row's logits are standard normal noise, and the logit of its class is raised by the skill of the classifier in
    that class. Rows of a near-duplicate group share most of their noise, and the two classifiers share some.

    Parameters
    ----------
    class_groups : tuple of int, length C
        Near-duplicate groups of each class in a test set, at least 1.
    skill : tuple of float, length C
        By how much A raises the logit of each class.
    gap : float
        By how much more B does; at 0 the two are equally good.
    duplicates : int
        The most rows of a group; each group has 1 to so many, all as likely.
    shared_by_group, shared_by_models : float
        Parts of the noise's variance, in [0, 1].
    """

    class_groups: tuple[int, ...]
    skill: tuple[float, ...]
    gap: float = 0.0
    duplicates: int = 1
    shared_by_group: float = 0.7
    shared_by_models: float = 0.6

    def __post_init__(self) -> None:
        if not self.class_groups or min(self.class_groups) < 1 or len(self.skill) != len(self.class_groups):
            raise DataError(
                f"Each class needs at least one group and one skill, but there are {list(self.class_groups)} groups "
                f"and {len(self.skill)} skills."
            )

    @property
    def images(self) -> int:
        """Rows that a test set has on average, rounded."""
        return round(sum(self.class_groups) * (1 + self.duplicates) / 2)

    def draw(self, rng: np.random.Generator) -> PairedPredictions:
        """Draw one test set and what both predict."""
        of_group = np.repeat(np.arange(len(self.class_groups)), self.class_groups)
        sizes = rng.integers(1, self.duplicates + 1, len(of_group))
        groups = np.repeat(np.arange(len(of_group)), sizes)
        labels = of_group[groups]
        common = self._noise(groups, rng)
        a, b = (
            _mixed(self.shared_by_models, common, self._noise(groups, rng)) + self._signal(labels, gap)
            for gap in (0.0, self.gap)
        )
        return PairedPredictions(labels, groups, _softmax(a), _softmax(b))

    def true_scores(self, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float]]:
        """Give the scores of A and of B on endless test sets, from 60,000 rows in the proportions of the classes."""
        n_classes = len(self.class_groups)
        labels = np.repeat(np.arange(n_classes), _ENDLESS_ROWS // n_classes)
        weights = np.array(self.class_groups, np.float64)[labels]
        # The same noise for both: of their difference, chance leaves next to nothing.
        noise = rng.normal(size=(len(labels), n_classes))
        a, b = (Scorer(labels, _softmax(noise + self._signal(labels, gap))).scores(weights) for gap in (0.0, self.gap))
        return a, b

    def _signal(self, labels: npt.NDArray[np.int64], gap: float) -> npt.NDArray[np.float64]:
        skill = np.array(self.skill) + gap
        return np.eye(len(skill))[labels] * skill

    def _noise(self, groups: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
        n_classes = len(self.class_groups)
        of_groups = rng.normal(size=(int(groups.max()) + 1, n_classes))[groups]
        return _mixed(self.shared_by_group, of_groups, rng.normal(size=(len(groups), n_classes)))


def _mixed(part: float, first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mix two noises of variance 1 so that the first makes up a part of the variance."""
    mixed: npt.NDArray[np.float64] = np.sqrt(part) * first + np.sqrt(1 - part) * second
    return mixed


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
