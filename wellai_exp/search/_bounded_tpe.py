"""The tree-structured Parzen estimator on no more trials than it learns from. Named by a config: it needs Optuna."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

# Of any number of trials TPE takes so many for good ones at most (Optuna's default gamma).
_GOOD = 25


class BoundedTPESampler(optuna.samplers.TPESampler):
    """Optuna's TPE, shown the best trials and the latest others, so that a proposal after 1,000 costs as after 250.

    TPE (Bergstra et al. 2011) sets the best tenth of the trials, 25 at most, against all others. It goes through all of
    them several times for a proposal, but of 250 and more the best 25 are the same 25, and others the more tell what
    they tell. Up to `most` trials, and for several objectives, proposals are those of Optuna's own sampler.

    Parameters
    ----------
    most : int
        Trials that it is shown, at least 250.
    **options
        Those of ``optuna.samplers.TPESampler``.

    Raises
    ------
    ValueError
        Where `most` is below 250.
    """

    def __init__(self, *, most: int = 250, **options: Any) -> None:
        if most < 10 * _GOOD:
            raise ValueError(
                f"most={most} must be at least {10 * _GOOD}, whose best tenth are as many as those of more"
            )
        super().__init__(**options)
        self._most = most
        self._last: tuple[tuple[int, int], _Shown] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Infer it from the trials that are shown."""
        return super().infer_relative_search_space(self._shown(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample by the trials that are shown."""
        return super().sample_relative(self._shown(study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample by the trials that are shown."""
        return super().sample_independent(self._shown(study), trial, param_name, param_distribution)

    def _shown(self, study: optuna.Study) -> Any:
        """Give the study with the best and the latest of its trials that ended."""
        if len(study.directions) > 1:
            return study
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        ended = study._get_trials(deepcopy=False, states=states, use_cache=True)
        if len(ended) <= self._most:
            return study
        # Asked for several times for one proposal; both numbers tell the brackets of Hyperband apart.
        key = len(ended), ended[-1].number
        if self._last is None or self._last[0] != key:
            self._last = key, _Shown(study, self._chosen(ended, study.direction))
        return self._last[1]

    def _chosen(self, ended: list[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
        """Choose the best and the latest, in the order of their numbers."""
        sign = 1 if direction is StudyDirection.MINIMIZE else -1
        complete = [trial for trial in ended if trial.state is TrialState.COMPLETE]
        best = {trial.number for trial in sorted(complete, key=lambda trial: _order(trial, sign))[:_GOOD]}
        others = [trial for trial in ended if trial.number not in best][len(best) - self._most :]
        kept = best | {trial.number for trial in others}
        return [trial for trial in ended if trial.number in kept]


def _order(trial: FrozenTrial, sign: int) -> tuple[float, float]:
    """Put trials that keep all constraints first, and the better before the worse."""
    return sum(excess for excess in trial.constraints.values() if excess > 0), sign * float(trial.values[0])


class _Shown:
    """A study of which some trials are shown; all else is the study's own."""

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        self._study = study
        self._trials = trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: tuple[TrialState, ...] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        if states is None:
            return self._trials
        # Asked for where a running trial counts as a bad one (constant_liar); of these there are few.
        running = TrialState.RUNNING in states
        under_way = self._study._get_trials(deepcopy, (TrialState.RUNNING,), use_cache) if running else []
        return [trial for trial in self._trials if trial.state in states] + under_way
