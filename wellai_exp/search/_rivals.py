"""The study as a pruner may see it. Imported late: it needs Optuna when it is read."""

from __future__ import annotations

from collections.abc import Container

import optuna
from optuna.trial import FrozenTrial, TrialState

from wellai_exp.search._marks import interrupted


class Rivals(optuna.Study):
    """A study without the trials that no other may be measured against.

    A trial that breaks a constraint is often the more accurate for it, and would stop all those that keep it; an
    attempt that was cut off is there a second time as its own retry.
    """

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Give the trials that may stop another."""
        return [
            trial
            for trial in super().get_trials(deepcopy, states)
            if not interrupted(trial) and all(excess <= 0 for excess in trial.constraints.values())
        ]
