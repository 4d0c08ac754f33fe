"""Pictures of light alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class TooBright(Measured):
    """Even the darkest of the picture is bright.

    Parameters
    ----------
    most : float
        Grey level (0 to 255) that the darkest 5 % of the pixels may have.
    """

    title: ClassVar[str] = "Too bright"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (0, 255)}
    side: ClassVar[Literal["below", "above"]] = "above"
    limit: ClassVar[str] = "most"

    most: float = 245.0

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        return evidence.frame["shadows"].to_numpy(np.float64)[rows]

    def _reason(self, value: float) -> str:
        return f"95 % of its pixels are at least as bright as {value:.0f} of 255"
