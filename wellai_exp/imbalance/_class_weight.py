"""Class weights from inverse frequency."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from wellai_exp.imbalance._base import Strategy
from wellai_exp.imbalance._checks import Counts, check_choice

_EXPONENT = MappingProxyType({"balanced": -1.0, "sqrt": -0.5})


@dataclass(frozen=True)
class ClassWeight(Strategy):
    """Weight an image by the inverse frequency of its class.

    Parameters
    ----------
    kind : str
        ``balanced``: inverse frequency, so that all classes weigh the same in sum (scikit-learn's
        ``class_weight="balanced"``; King and Zeng 2001). ``sqrt``: inverse square root, half way to it in logarithm.
    """

    kind: str = "balanced"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, tuple(_EXPONENT))

    def _class_weight(self, counts: Counts) -> npt.NDArray[np.float64]:
        return np.power(counts.astype(np.float64), _EXPONENT[self.kind])
