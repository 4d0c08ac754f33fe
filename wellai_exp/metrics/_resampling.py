"""Test sets that might as well have been drawn: how often each row counts in a resample."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, FloatArray, IntArray, check_labels


class GroupResampling:
    """Draws weights of rows: by class, and near-duplicates together.

    Within each class, of its k groups k - 1 are drawn with replacement, and their rows weigh so much that the class
    keeps its number of rows. One draw fewer than there are groups makes the variance of a class's mean right (Rao and
    Wu, "Resampling inference with complex survey data", JASA 1988); drawing all k would make it too small by (k - 1) /
    k, which is half in a class of two. Groups are drawn whole because near-duplicates are right or wrong together, so
    they hold less evidence than as many separate images.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    groups : array_like of int, shape [N], optional
        The near-duplicate group of each row; by default each row is one of its own. A group with rows of several
        classes is drawn with the class that most of its rows have, the lowest index among equals.

    Attributes
    ----------
    groups_of_class : ndarray of int64, shape [highest label + 1]
        k of each class. A class with a single group is the same in every resample: nothing is known of its spread.
    digest : str
        Of labels and groups, whatever numbers the groups have.

    Raises
    ------
    ArrayError
        Where the arrays are unsound or differ in length.
    """

    def __init__(self, labels: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> None:
        true = check_labels(labels)
        group = np.arange(len(true)) if groups is None else check_labels(groups, name="groups")
        if len(group) != len(true):
            raise ArrayError(f"There are {len(true)} labels but {len(group)} groups; they must be as many.")
        # Renumbered so that the groups of one class are neighbours.
        of_row = np.unique(group, return_inverse=True)[1]
        home = _most_frequent(of_row, true)
        order = np.argsort(home, kind="stable")
        self._class_of_group = home[order]
        self._group_of_row = np.argsort(order, kind="stable")[of_row]
        self._rows_of_group = np.bincount(self._group_of_row)
        self.groups_of_class: IntArray = np.bincount(home, minlength=int(true.max()) + 1)
        draws = np.maximum(self.groups_of_class - 1, self.groups_of_class.clip(max=1))
        self._class_of_draw = np.repeat(np.arange(len(draws)), draws)
        self._first_of_class = np.cumsum(self.groups_of_class) - self.groups_of_class
        self._rows_of_class = self._per_class(self._rows_of_group)
        self.digest = hashlib.sha256(true.tobytes() + of_row.astype(np.int64).tobytes()).hexdigest()

    @property
    def rows(self) -> int:
        """N."""
        return len(self._group_of_row)

    def weights(self, rng: np.random.Generator) -> FloatArray:
        """Draw how often each row counts, float64 [N]; the weights of each class sum to its rows."""
        of = self._class_of_draw
        drawn = self._first_of_class[of] + (rng.random(len(of)) * self.groups_of_class[of]).astype(np.int64)
        times = np.bincount(drawn, minlength=len(self._rows_of_group)).astype(np.float64)
        sums = self._per_class(times * self._rows_of_group)
        scale = np.divide(self._rows_of_class, sums, out=np.zeros_like(sums), where=sums > 0)
        weights: FloatArray = (times * scale[self._class_of_group])[self._group_of_row]
        return weights

    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of the standard deviation of a mean over classes; NaN where no class has two groups.

        Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bulletin 1946,
        for classes that count alike and vary alike, so that small classes, whose spread is least sure, count most.
        """
        several = self.groups_of_class[self.groups_of_class > 1].astype(np.float64)
        if not several.size:
            return float("nan")
        return float((1 / several).sum() ** 2 / (1 / (several**2 * (several - 1))).sum())

    def effective_groups(self) -> float:
        """How many groups of one class would tell as much as these do of a mean over classes."""
        present = self.groups_of_class[self.groups_of_class > 0]
        return float(len(present) ** 2 / (1 / present).sum())

    def _per_class(self, of_group: npt.NDArray[Any]) -> FloatArray:
        sums: FloatArray = np.bincount(self._class_of_group, of_group, len(self.groups_of_class)).astype(np.float64)
        return sums


def _most_frequent(groups: IntArray, labels: IntArray) -> IntArray:
    """Give the most frequent label of each group [G], the lowest among equals; groups are numbered from 0."""
    pairs, rows = np.unique(np.stack([groups, labels], axis=1), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -rows, pairs[:, 0]))
    first = np.unique(pairs[order, 0], return_index=True)[1]
    most: IntArray = pairs[order[first], 1]
    return most
