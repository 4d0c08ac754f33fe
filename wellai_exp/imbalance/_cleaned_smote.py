"""SMOTE followed by the removal of rows that lie among other classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Floats, Labels, Resampled
from wellai_exp.imbalance._smote import Smote


@dataclass(frozen=True)
class CleanedSmote(Smote):
    """SMOTE, then a cleaning of all classes (Batista et al., SIGKDD Explorations 2004).

    Parameters
    ----------
    k_neighbors : int
        At least 1: neighbours to choose from.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest before the cleaning.
    """

    def _kept(self, features: Floats, labels: Labels) -> Labels:
        """Give the positions that the cleaning keeps."""
        raise NotImplementedError

    def _resample(self, features: Floats, labels: Labels, n_classes: int, seed: int) -> Resampled:
        grown = super()._resample(features, labels, n_classes, seed)
        if np.unique(labels).size < 2:
            return grown
        kept = np.sort(self._kept(grown.features, grown.labels))
        removed = len(grown.labels) - len(kept)
        note = f"{removed} of {len(grown.labels)} rows removed by the cleaning."
        return Resampled(grown.features[kept], grown.labels[kept], (*grown.notes, note) if removed else grown.notes)
