"""Post-hoc logit adjustment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Floats, Strategy
from wellai_exp.imbalance._checks import Counts, check_real
from wellai_exp.imbalance._prior import log_prior_of


@dataclass(frozen=True)
class LogitAdjustment(Strategy):
    """Post-hoc logit adjustment (Menon et al., ICLR 2021, equation 9): ``bias - tau * log prior`` after training.

    A class that is absent from training counts as being as rare as the rarest present one.

    Parameters
    ----------
    tau : float
        At least 0: 0 changes nothing, 1 is the balanced-error optimum for calibrated logits.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        check_real("tau", self.tau, least=0, example=1.0)

    def _finalise(self, kernel: Floats, bias: Floats, counts: Counts) -> tuple[Floats, Floats]:
        return kernel, (bias - self.tau * log_prior_of(counts)).astype(np.float32)
