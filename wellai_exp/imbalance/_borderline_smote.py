"""Borderline-SMOTE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._checks import check_choice, check_count
from wellai_exp.imbalance._feature_oversampler import FeatureOversampler, SamplerFactory
from wellai_exp.imbalance._one_hot import OneHotRows


@dataclass(frozen=True)
class BorderlineSmote(FeatureOversampler):
    """Borderline-SMOTE (Han et al., ICIC 2005): SMOTE from images that have many neighbours of other classes.

    A class without such an image is left as it is, and a note says so.

    Parameters
    ----------
    k_neighbors : int
        At least 1: neighbours to interpolate with.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest.
    m_neighbors : int
        At least 1: neighbours of any class that decide whether an image lies near a border.
    kind : str
        ``borderline-1`` interpolates within the class, ``borderline-2`` also up to half way to other classes.
    """

    m_neighbors: int = 10
    kind: str = "borderline-1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("m_neighbors", self.m_neighbors, least=1, example=10)
        check_choice("kind", self.kind, ("borderline-1", "borderline-2"))

    def _most_neighbours(self) -> int:
        return max(self.k_neighbors, self.m_neighbors)

    def _factory(self, rows: OneHotRows, state: np.random.RandomState) -> SamplerFactory:
        from imblearn.over_sampling import BorderlineSMOTE

        return lambda wanted, k: BorderlineSMOTE(
            sampling_strategy=wanted,
            k_neighbors=rows.neighbours(k),
            m_neighbors=rows.neighbours(min(self.m_neighbors, len(rows.features) - 1)),
            kind=self.kind,
            random_state=state,
        )
