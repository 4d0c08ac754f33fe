"""Pictures that say nearly nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class LowInformation(Measured):
    """The histogram of grey levels has little entropy: plain shapes on plain ground.

    Parameters
    ----------
    least : float
        Bits (0 to 8) that the entropy of the grey levels must have.
    """

    title: ClassVar[str] = "Little information"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (0, 8)}
    side: ClassVar[Literal["below", "above"]] = "below"
    limit: ClassVar[str] = "least"

    least: float = 0.8

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        return evidence.frame["entropy"].to_numpy(np.float64)[rows]

    def _reason(self, value: float) -> str:
        return f"its grey levels hold {value:.2f} bits, fewer than {self.least:g}"
