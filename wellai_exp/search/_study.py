"""The search loop: propose, evaluate, remember; stop and go on at any point."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellai_exp import stopping
from wellai_exp.errors import SettingError, StoreError, TrialFailed, WellaiError
from wellai_exp.search import _results as results
from wellai_exp.search._goals import Goals, MissingMetric
from wellai_exp.search._marks import (
    ATTEMPT,
    METRICS,
    OVERRIDES,
    REASON,
    REPORTS,
    RETRY_OF,
    SECONDS,
    interrupted,
    reports_of,
    retry,
)
from wellai_exp.search._proposal import Evaluate, Proposal
from wellai_exp.search._pruning import Pruned
from wellai_exp.search._results import Candidate, SweepFailed
from wellai_exp.search._settings import Search
from wellai_exp.search._space import Space
from wellai_exp.search._storage import held, open_study
from wellai_exp.seeding import derive_seed

if TYPE_CHECKING:
    import optuna
    import pandas as pd

logger = logging.getLogger(__name__)
_GOALS = "goals"


class Study:
    """A study on disk or in a database, held by this process alone.

    Parameters
    ----------
    search : Search
        The settings.
    space : Space
        What is searched.
    name : str
        The study's name.
    store : Path
        The folder of ``study.db``, where the settings name no database.
    seed : int
        The experiment's seed.
    enqueue : sequence of mapping
        Points to try before all else, such as a ranking's first: parameter -> value, an option's own arguments as
        ``group.option.argument``. What a point leaves out is sampled.

    Raises
    ------
    SettingError
        Where a point to try first lies outside the space.
    """

    def __init__(
        self,
        search: Search,
        space: Space,
        name: str,
        store: Path,
        seed: int,
        enqueue: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.search = search
        self.space = space
        self.name = name
        self._store = store
        self._seed = seed
        self._enqueue = tuple(space.checked_point(point) for point in (*enqueue, *search.first))
        self._study: optuna.Study | None = None
        self._rivals: optuna.Study | None = None

    @contextmanager
    def opened(self) -> Iterator[Study]:
        """Open or create the study and hold it; mend what a killed process left behind."""
        with held(self._store, self.search.storage, self.name):
            self._open()
            self._requeue_interrupted()
            self._enqueue_design()
            yield self

    def _open(self) -> None:
        import optuna

        from wellai_exp.search._rivals import Rivals

        study = open_study(self._store, self.search.storage, self.name, self.goals.directions)
        self._check_goals(study)
        # A resumed sampler with its first seed would propose again what it proposed before (checked for random search).
        study.sampler = self.search.make_sampler(derive_seed(self._seed, "sampler", len(study.trials)))
        if isinstance(self.search.pruner, optuna.pruners.BasePruner):
            # Under Hyperband the sampler learns from each bracket's trials apart.
            study.pruner = self.search.pruner
        self._study = study
        self._rivals = Rivals(self.name, study._storage, study.sampler, study.pruner)

    def _check_goals(self, study: optuna.Study) -> None:
        """Refuse a study that was begun with other goals: its values mean something else."""
        known = study.user_attrs.get(_GOALS)
        if known is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(_GOALS, str(self.goals))
        elif known != str(self.goals):
            raise SettingError(
                "search.study",
                self.name,
                f"it was begun to {known or 'maximise something else'}, and now is to {self.goals}",
                "set search.study to a new name",
            )

    @property
    def study(self) -> optuna.Study:
        """The open study."""
        if self._study is None:
            raise RuntimeError("the study is not open")
        return self._study

    @property
    def goals(self) -> Goals:
        """What is searched for."""
        return self.search.goals

    def _requeue_interrupted(self) -> None:
        """Give trials that were cut off a new attempt with the same parameters; they never count as finished."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        for trial in trials:
            if interrupted(trial) and trial.number not in retried:
                self.study.add_trial(retry(trial))

    def _enqueue_design(self) -> None:
        """Enqueue the points to try first, the baseline and the covering points, once."""
        if self.study.user_attrs.get("designed"):
            return
        active = self.space.active
        first = {
            key: self.search.baseline.get(key, option) for key, option in self.space.groups.items() if key in active
        }
        points = [dict(point) for point in self._enqueue] + ([first] if first else [])
        if self.search.cover:
            points += self.space.cover(self._seed)
        for point in points:
            self.study.enqueue_trial(point, skip_if_exists=True)
        self.study.set_user_attr("designed", True)

    @property
    def finished(self) -> int:
        """How many trials count towards the total; pruned and failed ones do."""
        return len(results.counted(self.study.get_trials(deepcopy=False)))

    def run(self, evaluate: Evaluate, finished: Callable[[], None]) -> None:
        """Evaluate proposals until the total is reached.

        Parameters
        ----------
        evaluate : callable
            Called with a proposal and a function ``report(epoch, metrics)``; gives all of the trial's metrics by name,
            among them the objectives and the constrained quantities. A trial that trains for epochs calls ``report``
            after each, counted from 1, with at least the objectives, and lets :class:`Pruned` pass where it raises it;
            with ``last=True`` nothing is left to save and it never does. ``report(0, metrics)`` says what is known
            before the first epoch. A trial that goes on from a checkpoint may report its earlier epochs again or leave
            them out. :class:`~wellai_exp.errors.TrialFailed` and any
            error of a library fail that trial alone; a :class:`~wellai_exp.errors.StoreError` ends the sweep with the
            trial still to do.
        finished : callable
            Called after each trial that counts.

        Raises
        ------
        SweepFailed
            After ``max_failures`` failures in a row in this run.
        SettingError
            Where the goals name a metric that a trial does not have.
        """
        in_a_row = 0
        while self.finished < self.search.n_trials:
            stopping.check()
            reason = self._step(evaluate)
            finished()
            in_a_row = in_a_row + 1 if reason else 0
            if in_a_row >= self.search.max_failures:
                raise SweepFailed(
                    f"search.max_failures={self.search.max_failures}: so many trials in a row failed, the last because "
                    f"{reason.rstrip('.')}; mend that and type the same command to go on."
                )

    def _ask(self) -> optuna.Trial:
        """Begin a trial; one that was cut off comes before those that wait, for its epochs are paid for."""
        import optuna

        waiting = self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        for trial in waiting:
            # Optuna itself begins waiting trials in the order of their numbers, and a retry has the last one.
            if RETRY_OF in trial.user_attrs:
                self.study._storage.set_trial_state_values(trial._trial_id, state=optuna.trial.TrialState.RUNNING)
                return optuna.Trial(self.study, trial._trial_id)
        return self.study.ask()

    def _step(self, evaluate: Evaluate) -> str:
        """Do one trial; gives why it failed, or an empty text."""
        from optuna.trial import TrialState

        started = time.perf_counter()
        trial = self._ask()
        overrides = self.space.suggest(trial)
        trial.set_user_attr(OVERRIDES, overrides)
        attempt = int(trial.user_attrs.get(ATTEMPT, 1))
        proposal = Proposal(trial.number, tuple(overrides), attempt, time.perf_counter() - started)
        try:
            with stopping.heeded():
                measured = self.goals.measured(evaluate(proposal, partial(self._report, trial)))
        except Pruned:
            trial.set_user_attr(SECONDS, time.perf_counter() - started)
            self.study.tell(trial, state=TrialState.PRUNED)
            return ""
        except (StoreError, MissingMetric):
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, (TrialFailed, WellaiError)) else f"{type(error).__name__}: {error}"
            logger.warning("trial %d failed: %s", trial.number, reason)
            logger.debug("%s", traceback.format_exc())
            trial.set_user_attr(REASON, reason[:2000])
            self.study.tell(trial, state=TrialState.FAIL)
            return reason
        except BaseException:
            # Ctrl-C or a signal: without a reason the trial does not count, and the next start takes it up again.
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        self._note(trial, measured)
        trial.set_user_attr(SECONDS, time.perf_counter() - started)
        self.study.tell(trial, [measured[name] for name in self.goals.objectives])
        return ""

    def _report(self, trial: optuna.Trial, epoch: int, metrics: Mapping[str, float], *, last: bool = False) -> None:
        """Keep what a trial has reached after an epoch.

        Raises
        ------
        Pruned
            Where the trial shall stop.
        """
        if epoch == 0:
            self._before_training(trial, metrics)
            return
        reports = reports_of(trial)
        if epoch in reports:
            return  # by the attempt that was cut off, and judged then
        values = self.goals.reported(metrics)
        reports[epoch] = [values[name] for name in self.goals.objectives]
        trial.set_user_attr(REPORTS, {str(at): reached for at, reached in reports.items()})
        if len(self.goals.objectives) == 1:
            # Optuna's samplers and pruners read these; a study of several objectives refuses them.
            trial.report(values[self.goals.first], epoch)
        pruner = self.search.pruner
        if pruner is None or self._rivals is None or last:
            return
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        if pruner.prune(self._rivals, frozen):
            self._note(trial, values)
            raise Pruned(f"stopped after epoch {epoch}")

    def _before_training(self, trial: optuna.Trial, metrics: Mapping[str, float]) -> None:
        """Stop a trial that cannot keep the constraints whatever it learns, where the settings ask for it."""
        known = {name: float(metrics[name]) for name in self.goals.quantities if name in metrics}
        if self.search.prune_infeasible and any(excess > 0 for excess in self.goals.excesses(known).values()):
            self._note(trial, known)
            raise Pruned("stopped before training: it cannot keep search.subject_to")

    def _note(self, trial: optuna.Trial, metrics: Mapping[str, float]) -> None:
        """Keep a trial's objectives and constrained quantities, and tell the sampler how feasible it is."""
        trial.set_user_attr(METRICS, dict(metrics))
        for name, excess in self.goals.excesses(metrics).items():
            trial.set_constraint(name, excess)

    def trials(self) -> pd.DataFrame:
        """Give every trial that counts.

        Returns
        -------
        pandas.DataFrame
            Columns ``number``; ``state``, of COMPLETE, PRUNED and FAIL; ``value``, the first objective, NaN unless the
            trial is complete; ``seconds``; ``reason``; ``last``, the first objective at the last report; ``epochs``
            reported, 0 for a trial that trains at one go; ``feasible``; ``violation``, how far it is beyond the bounds
            in all, relative to them, NaN where that is not known; ``overrides``; each objective and constrained
            quantity by its name, of a pruned trial as last reported; then one for each searched key (an option's own
            arguments are named ``group.option.argument``).
        """
        return results.trials_table(self.study.get_trials(deepcopy=False), self.goals)

    def curves(self) -> pd.DataFrame:
        """Give each report of the trials that count: ``trial``, ``epoch``, ``value`` (first objective), ``state``."""
        return results.curves_table(self.study.get_trials(deepcopy=False))

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """The columns of `trials` that are neither parameters nor in every table of trials."""
        return results.outcome_columns(self.goals)

    def _complete(self, *, unconstrained: bool = False) -> list[Candidate]:
        found = results.complete(self.study.get_trials(deepcopy=False), self.goals)
        return [each for each in found if unconstrained or each.feasible]

    def best(self, *, unconstrained: bool = False) -> Candidate:
        """Give the complete trial with the best first objective; the earlier one where two are equal.

        Parameters
        ----------
        unconstrained : bool
            Whether it may break the constraints.

        Raises
        ------
        SweepFailed
            Where no trial has a value.
        NothingFeasible
            Where none keeps the constraints.
        """
        found = self._complete(unconstrained=unconstrained)
        if found:
            return max(found, key=lambda each: (each.value, -each.number))
        near = self.nearest(1)
        if self.goals.constraints and near:
            raise results.nothing_feasible(near[0], self.finished, self.goals)
        raise SweepFailed(f"search.study={self.name}: no trial has a value yet; read the reasons in the MLflow runs.")

    def nearest(self, k: int = 3) -> list[Candidate]:
        """Give the trials that break the constraints least, pruned ones included; first those that break none."""
        return results.nearest(self.study.get_trials(deepcopy=False), self.goals)[:k]

    def front(self) -> list[int]:
        """Give the numbers of the feasible complete trials that no other one dominates."""
        return [each.number for each in results.front(self._complete(), self.goals)]

    def top(self, k: int) -> list[Candidate]:
        """Give the best feasible complete trials, no configuration twice: by front, then by the first objective."""
        ordered = results.ranked(self._complete(), self.goals)
        return list({each.overrides: each for each in reversed(ordered)}.values())[::-1][:k]

    def importances(self) -> dict[str, float]:
        """Give the share of the first objective's variance that each always-present parameter explains (fANOVA).

        Empty where fewer than four trials are complete or none of their values differ.
        """
        import optuna

        values = [each.value for each in self._complete(unconstrained=True)]
        if len(values) < 4 or len(set(values)) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=derive_seed(self._seed, "fanova"))

        def first(trial: optuna.trial.FrozenTrial) -> float:
            return float(trial.values[0])

        return dict(optuna.importance.get_param_importances(self.study, evaluator=evaluator, target=first))
