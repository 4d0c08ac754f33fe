"""Pictures too small to show a pose."""

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
class TooSmall(Measured):
    """The shorter side has few pixels.

    Parameters
    ----------
    least : int
        Pixels that the shorter side must have.
    """

    title: ClassVar[str] = "Too small"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (1, math.inf)}
    side: ClassVar[Literal["below", "above"]] = "below"
    limit: ClassVar[str] = "least"

    least: int = 32

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        sides = evidence.frame[["width", "height"]].to_numpy(np.float64)[rows]
        return np.asarray(sides.min(axis=1))

    def _reason(self, value: float) -> str:
        return f"its shorter side has {value:.0f} px, fewer than {self.least}"
