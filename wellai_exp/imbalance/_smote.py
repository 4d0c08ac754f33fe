"""SMOTE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._feature_oversampler import FeatureOversampler, SamplerFactory
from wellai_exp.imbalance._one_hot import OneHotRows


@dataclass(frozen=True)
class Smote(FeatureOversampler):
    """SMOTE (Chawla et al., JAIR 2002): new rows on the segment between an image and a neighbour of its class.

    Parameters
    ----------
    k_neighbors : int
        At least 1: neighbours to choose from.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest.
    """

    def _factory(self, rows: OneHotRows, state: np.random.RandomState) -> SamplerFactory:
        from imblearn.over_sampling import SMOTE

        return lambda wanted, k: SMOTE(sampling_strategy=wanted, k_neighbors=rows.neighbours(k), random_state=state)
