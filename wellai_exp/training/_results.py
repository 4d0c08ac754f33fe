"""What goes into a trial and what comes out of it, whatever the regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import Policy
from wellai_exp.imbalance import Strategy
from wellai_exp.models import Backbone, FittedHead, Head, assemble
from wellai_exp.training._checkpoint import EpochRecord
from wellai_exp.training._network import Teacher
from wellai_exp.training._optimizers import Optimizer

Rows = npt.NDArray[np.int64]
NO_ROWS: Rows = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Choices:
    """What one trial consists of.

    Parameters
    ----------
    backbone, policy, strategy, head, optimizer
        One member of each family; the optimiser serves networks, not the probe's heads.
    """

    backbone: Backbone
    policy: Policy
    strategy: Strategy
    head: Head
    optimizer: Optimizer


@dataclass(frozen=True)
class CrossValidation:
    """What validation says of one trial.

    Parameters
    ----------
    metrics : dict of str to float
        ``<metric>_mean`` and ``<metric>_std`` over the folds.
    folds : tuple of dict
        The metrics of each fold.
    notes : tuple of str
        What a strategy had to do otherwise than asked.
    epochs : int
        How many epochs the fit on all training images shall take; 0 where a regime knows none.
    """

    metrics: dict[str, float]
    folds: tuple[dict[str, float], ...]
    notes: tuple[str, ...] = ()
    epochs: int = 0

    @property
    def means(self) -> dict[str, float]:
        """The mean over the folds of each metric, by its plain name."""
        return {key.removesuffix("_mean"): value for key, value in self.metrics.items() if key.endswith("_mean")}


@dataclass(frozen=True)
class Fitted:
    """A trial fitted on some rows.

    Parameters
    ----------
    head : FittedHead
        The head.
    backbone : Backbone
        With its weights.
    probabilities : numpy.ndarray
        float64 [n, C], of the rows it was asked about: the untouched test rows.
    notes : tuple of str
        As in :class:`CrossValidation`.
    mirrored : bool
        Whether the model averages an image's and its mirror image's probabilities.
    """

    head: FittedHead
    backbone: Backbone
    probabilities: npt.NDArray[np.float64]
    notes: tuple[str, ...] = field(default=())
    mirrored: bool = False

    def model(self) -> Any:
        """Give the inference model: uint8-range RGB images to probabilities."""
        return assemble(self.backbone.build, self.head, self.mirrored)


class Watcher(Protocol):
    """Who follows a training: a terminal, a tracking run, a pruner."""

    def step(self, done: int, steps: int, loss: float, images_per_second: float) -> None:
        """Hear of the steps done in the epoch that runs."""

    def epoch(self, record: EpochRecord) -> None:
        """Hear of an epoch's end; epochs done before a kill are told again. An exception ends the training."""

    def folds(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """Hear the means over the folds done so far, after some of them. An exception ends the trial."""


class Nobody:
    """A watcher that does nothing."""

    def step(self, done: int, steps: int, loss: float, images_per_second: float) -> None:
        """Do nothing."""

    def epoch(self, record: EpochRecord) -> None:
        """Do nothing."""

    def folds(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""


class Task(Protocol):
    """What fits trials in one regime."""

    def cross_validate(self, choices: Choices, watcher: Watcher = ..., *, seed: int | None = None) -> CrossValidation:
        """Say what validation rows, which the fit does not see, say of a trial."""

    def fit(
        self,
        choices: Choices,
        watcher: Watcher = ...,
        *,
        seed: int | None = None,
        epochs: int | None = None,
        teacher: Teacher | None = None,
    ) -> Fitted:
        """Fit on the whole training part and predict the test part."""

    def check_soup(self, choices: Choices) -> None:
        """Refuse choices whose fits cannot be averaged."""

    def soup(self, members: Sequence[Fitted]) -> Fitted:
        """Average the weights of several fits of one configuration and predict the test part."""
