"""Random oversampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Labels
from wellai_exp.imbalance._checks import Counts, check_real
from wellai_exp.imbalance._index_resampler import IndexResampler, missing_images


@dataclass(frozen=True)
class RandomOver(IndexResampler):
    """Random oversampling: images of the smaller classes are drawn again, with replacement.

    Parameters
    ----------
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest.
    """

    sampling_ratio: float = 1.0

    def __post_init__(self) -> None:
        check_real("sampling_ratio", self.sampling_ratio, least=0, least_allowed=False, most=1, example=1.0)

    def _indices(self, labels: Labels, counts: Counts, rng: np.random.Generator) -> Labels:
        missing = missing_images(counts, self.sampling_ratio)
        extra = [rng.choice(np.flatnonzero(labels == c), missing[c]) for c in np.flatnonzero(missing)]
        return np.concatenate([np.arange(labels.size), *extra])
