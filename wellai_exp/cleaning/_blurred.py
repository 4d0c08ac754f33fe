"""Pictures out of focus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class Blurred(Measured):
    """There are no edges: the Laplacian varies little beside the grey levels (see `wellai_exp.cleaning.measure`).

    Parameters
    ----------
    least : float
        Variance of the Laplacian over that of the grey levels, at 256 px.
    """

    title: ClassVar[str] = "Blurred"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (0, math.inf)}
    side: ClassVar[Literal["below", "above"]] = "below"
    limit: ClassVar[str] = "least"

    least: float = 0.004

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        return evidence.frame["sharpness"].to_numpy(np.float64)[rows]

    def _reason(self, value: float) -> str:
        return f"its sharpness is {value:.4f}, less than {self.least:g}"
