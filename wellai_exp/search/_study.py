"""The search loop: propose, evaluate, remember; stop and go on at any point."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellai_exp import stopping
from wellai_exp.errors import SettingError, StoreError
from wellai_exp.ledger import spent
from wellai_exp.search import _results as results
from wellai_exp.search._goals import Goals, MissingMetric
from wellai_exp.search._marks import ATTEMPT, OVERRIDES, REASON, RETRY_OF, interrupted, retry
from wellai_exp.search._proposal import Attempt, Evaluate, Proposal
from wellai_exp.search._pruning import Pruned
from wellai_exp.search._results import Candidate, SweepFailed
from wellai_exp.search._settings import Search
from wellai_exp.search._space import Space
from wellai_exp.search._storage import held, identity, open_study
from wellai_exp.search._underway import Underway, reason_of
from wellai_exp.seeding import derive_seed

if TYPE_CHECKING:
    import optuna
    import pandas as pd

logger = logging.getLogger(__name__)
_GOALS = "goals"
_EXHAUSTED = "exhausted"


class Failures:
    """Counts failed trials in a row.

    Parameters
    ----------
    most : int
        So many end the sweep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._in_a_row = 0

    def count(self, reason: str) -> None:
        """Take note of a trial that ended: why it failed, or an empty text.

        Raises
        ------
        SweepFailed
            Where it is one too many.
        """
        self._in_a_row = self._in_a_row + 1 if reason else 0
        if self._in_a_row >= self._most:
            raise SweepFailed(
                f"search.max_failures={self._most}: so many trials in a row failed, the last because "
                f"{reason.rstrip('.')}; mend that and type the same command to go on."
            )


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
        self._identity: object = None

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
        self._identity = identity(self._store, self.search.storage)
        self._check_goals(study)
        # A resumed sampler with its first seed would propose again what it proposed before (checked for random search).
        study.sampler = self.search.make_sampler(derive_seed(self._seed, "sampler", len(study.trials)))
        if isinstance(self.search.pruner, optuna.pruners.BasePruner):
            # Under Hyperband the sampler learns from each bracket's trials apart.
            study.pruner = self.search.pruner
        self._study = study
        self._rivals = Rivals(self.name, study._storage, study.sampler, study.pruner)

    def _check_place(self) -> None:
        """Make sure that the file is still the one that was opened."""
        # A disk that was taken away goes on for those who have its files open, and forgets what they write.
        if identity(self._store, self.search.storage) != self._identity:
            raise StoreError(f"paths.store={self._store}: study.db was replaced; bring the first one back.")

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
        first = self.space.usual(self.search.baseline)
        points = [dict(point) for point in self._enqueue] + ([first] if first else [])
        if self.search.cover:
            points += self.space.cover(self._seed)
        for point in points:
            self.study.enqueue_trial(point, skip_if_exists=True)
        self.study.set_user_attr("designed", True)

    def attempts(self) -> list[Attempt]:
        """Give every attempt that was begun, those that were cut off included, in the order of their numbers."""
        return [
            Attempt(
                trial.number,
                int(trial.user_attrs.get(ATTEMPT, 1)),
                "CUT OFF" if interrupted(trial) else trial.state.name,
                str(trial.user_attrs.get(REASON, "")),
            )
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.name != "WAITING"
        ]

    @property
    def finished(self) -> int:
        """How many trials count towards the total; pruned and failed ones do."""
        return len(results.counted(self.study.get_trials(deepcopy=False)))

    @property
    def left(self) -> int:
        """How many trials have still to end: up to the total, or those under way where every combination was tried."""
        from optuna.trial import TrialState

        missing = max(0, self.search.n_trials - self.finished)
        if missing and self.study.user_attrs.get(_EXHAUSTED):
            unended = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
            return min(missing, len(unended))
        return missing

    def run(self, evaluate: Evaluate, finished: Callable[[], None]) -> None:
        """Evaluate proposals until the total is reached.

        Parameters
        ----------
        evaluate : callable
            Called with a proposal and a :class:`~wellai_exp.search.Report`, ``report(epoch, metrics)``; gives all of
            the trial's metrics by name, among them the objectives and the constrained quantities. A trial that trains
            for epochs calls ``report`` after each, counted from 1, with at least the objectives, and lets
            :class:`Pruned` pass where it raises it; with ``last=True`` nothing is left to save and it never does.
            ``report(0, metrics)`` says what is known before the first epoch. A trial that goes on from a checkpoint may
            report its earlier epochs again or leave them out. :class:`~wellai_exp.errors.TrialFailed` and any error of
            a library fail that trial alone; a :class:`~wellai_exp.errors.StoreError` ends the sweep with the trial
            still to do.
        finished : callable
            Called after each trial that counts.

        Raises
        ------
        SweepFailed
            After ``max_failures`` failures in a row in this run.
        SettingError
            Where the goals name a metric that a trial does not have.
        """
        failures = Failures(self.search.max_failures)
        while self.left:
            stopping.check()
            reason = self._step(evaluate)
            self._check_place()
            finished()
            failures.count(reason)

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

    @spent("propose")
    def begin(self) -> Underway:
        """Propose a trial; whoever calls this ends it."""
        started = time.perf_counter()
        self._check_place()
        trial = self._ask()
        overrides = self.space.suggest(trial)
        trial.set_user_attr(OVERRIDES, overrides)
        attempt = int(trial.user_attrs.get(ATTEMPT, 1))
        proposal = Proposal(trial.number, tuple(overrides), attempt, time.perf_counter() - started)
        return Underway(proposal, self.search, self.study, self._rivals or self.study, trial, self._exhaust)

    def _exhaust(self) -> None:
        self.study.set_user_attr(_EXHAUSTED, True)

    def _step(self, evaluate: Evaluate) -> str:
        """Do one trial; gives why it failed, or an empty text."""
        underway = self.begin()
        try:
            with stopping.heeded():
                underway.finished(evaluate(underway.proposal, underway))
        except Pruned:
            underway.pruned()
        except (StoreError, MissingMetric):
            underway.cut_off()
            raise
        except Exception as error:
            reason = reason_of(error)
            logger.warning("trial %d failed: %s", underway.proposal.number, reason)
            logger.debug("%s", traceback.format_exc())
            underway.failed(reason)
            return reason
        except BaseException:
            # Ctrl-C or a signal: without a reason the trial does not count, and the next start takes it up again.
            underway.cut_off()
            raise
        return ""

    def trials(self, *, but: Set[int] = frozenset()) -> pd.DataFrame:
        """Give every trial that counts.

        Parameters
        ----------
        but : set of int
            Numbers of trials to leave out; a table of all takes the longer the more there are.

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
        wanted = (trial for trial in self.study.get_trials(deepcopy=False) if trial.number not in but)
        return results.trials_table(wanted, self.goals)

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
