"""What the study asks to be evaluated, and what it expects back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Proposal:
    """One trial to evaluate.

    Parameters
    ----------
    number : int
        Optuna's number.
    overrides : tuple of str
        What this trial changes in the experiment.
    attempt : int
        1, or more where an earlier attempt was cut off.
    seconds : float
        How long proposing took.
    """

    number: int
    overrides: tuple[str, ...]
    attempt: int
    seconds: float


class Report(Protocol):
    """Says what a trial has reached after an epoch; see :meth:`Study.run`."""

    def __call__(self, epoch: int, metrics: Mapping[str, float], *, last: bool = False) -> None:
        """Raise :class:`Pruned` where the trial shall stop."""


# Gives all of a trial's metrics by name.
Evaluate = Callable[[Proposal, Report], Mapping[str, float]]
