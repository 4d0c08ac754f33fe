"""Class weights from the effective number of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wellai_exp.imbalance._base import Strategy
from wellai_exp.imbalance._checks import Counts, check_real


@dataclass(frozen=True)
class EffectiveNumber(Strategy):
    """Class-balanced weights (Cui et al., CVPR 2019, equation 6): ``(1 - beta) / (1 - beta ** n)``.

    Parameters
    ----------
    beta : float
        In [0, 1): 0 weighs all images alike; towards 1 it becomes inverse frequency.
    """

    beta: float = 0.999

    def __post_init__(self) -> None:
        check_real("beta", self.beta, least=0, most=1, most_allowed=False, example=0.999)

    def _class_weight(self, counts: Counts) -> npt.NDArray[np.float64]:
        if self.beta == 0:
            return np.ones(counts.size)
        # expm1 keeps its digits where beta ** n is next to 1.
        return np.asarray(1.0 / -np.expm1(counts * np.log(self.beta)))
