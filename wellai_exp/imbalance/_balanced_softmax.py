"""Balanced softmax."""

from __future__ import annotations

from dataclasses import dataclass

from wellai_exp.imbalance._base import Strategy, Tensor
from wellai_exp.imbalance._prior import filled_prior


@dataclass(frozen=True)
class BalancedSoftmax(Strategy):
    """Balanced softmax (Ren et al., NeurIPS 2020, equation 4): the log frequency is added to the logits in training.

    At prediction the plain logits are used, which then answer for classes that are equally frequent. A class that is
    absent from training counts as being as rare as the rarest present one.
    """

    def _loss(self, logits: Tensor, targets: Tensor, prior: Tensor) -> Tensor:
        from keras import ops

        return super()._loss(logits + ops.log(filled_prior(prior)), targets, prior)
