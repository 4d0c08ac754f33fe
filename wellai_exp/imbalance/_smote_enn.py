"""SMOTE and edited nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Floats, Labels
from wellai_exp.imbalance._blas import BlasNeighbours
from wellai_exp.imbalance._checks import check_choice, check_count
from wellai_exp.imbalance._cleaned_smote import CleanedSmote


@dataclass(frozen=True)
class SmoteEnn(CleanedSmote):
    """SMOTE, then edited nearest neighbours (Batista et al., 2004; Wilson, IEEE SMC 1972) on all classes.

    It may remove every image of a class that lies among others; the trial then fails and names the class.

    Parameters
    ----------
    k_neighbors : int
        At least 1: SMOTE's neighbours.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest before the cleaning.
    enn_neighbors : int
        At least 1: neighbours that judge a row.
    kind : str
        ``mode`` keeps a row if the most frequent class among them is its own, which is Wilson's rule; ``all`` only if
        all of them are, which is imbalanced-learn's default. On wide features ``all`` tends to empty the largest
        class: SMOTE's rows lie inside their classes, nearer to everything than photographs are.
    """

    enn_neighbors: int = 3
    kind: str = "mode"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("enn_neighbors", self.enn_neighbors, least=1, example=3)
        check_choice("kind", self.kind, ("mode", "all"))

    def _kept(self, features: Floats, labels: Labels) -> Labels:
        from imblearn.under_sampling import EditedNearestNeighbours

        judges = BlasNeighbours(self.enn_neighbors + 1)
        cleaner = EditedNearestNeighbours(sampling_strategy="all", n_neighbors=judges, kind_sel=self.kind)
        cleaner.fit_resample(features, labels)
        return np.asarray(cleaner.sample_indices_)
