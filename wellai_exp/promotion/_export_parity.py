"""Whether the exported model says what the registered one says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate

PARITY_TAG = "export/parity"
UNFIT_TAG = "export/unfit"


@dataclass(frozen=True)
class ExportParity(Gate):
    """The exported forms give the registered model's probabilities.

    The version's tag ``export/parity`` holds the greatest difference of its float32 forms, in probability, and
    ``export/unfit`` names the forms of any kind that were run and are not fit.

    Parameters
    ----------
    most : float
        The greatest difference that passes, 0 to 1.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"most": (0.0, 1.0)}

    most: float = 0.001

    def _judge(self, evidence: Evidence) -> Finding:
        title, text = evidence.challenger.title, evidence.challenger.tags.get(PARITY_TAG)
        if text is None:
            return False, f"{title} has no tag {PARITY_TAG}: no exported form of it was compared with it", {}
        try:
            difference = float(text)
        except ValueError:
            difference = math.nan
        if not difference >= 0:
            return False, f"the tag {PARITY_TAG} of {title} is {text!r}, which is no difference", {}
        if unfit := evidence.challenger.tags.get(UNFIT_TAG, "").strip():
            sentence = f"exported, {unfit} differs too much from Keras; export it again with targets= that are fit"
            return False, sentence, {"difference": difference, "most": self.most}
        passed = difference <= self.most
        sentence = (
            f"exported, a probability differs by {difference:.2g} at most, "
            f"{'within' if passed else 'more than'} {self.most:g}"
        )
        return passed, sentence, {"difference": difference, "most": self.most}
