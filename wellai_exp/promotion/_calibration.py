"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate

_METRIC = "expected_calibration_error"


@dataclass(frozen=True)
class Calibration(Gate):
    """The challenger's expected calibration error (Guo et al., ICML 2017; 15 bins) is small.

    Parameters
    ----------
    most : float
        The greatest error that passes, 0 to 1. Bins of few images make the error larger than it is: of perfectly
        calibrated predictions it is 0.2 on 30 images on average, 0.11 on 100, 0.07 on 300 and 0.04 on 1,000.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (0.0, 1.0)}

    most: float = 0.15

    def _judge(self, evidence: Evidence) -> Finding:
        error = evidence.challenger.evaluation.aggregates[_METRIC]
        passed = error <= self.most
        verdict = "at most" if passed else "more than"
        sentence = f"its probabilities are off by {error:.4f} on average, {verdict} {self.most:g}"
        return passed, sentence, {_METRIC: error, "most": self.most}
