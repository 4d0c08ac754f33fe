"""The τ-normalised classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import Floats, Strategy
from wellai_exp.imbalance._checks import Counts, check_real


@dataclass(frozen=True)
class TauNorm(Strategy):
    """The τ-normalised classifier (Kang et al., ICLR 2020, equation 2): each class's weights over their norm to `tau`.

    The bias stays as trained (the paper leaves it out), and so does a class whose weights are all zero.

    Parameters
    ----------
    tau : float
        At least 0: 0 changes nothing, 1 gives every class weights of length 1.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        check_real("tau", self.tau, least=0, example=1.0)

    def _finalise(self, kernel: Floats, bias: Floats, counts: Counts) -> tuple[Floats, Floats]:
        del counts
        norm = np.linalg.norm(kernel.astype(np.float64), axis=0)
        scale = np.power(np.where(norm > 0, norm, 1.0), -self.tau)
        with np.errstate(over="ignore"):  # the base class refuses what became infinite
            return (kernel * scale).astype(np.float32), bias
