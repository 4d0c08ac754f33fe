"""Focal loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.imbalance._base import Strategy, Tensor
from wellai_exp.imbalance._checks import check_real
from wellai_exp.imbalance._prior import filled_prior


@dataclass(frozen=True)
class Focal(Strategy):
    """Focal loss (Lin et al., ICCV 2017, equation 5) over a softmax: ``-alpha_c (1 - p_c) ** gamma log p_c``.

    Parameters
    ----------
    gamma : float
        At least 0: how far well-recognised images are discounted; 0 is cross-entropy.
    alpha : float or None
        In [0, 1]: ``alpha_c`` is the class frequency to the power ``-alpha``, scaled to a mean of 1 over images (the
        paper sets it "by inverse class frequency", section 3.1, which is 1 here); None leaves it out.
    """

    gamma: float = 2.0
    alpha: float | None = None
    numbers: ClassVar[tuple[str, ...]] = ("gamma", "alpha")

    def __post_init__(self) -> None:
        check_real("gamma", self.gamma, least=0, most=10, example=2.0)
        if self.alpha is not None:
            check_real("alpha", self.alpha, least=0, most=1, example=1.0)

    def _loss(self, logits: Tensor, targets: Tensor, prior: Tensor) -> Tensor:
        from keras import ops

        log_p = ops.log_softmax(logits, axis=-1)
        # The floor keeps the gradient finite where p reaches 1 and gamma is below 1.
        doubt = ops.maximum(1.0 - ops.exp(log_p), 1e-7)
        terms = targets * ops.power(doubt, self.gamma) * log_p
        if self.alpha is not None:
            factor = ops.power(filled_prior(prior), -self.alpha)
            terms = terms * factor / ops.sum(prior * factor, axis=-1, keepdims=True)
        return -ops.sum(terms, axis=-1)
