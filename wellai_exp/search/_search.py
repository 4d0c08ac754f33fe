"""The search loop: propose, evaluate, remember; stop and go on at any point."""

from __future__ import annotations

import logging
import sqlite3
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellai_exp import stopping
from wellai_exp.errors import SettingError, StoreError, TrialFailed, WellaiError
from wellai_exp.search._space import Space, parameter_columns
from wellai_exp.seeding import derive_seed

if TYPE_CHECKING:
    import optuna
    import pandas as pd

logger = logging.getLogger(__name__)
REASON = "reason"
OVERRIDES = "overrides"


@dataclass(frozen=True)
class Search:
    """How an experiment is searched.

    Parameters
    ----------
    sampler : callable
        Makes an Optuna sampler when given ``seed=``.
    n_trials : int
        The total of finished trials, those of earlier starts of the same sweep included.
    objective : str
        The metric to maximise, without its ``cv/`` prefix and ``_mean`` suffix.
    space : mapping
        Override key -> distribution in Hydra's grammar; may be nested.
    conditional : list of str
        Config groups whose chosen option's own ``_space_`` is searched too.
    baseline : mapping
        Config group -> the option that counts as doing nothing; the first trial has these.
    cover : bool
        Show every option of every choice at least once before the sampler chooses freely.
    max_failures : int
        So many failed trials in a row end the sweep.
    study : str or None
        The study's name; None derives it from everything that decides a trial's value.
    """

    sampler: Callable[..., Any]
    n_trials: int = 60
    objective: str = "auc_pr_macro"
    space: Mapping[str, Any] = field(default_factory=dict)
    conditional: list[str] = field(default_factory=list)
    baseline: Mapping[str, str] = field(default_factory=dict)
    cover: bool = True
    max_failures: int = 5
    study: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("n_trials", 1), ("max_failures", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise SettingError(
                    f"search.{name}", value, f"it must be a whole number of at least {least}", f"set search.{name}=60"
                )

    def make_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Make the sampler with its own stream of random numbers."""
        import optuna

        try:
            with warnings.catch_warnings():
                # That an option of Optuna's is young is no news to the user of a shipped configuration.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler: optuna.samplers.BaseSampler = self.sampler(seed=seed)
        except (TypeError, ValueError, ImportError) as error:
            raise SettingError("search.sampler", self.sampler, str(error), "compare with conf/search") from error
        return sampler


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


class SweepFailed(WellaiError):
    """Too many trials in a row failed."""


class Study:
    """A study on disk, held by this process alone.

    Parameters
    ----------
    search : Search
        The settings.
    space : Space
        What is searched.
    name : str
        The study's name.
    store : Path
        The folder of ``study.db``.
    seed : int
        The experiment's seed.
    """

    def __init__(self, search: Search, space: Space, name: str, store: Path, seed: int) -> None:
        self.search = search
        self.space = space
        self.name = name
        self._store = store
        self._seed = seed
        self._study: optuna.Study | None = None

    @contextmanager
    def opened(self) -> Iterator[Study]:
        """Open or create the study and hold it; mend what a killed process left behind."""
        from filelock import FileLock, Timeout

        locks = self._store / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"study-{self.name}.lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            raise StoreError(
                f"search.study={self.name}: another process is running this sweep; "
                "wait for it, or set search.study to a new name."
            ) from None
        try:
            self._study = self._open()
            self._requeue_interrupted()
            self._enqueue_design()
            yield self
        finally:
            lock.release()

    def _open(self) -> optuna.Study:
        import optuna
        from filelock import FileLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path = (self._store / "study.db").resolve()
        with FileLock(self._store / "locks" / "study.db.lock"):
            # Optuna's first migration does not bear a second process beside it.
            try:
                with closing(sqlite3.connect(path)) as connection:
                    # Kept in the file; a commit then waits for one write instead of two.
                    connection.execute("PRAGMA journal_mode=WAL")
                storage = optuna.storages.RDBStorage(
                    f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
                )
            except Exception as error:  # SQLAlchemy, sqlite3 and Optuna each raise their own
                raise StoreError(
                    f"paths.store={self._store}: study.db cannot be opened ({error.__class__.__name__}); "
                    "move it away to begin anew, or set paths.store to another folder."
                ) from error
            study = optuna.create_study(
                storage=storage, study_name=self.name, direction="maximize", load_if_exists=True
            )
        # A resumed sampler with its first seed would propose again what it proposed before (checked for random search).
        study.sampler = self.search.make_sampler(derive_seed(self._seed, "sampler", len(study.trials)))
        return study

    @property
    def study(self) -> optuna.Study:
        """The open study."""
        if self._study is None:
            raise RuntimeError("the study is not open")
        return self._study

    def _requeue_interrupted(self) -> None:
        """Give trials that were cut off a new attempt with the same parameters; they never count as finished."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            if _interrupted(trial) and trial.number not in retried:
                fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
                attempt = int(trial.user_attrs.get("attempt", 1)) + 1
                self.study.enqueue_trial(fixed, user_attrs={"retry_of": trial.number, "attempt": attempt})

    def _enqueue_design(self) -> None:
        """Enqueue the baseline and the covering points, once."""
        if self.study.user_attrs.get("designed"):
            return
        active = self.space.active
        first = {
            key: self.search.baseline.get(key, option) for key, option in self.space.groups.items() if key in active
        }
        points = [first] if first else []
        if self.search.cover:
            points += self.space.cover(self._seed)
        for point in points:
            self.study.enqueue_trial(point, skip_if_exists=True)
        self.study.set_user_attr("designed", True)

    @property
    def finished(self) -> int:
        """How many trials count towards the total."""
        return sum(
            1
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished() and not _interrupted(trial)
        )

    def run(self, evaluate: Callable[[Proposal], float], finished: Callable[[], None]) -> None:
        """Evaluate proposals until the total is reached.

        Parameters
        ----------
        evaluate : callable
            Gives a proposal's value; :class:`~wellai_exp.errors.TrialFailed` and any error of a library fail that
            trial alone, a :class:`~wellai_exp.errors.StoreError` ends the sweep with the trial still to do.
        finished : callable
            Called after each trial that counts.

        Raises
        ------
        SweepFailed
            After ``max_failures`` failures in a row in this run.
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

    def _step(self, evaluate: Callable[[Proposal], float]) -> str:
        """Do one trial; gives why it failed, or an empty text."""
        from optuna.trial import TrialState

        started = time.perf_counter()
        trial = self.study.ask()
        overrides = self.space.suggest(trial)
        trial.set_user_attr(OVERRIDES, overrides)
        attempt = int(trial.user_attrs.get("attempt", 1))
        proposal = Proposal(trial.number, tuple(overrides), attempt, time.perf_counter() - started)
        try:
            value = evaluate(proposal)
            if not -float("inf") < value < float("inf"):
                raise TrialFailed(f"its objective was {value}")
        except StoreError:
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
        trial.set_user_attr("seconds", time.perf_counter() - started)
        self.study.tell(trial, value)
        return ""

    def trials(self) -> pd.DataFrame:
        """Give every trial that counts.

        Returns
        -------
        pandas.DataFrame
            Columns ``number, state, value, seconds, reason, overrides``, then one for each searched key (an option's
            own arguments are named ``group.option.argument``).
        """
        import pandas as pd

        rows = []
        for trial in self.study.get_trials(deepcopy=False):
            if not trial.state.is_finished() or _interrupted(trial):
                continue
            attrs = trial.user_attrs
            row = {
                "number": trial.number,
                "state": trial.state.name,
                "value": float("nan") if trial.value is None else trial.value,
                "seconds": attrs.get("seconds", float("nan")),
                "reason": attrs.get(REASON, ""),
                "overrides": tuple(attrs.get(OVERRIDES, ())),
            }
            rows.append({**row, **parameter_columns(trial.params)})
        columns = ["number", "state", "value", "seconds", "reason", "overrides"]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)

    def best(self) -> tuple[int, tuple[str, ...], float]:
        """Give the best trial's number, overrides and value; the earlier one where two are equal.

        Raises
        ------
        SweepFailed
            Where no trial has a value.
        """
        table = self.trials()
        table = table[table["state"] == "COMPLETE"]
        if table.empty:
            raise SweepFailed(
                f"search.study={self.name}: no trial has a value yet; read the reasons in the MLflow runs."
            )
        row = table.iloc[int(table["value"].to_numpy().argmax())]
        return int(row["number"]), tuple(row["overrides"]), float(row["value"])

    def importances(self) -> dict[str, float]:
        """Give the share of the objective's variance that each always-present parameter explains (fANOVA).

        Empty where fewer than four trials have a value or none of their values differ.
        """
        import optuna

        complete = [trial for trial in self.study.get_trials(deepcopy=False) if trial.value is not None]
        if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=derive_seed(self._seed, "fanova"))
        return dict(optuna.importance.get_param_importances(self.study, evaluator=evaluator))


def _interrupted(trial: optuna.trial.FrozenTrial) -> bool:
    """Tell a trial that was cut off from one that failed: only the latter has a reason."""
    from optuna.trial import TrialState

    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs
