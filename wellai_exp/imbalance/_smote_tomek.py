"""SMOTE and Tomek links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Floats, Labels
from wellai_exp.imbalance._blas import BlasNeighbours
from wellai_exp.imbalance._cleaned_smote import CleanedSmote


@dataclass(frozen=True)
class SmoteTomek(CleanedSmote):
    """SMOTE, then the removal of both ends of every Tomek link (Batista et al., 2004; Tomek, IEEE SMC 1976).

    A link is a pair of rows of different classes, each the other's nearest. imbalanced-learn's test for a link is used;
    its search, which cannot be replaced and takes twice as long, is not.

    Parameters
    ----------
    k_neighbors : int
        At least 1: SMOTE's neighbours.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest before the cleaning.
    """

    def _kept(self, features: Floats, labels: Labels) -> Labels:
        from imblearn.under_sampling import TomekLinks

        nearest = BlasNeighbours(2).fit(features).kneighbors(features, return_distance=False)[:, 1]
        return np.flatnonzero(~TomekLinks.is_tomek(labels, nearest, np.unique(labels)))
