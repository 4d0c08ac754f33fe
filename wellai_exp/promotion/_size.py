"""How large the model file is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate


@dataclass(frozen=True)
class Size(Gate):
    """The challenger's ``.keras`` file is small.

    Parameters
    ----------
    most : float
        The greatest size that passes, in 10⁶ bytes.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (0.0, math.inf)}

    most: float = 100.0

    def _judge(self, evidence: Evidence) -> Finding:
        size = evidence.challenger.size_mb
        passed = size <= self.most
        sentence = f"its file has {size:.4g} MB, {'at most' if passed else 'more than'} {self.most:g}"
        return passed, sentence, {"size_mb": size, "most": self.most}
