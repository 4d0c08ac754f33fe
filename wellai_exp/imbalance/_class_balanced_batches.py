"""Mini-batches in which the classes are drawn more evenly than they occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellai_exp.imbalance._base import BatchPlan, Strategy
from wellai_exp.imbalance._checks import Counts, check_count, check_real


@dataclass(frozen=True)
class ClassBalancedBatches(Strategy):
    """Draw a class with probability proportional to ``n ** (1 - power)``, then one of its images.

    Kang et al., ICLR 2020, equation 1, with ``q = 1 - power``.

    Parameters
    ----------
    power : float
        In [0, 1]: 0 draws images as they occur, 0.5 by the square root, 1 all classes alike.
    batch_size : int
        Images in a batch.
    """

    power: float = 1.0
    batch_size: int = 256

    def __post_init__(self) -> None:
        check_real("power", self.power, least=0, most=1, example=1.0)
        check_count("batch_size", self.batch_size, least=1, example=256)

    def _batches(self, counts: Counts) -> BatchPlan:
        share = np.where(counts > 0, np.power(counts.astype(np.float64), 1.0 - self.power), 0.0)
        return BatchPlan(share / share.sum(), int(self.batch_size))
