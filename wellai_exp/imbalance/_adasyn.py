"""ADASYN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellai_exp.imbalance._feature_oversampler import FeatureOversampler, SamplerFactory
from wellai_exp.imbalance._one_hot import OneHotRows


@dataclass(frozen=True)
class Adasyn(FeatureOversampler):
    """ADASYN (He et al., IJCNN 2008): SMOTE with more rows where other classes are near.

    The share of each image is rounded, so a class may end a few rows above or below what was asked. A class that has no
    other class among its neighbours is left as it is, and a note says so.

    Parameters
    ----------
    k_neighbors : int
        At least 1: neighbours that tell how near other classes are, and neighbours to interpolate with.
    sampling_ratio : float
        In (0, 1]: every class is raised to about this share of the largest.
    """

    _refusals: ClassVar[tuple[str, ...]] = ("No samples will be generated", "Not any neigbours belong to the majority")

    def _factory(self, rows: OneHotRows, state: np.random.RandomState) -> SamplerFactory:
        from imblearn.over_sampling import ADASYN

        return lambda wanted, k: ADASYN(sampling_strategy=wanted, n_neighbors=rows.neighbours(k), random_state=state)
