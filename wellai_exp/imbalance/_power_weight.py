"""Class weights from a power of the frequency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wellai_exp.imbalance._base import Strategy
from wellai_exp.imbalance._checks import Counts, check_real


@dataclass(frozen=True)
class PowerWeight(Strategy):
    """Weight an image by a smoothed power of its class size, ``(n + smoothing) ** -power``.

    Parameters
    ----------
    power : float
        At least 0: 0 weighs all images alike, 0.5 is the inverse square root (Mahajan et al., ECCV 2018), 1 inverse
        frequency; above 1 the rare classes weigh more than the frequent ones.
    smoothing : float
        At least 0: images added to every class in the formula, so that a class of one or two does not outweigh all.
    """

    power: float = 0.5
    smoothing: float = 1.0

    def __post_init__(self) -> None:
        check_real("power", self.power, least=0, most=4, example=0.5)
        check_real("smoothing", self.smoothing, least=0, example=1.0)

    def _class_weight(self, counts: Counts) -> npt.NDArray[np.float64]:
        return np.asarray(np.power(counts + float(self.smoothing), -float(self.power)))
