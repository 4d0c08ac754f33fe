"""Photographs unlike all others of their class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence

# The median absolute deviation of a normal distribution, in standard deviations.
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Outlier(Measured):
    """Its embedding lies far from those of its class.

    A picture's distance is the mean cosine distance to its nearest neighbours within the class (Ramaswamy et al.,
    "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000, with the mean for the k-th), in robust
    standard deviations above the median of its class.

    Parameters
    ----------
    most : float
        Robust standard deviations that a picture may lie away.
    neighbors : int
        Nearest neighbours; classes with fewer than twice as many pictures are not judged.
    """

    title: ClassVar[str] = "Unlike its class"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (0.5, math.inf), "neighbors": (1, math.inf)}
    needs: ClassVar[Literal["", "features", "probabilities", "person_scores"]] = "features"
    side: ClassVar[Literal["below", "above"]] = "above"
    limit: ClassVar[str] = "most"

    most: float = 5.0
    neighbors: int = 5

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        if evidence.features is None:
            raise ValueError("There are no features.")
        features = evidence.features(rows).astype(np.float64)
        features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        labels = evidence.frame["label"].to_numpy()[rows]
        values = np.full(len(rows), np.nan)
        for label in np.unique(labels.astype(str)):
            members = np.flatnonzero(labels == label)
            if len(members) < 2 * self.neighbors:
                continue
            distance = 1.0 - features[members] @ features[members].T
            np.fill_diagonal(distance, np.inf)
            own = np.sort(distance, axis=1)[:, : self.neighbors].mean(axis=1)
            spread = _MAD_TO_SIGMA * float(np.median(np.abs(own - np.median(own))))
            values[members] = (own - np.median(own)) / max(spread, 1e-9)
        return values

    def _reason(self, value: float) -> str:
        return f"it lies {value:.1f} standard deviations away from its class, more than {self.most:g}"
