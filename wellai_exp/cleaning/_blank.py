"""Pictures of one colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class Blank(Measured):
    """The grey levels hardly differ.

    Parameters
    ----------
    least : float
        Standard deviation of the grey levels (0 to 255) that a picture must have.
    """

    title: ClassVar[str] = "Blank"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (0, 128)}
    side: ClassVar[Literal["below", "above"]] = "below"
    limit: ClassVar[str] = "least"

    least: float = 1.5

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        return evidence.frame["contrast"].to_numpy(np.float64)[rows]

    def _reason(self, value: float) -> str:
        return f"its grey levels differ by {value:.2f}, less than {self.least:g}"
