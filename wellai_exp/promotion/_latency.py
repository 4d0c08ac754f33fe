"""How long one frame takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.errors import TrialFailed
from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate


@dataclass(frozen=True)
class Latency(Gate):
    """The challenger classifies one frame quickly, on this machine and in the runtime that is configured.

    Parameters
    ----------
    most : float
        The greatest median latency that passes, in milliseconds.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (0.0, math.inf)}

    most: float = 100.0

    def _judge(self, evidence: Evidence) -> Finding:
        if evidence.latency_ms is None:
            return False, "there is no runtime to measure in; choose one, e.g. runtime=litert", {}
        try:
            latency = evidence.latency_ms()
        except TrialFailed as failed:
            return False, f"it cannot run: {failed}", {}
        passed = latency <= self.most
        limit = f"{'at most' if passed else 'more than'} {self.most:g}"
        sentence = f"a frame takes {latency:.4g} ms in {evidence.runtime}, {limit}"
        return passed, sentence, {"latency_ms": latency, "most": self.most}
