"""Banners and strips."""

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
class ExtremeShape(Measured):
    """The longer side is many times the shorter one.

    Parameters
    ----------
    most : float
        How many times the shorter side the longer one may be.
    """

    title: ClassVar[str] = "Banners and strips"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (1, math.inf)}
    side: ClassVar[Literal["below", "above"]] = "above"
    limit: ClassVar[str] = "most"

    most: float = 8.0

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        sides = evidence.frame[["width", "height"]].to_numpy(np.float64)[rows]
        return np.asarray(sides.max(axis=1) / sides.min(axis=1))

    def _reason(self, value: float) -> str:
        return f"its longer side is {value:.1f} times the shorter one"
