"""The test part and the folds: stratified by class, and no photograph on two sides."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wellai_exp.data._index import Index
from wellai_exp.data._near_duplicates import exact_groups, remembered_groups
from wellai_exp.errors import SettingError
from wellai_exp.seeding import derive_seed

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# One photograph to test on, and two to train on: with one, the fold that validates on it would train without the class.
_NEED_TEST, _NEED_TRAIN = 1, 2
_FINEST = 20
_WIDEST = 80


@dataclass(frozen=True)
class Split:
    """How the data are parted.

    Parameters
    ----------
    test : float
        The share of the images that are kept for the test, 0.05 to 0.5; not used where the data name their own.
    folds : int
        The folds of cross-validation within the training part.
    seed : int
        Decides which photograph goes where.
    near_duplicates : bool
        Keep near-duplicates (resized, recompressed, mirrored) on one side; files with the same bytes always are.
    threshold : int
        How many bits of 255 two perceptual hashes may differ in to count as near-duplicates. On 1,731 known twins
        among 4,959 yoga photographs, 40 found 99.8 % and joined one pair of different photographs.

    Raises
    ------
    SettingError
        Where a setting cannot work.
    """

    test: float = 0.2
    folds: int = 5
    seed: int = 0
    near_duplicates: bool = True
    threshold: int = 40

    def __post_init__(self) -> None:
        if not 1 / _FINEST <= self.test <= 0.5:
            raise SettingError(
                "split.test", self.test, "the test part must be between 0.05 and 0.5 of the data", "set split.test=0.2"
            )
        if self.folds < 2:
            raise SettingError(
                "split.folds", self.folds, "cross-validation needs at least 2 folds", "set split.folds=5"
            )
        if not 0 <= self.threshold <= _WIDEST:
            raise SettingError(
                "split.threshold",
                self.threshold,
                f"beyond 0 to {_WIDEST} bits of 255, different photographs count as the same one",
                "set split.threshold=40",
            )

    def groups(self, index: Index, twins: IntArray) -> IntArray:
        """Give the group of each file whose members stay on one side, shape (n,), knowing its `twins`."""
        return twins if self.near_duplicates else exact_groups(index.sha256)

    def twins(self, index: Index, store: Path) -> IntArray:
        """Give the group of near-duplicates of each file, whether or not the split heeds it, shape (n,)."""
        return remembered_groups(index.hashes, index.mirrored, self.threshold, store)

    def test_part(self, labels: IntArray, groups: IntArray, names: Sequence[str]) -> BoolArray:
        """Choose the test part.

        Parameters
        ----------
        labels, groups : array of int64, shape (n,)
            Class indices, and groups that stay together.
        names : sequence of str
            The class names.

        Returns
        -------
        array of bool, shape (n,)
            True in the test part; every class has a group there, and two in the training part.

        Raises
        ------
        SettingError
            Where a class has too few groups.
        """
        totals = np.bincount(labels, minlength=len(names))
        self._check_groups(labels, groups, names, totals, _NEED_TEST + _NEED_TRAIN)
        finest = min(_FINEST, int(totals.max()), len(np.unique(groups)))
        share = max(Fraction(self.test).limit_denominator(finest), Fraction(1, finest))
        parts = _stratified(labels, groups, share.denominator, derive_seed(self.seed, "split", "test"))
        chosen: BoolArray = (
            repair((parts < share.numerator).astype(np.int64), labels, groups, (_NEED_TRAIN, _NEED_TEST)) == 1
        )
        self._check_sides(labels, groups, names, chosen)
        return chosen

    def fold_of(self, labels: IntArray, groups: IntArray, names: Sequence[str], totals: IntArray) -> IntArray:
        """Choose the folds of a training part.

        Parameters
        ----------
        labels, groups : array of int64, shape (n,)
            Class indices, and groups that stay together, of the training part.
        names : sequence of str
            The class names.
        totals : array of int64, shape (n_classes,)
            Images of each class in all parts.

        Returns
        -------
        array of int64, shape (n,)
            The fold in which each row validates; every class is in the training part of every fold, and in the
            validation part of as many as it has groups for.

        Raises
        ------
        SettingError
            Where a class has too few groups.
        """
        self._check_groups(labels, groups, names, totals, _NEED_TRAIN)
        n_groups = len(np.unique(groups))
        if n_groups < self.folds:
            raise SettingError(
                "split.folds",
                self.folds,
                f"the training part has only {n_groups} different photographs",
                f"set split.folds={n_groups}",
            )
        folds = _stratified(labels, groups, self.folds, derive_seed(self.seed, "split", "folds"))
        folds = repair(folds, labels, groups, (1,) * self.folds)
        for label in np.unique(labels):
            if len(np.unique(folds[labels == label])) < _NEED_TRAIN:
                raise SettingError(
                    "split.folds",
                    self.folds,
                    f"all training images of the class {names[label]!r} share their near-duplicates with other classes "
                    "and fall into one fold",
                    "set another split.seed, or mend the labels of those images",
                )
        return folds

    def _check_groups(
        self, labels: IntArray, groups: IntArray, names: Sequence[str], totals: IntArray, need: int
    ) -> None:
        pairs = np.unique(np.stack([labels, groups]), axis=1)
        have = np.bincount(pairs[0], minlength=len(names))
        few = np.flatnonzero((have < need) & (totals > 0))
        if not len(few):
            return
        images = np.bincount(labels, minlength=len(names))
        first = few[0]
        others = f" (and {len(few) - 1} other classes have too few)" if len(few) > 1 else ""
        raise SettingError(
            "split.folds",
            self.folds,
            f"the class {names[first]!r} has {have[first]} different photographs in {images[first]} images{others}, "
            f"and {need} are needed to train and to be tested in every fold",
            f"add photographs, or set data.min_per_class={totals[few].max() + 1} to leave such classes out",
        )

    def _check_sides(self, labels: IntArray, groups: IntArray, names: Sequence[str], test: BoolArray) -> None:
        totals = np.bincount(labels, minlength=len(names))
        self._check_groups(labels[~test], groups[~test], names, totals, _NEED_TRAIN)
        for side, part in (("test", labels[test]), ("training", labels[~test])):
            absent = np.setdiff1d(labels, part)
            if len(absent):
                raise SettingError(
                    "split.seed",
                    self.seed,
                    f"the class {names[absent[0]]!r} has no image in the {side} part, because its near-duplicates are "
                    "tied to other classes",
                    "set another split.seed, or mend the labels of those images",
                )


def _stratified(labels: IntArray, groups: IntArray, parts: int, seed: int) -> IntArray:
    """Deal groups to parts so that each has its share of every class, shape (n,)."""
    from sklearn.model_selection import StratifiedGroupKFold

    if parts > np.bincount(labels).max():
        # Then no class can be in every part, and scikit-learn refuses; dealing in turn is as fair as can be.
        order = np.random.default_rng(seed).permutation(len(np.unique(groups)))
        return (order[np.unique(groups, return_inverse=True)[1]] % parts).astype(np.int64)
    part = np.zeros(len(labels), np.int64)
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # It warns of classes smaller than the number of parts, which `repair` sees to.
        warnings.simplefilter("ignore", UserWarning)
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            part[held] = number
    return part


def repair(parts: IntArray, labels: IntArray, groups: IntArray, need: Sequence[int]) -> IntArray:
    """Move groups until every class has what it needs in every part, as far as that can be.

    A stratified deal is fair on average, but may leave a small class out of a part. A group moves only where neither
    its own class nor any other in it then lacks something, so each move mends a lack and makes none.

    Parameters
    ----------
    parts, labels, groups : array of int64, shape (n,)
        The part, class and group of each row.
    need : sequence of int
        The groups of every class that each part should have.

    Returns
    -------
    array of int64, shape (n,)
        The parts after the moves.
    """
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    member = member.ravel()
    part_of = np.zeros(len(sizes), np.int64)
    part_of[member] = parts
    pairs = np.unique(np.stack([member, labels]), axis=1)
    classes_of = np.split(pairs[1], np.flatnonzero(np.diff(pairs[0])) + 1)
    have = np.zeros((len(need), int(labels.max()) + 1), np.int64)
    np.add.at(have, (part_of[pairs[0]], pairs[1]), 1)
    needed = np.asarray(need)
    for label, part in np.argwhere((have < needed[:, None]).T & (have.sum(0) > 0)[:, None]):
        mine = pairs[0][pairs[1] == label]
        while have[part, label] < needed[part]:
            spare = [
                group
                for group in mine
                if part_of[group] != part and (have[part_of[group], classes_of[group]] > needed[part_of[group]]).all()
            ]
            if not spare:
                break
            # From where the class has most, and the smallest group, to disturb the shares least.
            moved = min(spare, key=lambda group: (-have[part_of[group], label], sizes[group], group))
            have[part_of[moved], classes_of[moved]] -= 1
            have[part, classes_of[moved]] += 1
            part_of[moved] = part
    return part_of[member]
