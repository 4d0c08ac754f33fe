"""SVM-SMOTE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance._base import Floats, Labels, Resampled
from wellai_exp.imbalance._checks import check_count, check_real
from wellai_exp.imbalance._feature_oversampler import FeatureOversampler, SamplerFactory
from wellai_exp.imbalance._one_hot import OneHotRows, OneHotSvc

# The kernel takes 8 bytes for each pair of rows: 1.2 GB here.
_MOST_ROWS = 12_000


@dataclass(frozen=True)
class SvmSmote(FeatureOversampler):
    """SVM-SMOTE (Nguyen et al., IJKESDP 2011): SMOTE from the support vectors of an SVM.

    imbalanced-learn fits its SVM again for every class, though the rows are the same (some 3 s each for 2,400 rows of
    1,280 features); here it is fitted once, on a kernel from one matrix product, with the same support vectors.

    Parameters
    ----------
    k_neighbors : int
        At least 1: neighbours to interpolate with.
    sampling_ratio : float
        In (0, 1]: every class is raised to this share of the largest.
    m_neighbors : int
        At least 1: neighbours of any class that decide whether a support vector is noise, in danger or safe.
    out_step : float
        In [0, 1]: how far beyond a safe support vector a new row may lie, as a share of the way to the neighbour.
    """

    m_neighbors: int = 10
    out_step: float = 0.5

    _refusals: ClassVar[tuple[str, ...]] = ("All support vectors are considered as noise",)
    # imbalanced-learn gives about half the rows where all support vectors of a class are safe, or all in danger.
    _attempts: ClassVar[int] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("m_neighbors", self.m_neighbors, least=1, example=10)
        check_real("out_step", self.out_step, least=0, most=1, example=0.5)

    def _resample(self, features: Floats, labels: Labels, n_classes: int, seed: int) -> Resampled:
        if len(features) > _MOST_ROWS:
            raise TrialFailed(
                f"imbalance=svm_smote compares all pairs of images and takes at most {_MOST_ROWS}, "
                f"not {len(features)}; choose imbalance=borderline_smote."
            )
        return super()._resample(features, labels, n_classes, seed)

    def _most_neighbours(self) -> int:
        return max(self.k_neighbors, self.m_neighbors)

    def _factory(self, rows: OneHotRows, state: np.random.RandomState) -> SamplerFactory:
        from imblearn.over_sampling import SVMSMOTE

        machine = OneHotSvc(rows)
        return lambda wanted, k: SVMSMOTE(
            sampling_strategy=wanted,
            k_neighbors=rows.neighbours(k),
            m_neighbors=rows.neighbours(min(self.m_neighbors, len(rows.features) - 1)),
            svm_estimator=machine,
            out_step=self.out_step,
            random_state=state,
        )
