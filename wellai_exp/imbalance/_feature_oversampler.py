"""What SMOTE and its kin share: imbalanced-learn makes new rows between rows of a class."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance._base import Floats, Labels, Resampled, Strategy
from wellai_exp.imbalance._checks import Counts, check_count, check_real
from wellai_exp.imbalance._index_resampler import missing_images
from wellai_exp.imbalance._one_hot import OneHotRows
from wellai_exp.seeding import derive_seed, generator

SamplerFactory = Callable[[dict[int, int], int], Any]


@dataclass(frozen=True)
class FeatureOversampler(Strategy):
    """An oversampler that works on features, so with a frozen backbone only.

    The neighbour count of a class is lowered to its images less one where it has too few, for that class alone. A class
    of one image has no neighbour: its image is repeated instead. The notes say where either was done.

    Parameters
    ----------
    k_neighbors : int
        At least 1: neighbours of the same class between which and an image a new row may lie.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest.
    """

    k_neighbors: int = 5
    sampling_ratio: float = 1.0

    regimes: ClassVar[frozenset[str]] = frozenset({"probe"})
    # Parts of messages with which imbalanced-learn refuses one class for its geometry. Where there are any, the classes
    # are resampled one at a time: a refusal then leaves its class alone, as it is, instead of ending the whole call.
    _refusals: ClassVar[tuple[str, ...]] = ()
    # Draws for a class, until it has its rows: SVM-SMOTE may give fewer than it is asked for.
    _attempts: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_count("k_neighbors", self.k_neighbors, least=1, example=5)
        check_real("sampling_ratio", self.sampling_ratio, least=0, least_allowed=False, most=1, example=1.0)

    def _most_neighbours(self) -> int:
        """Give the largest neighbour count that is asked for among all rows."""
        return self.k_neighbors

    def _factory(self, rows: OneHotRows, state: np.random.RandomState) -> SamplerFactory:
        """Give what makes imbalanced-learn's sampler; called once for a resampling.

        Parameters
        ----------
        rows : OneHotRows
            What the samplers are given instead of the features.
        state : RandomState
            Shared by all samplers of the resampling.

        Returns
        -------
        callable
            Takes the rows that each class shall have in the end, and the neighbour count.
        """
        raise NotImplementedError

    def _resample(self, features: Floats, labels: Labels, n_classes: int, seed: int) -> Resampled:
        counts = np.bincount(labels, minlength=n_classes).astype(np.int64)
        missing = missing_images(counts, self.sampling_ratio)
        notes = self._notes_on_size(counts, missing)
        classes = np.flatnonzero((counts > 1) & (missing > 0))
        rows = OneHotRows(features, min(self._most_neighbours(), len(features) - 1))
        factory = self._factory(rows, np.random.RandomState(derive_seed(seed, "imbalance", self.name)))
        new_features, new_labels = self._draw_all(rows, labels, counts, missing, factory)
        drawn = np.bincount(new_labels, minlength=n_classes)
        if left := [int(c) for c in classes if drawn[c] == 0]:
            notes.append(f"{_classes(left)} left as before: no image there suits {self.name}.")
        repeated = self._repeat_singles(labels, counts, missing, seed)
        return Resampled(
            np.concatenate([features, new_features, features[repeated]]),
            np.concatenate([labels, new_labels, labels[repeated]]),
            tuple(notes),
        )

    def _notes_on_size(self, counts: Counts, missing: Counts) -> list[str]:
        """Say which classes are too small for the neighbour count."""
        notes = []
        small = np.flatnonzero((counts > 1) & (counts <= self.k_neighbors) & (missing > 0))
        if small.size:
            lowered = ", ".join(f"{counts[c] - 1} for class {c}" for c in small)
            notes.append(f"k_neighbors={self.k_neighbors} lowered to {lowered}: too few images.")
        single = np.flatnonzero((counts == 1) & (missing > 0))
        if single.size:
            notes.append(f"{_classes(single.tolist())} of one image: the image is repeated, not interpolated.")
        return notes

    @staticmethod
    def _repeat_singles(labels: Labels, counts: Counts, missing: Counts, seed: int) -> Labels:
        """Give positions that repeat the image of each class that has one only, in random order."""
        single = np.flatnonzero((counts == 1) & (missing > 0))
        positions = [np.repeat(np.flatnonzero(labels == c), missing[c]) for c in single]
        joined = np.concatenate([np.empty(0, np.int64), *positions])
        return generator(seed, "imbalance", "singles").permutation(joined)

    def _draw_all(
        self, rows: OneHotRows, labels: Labels, counts: Counts, missing: Counts, factory: SamplerFactory
    ) -> tuple[Floats, Labels]:
        """Make the new rows of all classes of two images and more."""
        classes = [int(c) for c in np.flatnonzero((counts > 1) & (missing > 0))]
        made, ids = [rows.features[:0]], [labels[:0]]
        if classes and not self._refusals:
            wanted = {c: int(counts[c] + missing[c]) for c in classes}
            new = self._draw(rows, labels, factory(wanted, self.k_neighbors))
            made.append(new[0])
            ids.append(new[1])
        for c in classes if self._refusals else []:
            k_neighbors = min(self.k_neighbors, int(counts[c]) - 1)
            lack = int(missing[c])
            for attempt in range(self._attempts):
                # What came short once is asked for fourfold: more than enough is cut off, and draws are independent.
                ask = lack if attempt == 0 else 4 * lack
                new = self._draw(rows, labels, factory({c: int(counts[c]) + ask}, k_neighbors))
                made.append(new[0][:lack] if attempt else new[0])
                ids.append(np.full(len(made[-1]), c))
                lack -= len(made[-1])
                if lack <= 0 or not len(new[0]):
                    break
        return np.concatenate(made), np.concatenate(ids)

    def _draw(self, rows: OneHotRows, labels: Labels, sampler: Any) -> tuple[Floats, Labels]:
        """Let imbalanced-learn make rows; none where it refuses the class for its geometry."""
        try:
            with warnings.catch_warnings():
                # Asking a second time asks for more than is kept.
                warnings.filterwarnings("ignore", message="After over-sampling, the number of samples")
                weights, ids = sampler.fit_resample(rows.identity, labels)
        except (ValueError, RuntimeError) as error:
            message = " ".join(str(error).split())
            if any(part in message for part in self._refusals):
                return rows.features[:0], labels[:0]
            raise TrialFailed(f"imbalance={self.name} failed in imbalanced-learn: {message[:300]}") from error
        # All of these samplers put the rows they were given first.
        return rows.features_of(weights.tocsr()[labels.size :]), ids[labels.size :]


def _classes(ids: list[int]) -> str:
    """Name classes by their numbers."""
    return f"Class{'es' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
