"""Logarithms of class frequencies, where some classes may be absent.

An absent class counts as being as rare as the rarest present one. Its true logarithm is minus infinity; a small
constant in its place would, subtracted after training, make a class that was never seen win everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wellai_exp.imbalance._base import Tensor
from wellai_exp.imbalance._checks import Counts


def filled_prior(prior: Tensor) -> Tensor:
    """Give the frequencies [..., 1, C] with those of absent classes raised to the rarest present one (keras.ops)."""
    from keras import ops

    rarest = ops.min(ops.where(prior > 0, prior, ops.ones_like(prior)), axis=-1, keepdims=True)
    return ops.where(prior > 0, prior, rarest)


def log_prior_of(counts: Counts) -> npt.NDArray[np.float64]:
    """Give the logarithm of the class frequencies, float64 [C], by the same rule (NumPy)."""
    filled = np.where(counts > 0, counts, counts[counts > 0].min())
    return np.asarray(np.log(filled / counts.sum()))
