"""Stopping a trial early where going on is not worth its epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.search._goals import dominators
from wellai_exp.search._marks import reports_of

if TYPE_CHECKING:
    import optuna


class Pruned(Exception):
    """A trial shall stop here; not a failure, and not a problem to mend."""


class Pruner(Protocol):
    """What Optuna's pruners and ours have in common."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Tell whether the trial shall stop after its last report."""


@dataclass(frozen=True)
class DominancePruner:
    """Stop a trial that others beat in every objective at the same epoch.

    Optuna's pruners compare one number; a trial of two objectives is only worse than another where it is nowhere
    better. Trials are judged after `warm_up_epochs` and whenever their epochs have doubled since, at the rungs of
    successive halving (Jamieson and Talwalkar 2016), and by their best values so far: a noisy metric that is looked at
    after every epoch will sooner or later put a good trial below another. With one objective a trial stops where
    `dominators` others have been better.

    Parameters
    ----------
    startup_trials : int
        So many trials must be complete before any is stopped.
    warm_up_epochs : int
        The epochs before a trial is first judged.
    dominators : int
        How many others must dominate a trial; 2 is safer and costs about half as much again.
    """

    startup_trials: int = 2
    warm_up_epochs: int = 2
    dominators: int = 1

    def __post_init__(self) -> None:
        for name in ("startup_trials", "warm_up_epochs", "dominators"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SettingError(
                    f"search.pruner.{name}",
                    value,
                    "it must be a whole number of at least 1",
                    f"set search.pruner.{name}=2",
                )

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Tell whether the trial shall stop after its last report."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        own = reports_of(trial)
        epoch = max(own, default=0)
        if not self._judged_after(epoch):
            return False
        rivals = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if sum(rival.state == TrialState.COMPLETE for rival in rivals) < self.startup_trials:
            return False
        signs = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions])

        def best_so_far(reports: dict[int, list[float]]) -> list[float]:
            losses = signs * np.array([values for at, values in reports.items() if at <= epoch])
            return [float(loss) for loss in losses.min(axis=0)]

        reports = [reports_of(rival) for rival in rivals]
        others = [best_so_far(report) for report in reports if epoch in report]
        return bool(others) and dominators(best_so_far(own), others) >= self.dominators

    def _judged_after(self, epoch: int) -> bool:
        """Tell whether an epoch is the first rung or has doubled it some times."""
        times, rest = divmod(epoch, self.warm_up_epochs)
        return rest == 0 and times.bit_count() == 1
