"""Random undersampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Labels
from wellai_exp.imbalance._checks import Counts, check_real
from wellai_exp.imbalance._index_resampler import IndexResampler


@dataclass(frozen=True)
class RandomUnder(IndexResampler):
    """Random undersampling: images of the larger classes are left out at random.

    Parameters
    ----------
    sampling_ratio : float
        In (0, 1]: afterwards the smallest class has this share of the largest; 1 cuts every class to the smallest.
    """

    sampling_ratio: float = 1.0

    def __post_init__(self) -> None:
        check_real("sampling_ratio", self.sampling_ratio, least=0, least_allowed=False, most=1, example=0.5)

    def _indices(self, labels: Labels, counts: Counts, rng: np.random.Generator) -> Labels:
        present = np.flatnonzero(counts)
        # A ratio near 0 means no cut at all; the bound keeps the quotient an integer that fits.
        most = round(min(float(counts[present].min()) / self.sampling_ratio, float(counts.max())))
        kept = [
            rng.choice(np.flatnonzero(labels == c), min(most, int(counts[c])), replace=False, shuffle=False)
            for c in present
        ]
        return np.sort(np.concatenate(kept))
