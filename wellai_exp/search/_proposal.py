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


@dataclass(frozen=True)
class Attempt:
    """One attempt at a trial, as the study knows it.

    Parameters
    ----------
    number : int
        Optuna's number; another attempt at the same configuration has another one.
    attempt : int
        1, or more where an earlier attempt was cut off.
    state : str
        RUNNING, COMPLETE, PRUNED, FAIL or CUT OFF.
    reason : str
        Why it failed.
    """

    number: int
    attempt: int
    state: str
    reason: str = ""


class Report(Protocol):
    """Says what a trial has reached after an epoch; see :meth:`Study.run`."""

    def __call__(self, epoch: int, metrics: Mapping[str, float], *, last: bool = False) -> None:
        """Raise :class:`Pruned` where the trial shall stop."""

    def finished(self, metrics: Mapping[str, float]) -> None:
        """Hand in all of the trial's metrics before the evaluation returns.

        For an evaluation that has something to close afterwards: a kill in between no longer costs the trial its value.
        """


# Gives all of a trial's metrics by name.
Evaluate = Callable[[Proposal, Report], Mapping[str, float]]
