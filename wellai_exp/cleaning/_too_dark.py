"""Pictures without light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class TooDark(Measured):
    """Even the brightest of the picture is dark.

    Parameters
    ----------
    least : float
        Grey level (0 to 255) that 1 % of the pixels must exceed.
    """

    title: ClassVar[str] = "Too dark"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (0, 255)}
    side: ClassVar[Literal["below", "above"]] = "below"
    limit: ClassVar[str] = "least"

    least: float = 64.0

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        return evidence.frame["highlights"].to_numpy(np.float64)[rows]

    def _reason(self, value: float) -> str:
        return f"99 % of its pixels are no brighter than {value:.0f} of 255"
