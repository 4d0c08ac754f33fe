"""Resampling that only picks images, and so serves features and images alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wellai_exp.imbalance._base import Floats, Labels, Resampled, Strategy, checked_labels
from wellai_exp.imbalance._checks import Counts
from wellai_exp.seeding import generator


def missing_images(counts: Counts, sampling_ratio: float) -> Counts:
    """Give how many images each present class lacks to reach ``sampling_ratio`` times the largest class, int [C]."""
    aim = round(sampling_ratio * int(counts.max()))
    return np.where(counts > 0, np.maximum(aim - counts, 0), 0)


class IndexResampler(Strategy):
    """A strategy whose rows are all rows of what it was given."""

    def indices(self, labels: npt.ArrayLike, n_classes: int, seed: int) -> Labels:
        """Give the positions to train on.

        Parameters
        ----------
        labels : int [N]
            In ``[0, n_classes)``.
        n_classes : int
            Classes of the problem.
        seed : int
            Equal seeds give equal positions.

        Returns
        -------
        int64 [M]
            Positions in ``[0, N)``; a position may come more than once or not at all.

        Raises
        ------
        ValueError
            Where the labels are wrong.
        """
        targets = checked_labels(labels, n_classes)
        counts = np.bincount(targets, minlength=n_classes).astype(np.int64)
        return self._indices(targets, counts, generator(seed, "imbalance", self.name))

    def _indices(self, labels: Labels, counts: Counts, rng: np.random.Generator) -> Labels:
        """Compute from validated labels."""
        raise NotImplementedError

    def _resample(self, features: Floats, labels: Labels, n_classes: int, seed: int) -> Resampled:
        chosen = self.indices(labels, n_classes, seed)
        return Resampled(features[chosen], labels[chosen])
