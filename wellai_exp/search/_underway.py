"""A trial that was begun: what it reports, and the one way in which it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wellai_exp.errors import TrialFailed, WellaiError
from wellai_exp.masking import masked
from wellai_exp.search._marks import FAULTS, METRICS, REASON, REPORTS, SECONDS, reports_of, retry
from wellai_exp.search._proposal import Proposal
from wellai_exp.search._pruning import Pruned

if TYPE_CHECKING:
    import optuna

    from wellai_exp.search._settings import Search


class Superseded(BaseException):
    """The attempt was given up while it was under way, and its trial to another; nothing that it says counts."""


def reason_of(error: Exception) -> str:
    """Say why a trial failed."""
    return masked(str(error) if isinstance(error, (TrialFailed, WellaiError)) else f"{type(error).__name__}: {error}")


class Underway:
    """One attempt at a trial; it reports as :class:`~wellai_exp.search.Report` says.

    Parameters
    ----------
    proposal : Proposal
        What is evaluated.
    search : Search
        The settings.
    study : optuna.Study
        Where the trial is.
    rivals : optuna.Study
        The study as a pruner may see it.
    trial : optuna.Trial
        The trial.
    exhausted : callable
        Called where the sampler has nothing more to propose after this trial.
    """

    def __init__(
        self,
        proposal: Proposal,
        search: Search,
        study: optuna.Study,
        rivals: optuna.Study,
        trial: optuna.Trial,
        exhausted: Callable[[], None],
    ) -> None:
        self.proposal = proposal
        self._search = search
        self._study = study
        self._rivals = rivals
        self._trial = trial
        self._exhausted = exhausted
        self._started = time.perf_counter()

    @property
    def ended(self) -> bool:
        """Whether the study has its end."""
        return self._study._storage.get_trial(self._trial._trial_id).state.is_finished()

    def __call__(self, epoch: int, metrics: Mapping[str, float], *, last: bool = False) -> None:
        """Keep what the trial has reached after an epoch.

        Raises
        ------
        Pruned
            Where it shall stop.
        """
        if epoch == 0:
            self._before_training(metrics)
            return
        goals, trial = self._search.goals, self._trial
        reports = reports_of(trial)
        if epoch in reports:
            return  # by the attempt that was cut off, and judged then
        values = goals.reported(metrics)
        reports[epoch] = [values[name] for name in goals.objectives]
        trial.set_user_attr(REPORTS, {str(at): reached for at, reached in reports.items()})
        if len(goals.objectives) == 1:
            # Optuna's samplers and pruners read these; a study of several objectives refuses them.
            trial.report(values[goals.first], epoch)
        pruner = self._search.pruner
        if pruner is None or last:
            return
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        if pruner.prune(self._rivals, frozen):
            self._note(values)
            raise Pruned(f"stopped after epoch {epoch}")

    def _before_training(self, metrics: Mapping[str, float]) -> None:
        """Stop a trial that cannot keep the constraints whatever it learns, where the settings ask for it."""
        goals = self._search.goals
        known = {name: float(metrics[name]) for name in goals.quantities if name in metrics}
        if self._search.prune_infeasible and any(excess > 0 for excess in goals.excesses(known).values()):
            self._note(known)
            raise Pruned("stopped before training: it cannot keep search.subject_to")

    def _note(self, metrics: Mapping[str, float]) -> None:
        """Keep the objectives and constrained quantities, and tell the sampler how feasible the trial is."""
        self._trial.set_user_attr(METRICS, dict(metrics))
        for name, excess in self._search.goals.excesses(metrics).items():
            self._trial.set_constraint(name, excess)

    def _tell(self, state: optuna.trial.TrialState, values: list[float] | None = None) -> None:
        try:
            self._study.tell(self._trial, values, state=state)
        except RuntimeError as error:
            # A sampler that has tried everything stops Optuna's own loop, which is not the one that runs here.
            if "Study.stop" not in str(error) or not self.ended:
                raise
            self._exhausted()

    def finished(self, metrics: Mapping[str, float]) -> None:
        """Give the trial its value, once: what comes after that cannot take it away.

        Raises
        ------
        MissingMetric, TrialFailed
            Where an objective or a constrained quantity is missing or no finite number.
        """
        from optuna.trial import TrialState

        if self.ended:
            return
        measured = self._search.goals.measured(metrics)
        self._note(measured)
        self._trial.set_user_attr(SECONDS, time.perf_counter() - self._started)
        self._tell(TrialState.COMPLETE, [measured[name] for name in self._search.goals.objectives])

    def pruned(self) -> None:
        """End it as stopped early."""
        from optuna.trial import TrialState

        if not self.ended:
            self._trial.set_user_attr(SECONDS, time.perf_counter() - self._started)
            self._tell(TrialState.PRUNED)

    def failed(self, reason: str) -> None:
        """End it as one that cannot give a value; it counts."""
        from optuna.trial import TrialState

        if not self.ended:
            self._trial.set_user_attr(REASON, reason[:2000])
            self._tell(TrialState.FAIL)

    def cut_off(self) -> None:
        """End the attempt through no fault of the trial's: it does not count, and the next start takes it up again."""
        from optuna.trial import TrialState

        if not self.ended:
            self._tell(TrialState.FAIL)

    def again(self) -> None:
        """End the attempt as `cut_off` does, and have the trial tried again in this run."""
        if not self.ended:
            self.cut_off()
            self._study.add_trial(retry(self._study.get_trials(deepcopy=False)[self.proposal.number]))

    def lost(self, fault: str, retries: int) -> str:
        """End an attempt whose worker was lost: try again, or set the trial aside where that was in vain.

        Parameters
        ----------
        fault : str
            What became of the worker.
        retries : int
            How often the trial is tried again.

        Returns
        -------
        str
            Why the trial was set aside; empty where it is tried again or had ended before.
        """
        if self.ended:
            return ""
        faults = int(self._trial.user_attrs.get(FAULTS, 0)) + 1
        if faults > retries:
            reason = f"its worker was lost {faults} times, the last because {fault}"
            self.failed(reason)
            return reason
        # Counted before the attempt ends, so that its retry carries the number whoever makes it.
        self._trial.set_user_attr(FAULTS, faults)
        self.again()
        return ""
