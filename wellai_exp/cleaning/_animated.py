"""Moving pictures and documents of several pages."""

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
class Animated(Measured):
    """The file holds more than one picture, and which of them is meant is not known.

    Parameters
    ----------
    most : int
        Frames or pages that a file may have.
    """

    title: ClassVar[str] = "Animated"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (1, math.inf)}
    side: ClassVar[Literal["below", "above"]] = "above"
    limit: ClassVar[str] = "most"

    most: int = 1

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        return evidence.frame["frames"].to_numpy(np.float64)[rows]

    def _reason(self, value: float) -> str:
        return f"it has {value:.0f} frames"
