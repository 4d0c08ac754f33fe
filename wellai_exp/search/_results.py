"""What a study's trials amount to: the table, the best, the front, and what comes nearest where nothing will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wellai_exp.errors import WellaiError
from wellai_exp.search._goals import Goals, ranks
from wellai_exp.search._marks import METRICS, OVERRIDES, REASON, SECONDS, interrupted, reports_of
from wellai_exp.search._space import parameter_columns

if TYPE_CHECKING:
    import optuna
    import pandas as pd

# What every table of trials holds, and what ours says beyond that.
_PLAIN = ("number", "state", "value", "seconds", "reason")
_OUTCOME = ("last", "epochs", "feasible", "violation", "overrides")


class SweepFailed(WellaiError):
    """The sweep cannot go on, or has come to nothing."""


class NothingFeasible(SweepFailed):
    """No finished trial keeps the constraints, so there is no winner."""


@dataclass(frozen=True)
class Candidate:
    """A trial to take something from.

    Parameters
    ----------
    number : int
        Optuna's number.
    overrides : tuple of str
        What it changes in the experiment.
    value : float
        The first objective; NaN where the trial was stopped before its first epoch.
    metrics : mapping of str to float
        All objectives and constrained quantities.
    excesses : mapping of str to float
        How far it is beyond each constraint, relative to the bound; at most 0 where the constraint is kept.
    """

    number: int
    overrides: tuple[str, ...]
    value: float
    metrics: Mapping[str, float]
    excesses: Mapping[str, float]

    @property
    def violation(self) -> float:
        """The sum of all that is beyond a bound; 0 where every constraint is kept."""
        return sum(max(excess, 0.0) for excess in self.excesses.values())

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint."""
        return self.violation == 0


def counted(trials: Iterable[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """Give the trials that count towards the total."""
    return [trial for trial in trials if trial.state.is_finished() and not interrupted(trial)]


def complete(trials: Iterable[optuna.trial.FrozenTrial], goals: Goals) -> list[Candidate]:
    """Give the trials that ran to their end, in the order of their numbers."""
    from optuna.trial import TrialState

    return [_candidate(trial, goals) for trial in trials if trial.state == TrialState.COMPLETE]


def nearest(trials: Iterable[optuna.trial.FrozenTrial], goals: Goals) -> list[Candidate]:
    """Give the complete and pruned trials whose constrained quantities are known, the least violating first."""
    from optuna.trial import TrialState

    ended = [_candidate(trial, goals) for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    known = [each for each in ended if len(each.excesses) == len(goals.constraints)]
    return sorted(known, key=lambda each: (each.violation, each.number))


def _candidate(trial: optuna.trial.FrozenTrial, goals: Goals) -> Candidate:
    metrics = trial.user_attrs.get(METRICS, {})
    return Candidate(
        number=trial.number,
        overrides=tuple(trial.user_attrs.get(OVERRIDES, ())),
        value=metrics.get(goals.first, float("nan")),
        metrics=metrics,
        excesses=goals.excesses(metrics),
    )


def outcome_columns(goals: Goals) -> tuple[str, ...]:
    """Name the columns that say how a trial went beyond its value, seconds and reason."""
    return (*_OUTCOME, *goals.quantities)


def trials_table(trials: Iterable[optuna.trial.FrozenTrial], goals: Goals) -> pd.DataFrame:
    """Give one row a trial; see :meth:`Study.trials`."""
    import pandas as pd

    rows = [_row(trial, goals) for trial in counted(trials)]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*_PLAIN, *outcome_columns(goals)])


def _row(trial: optuna.trial.FrozenTrial, goals: Goals) -> dict[str, object]:
    from optuna.trial import TrialState

    nan = float("nan")
    attrs = trial.user_attrs
    metrics, reports = attrs.get(METRICS, {}), reports_of(trial)
    excesses = goals.excesses(metrics)
    judged = len(excesses) == len(goals.constraints)
    violation = sum(max(excess, 0.0) for excess in excesses.values()) if judged else nan
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": metrics[goals.first] if trial.state == TrialState.COMPLETE else nan,
        "seconds": attrs.get(SECONDS, nan),
        "reason": attrs.get(REASON, ""),
        "last": reports[max(reports)][0] if reports else nan,
        "epochs": max(reports, default=0),
        "feasible": judged and violation == 0,
        "violation": violation,
        "overrides": tuple(attrs.get(OVERRIDES, ())),
        **{name: metrics.get(name, nan) for name in goals.quantities},
        **parameter_columns(trial.params),
    }


def curves_table(trials: Iterable[optuna.trial.FrozenTrial]) -> pd.DataFrame:
    """Give one row a trial and epoch; see :meth:`Study.curves`."""
    import pandas as pd

    rows = [
        (trial.number, epoch, values[0], trial.state.name)
        for trial in counted(trials)
        for epoch, values in sorted(reports_of(trial).items())
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "value", "state"])


def ranked(found: Sequence[Candidate], goals: Goals) -> list[Candidate]:
    """Sort by front, then by the first objective, then by number; with one objective that is by its value."""
    fronts = ranks([goals.losses(each.metrics) for each in found])
    order = sorted(range(len(found)), key=lambda index: (fronts[index], -found[index].value, index))
    return [found[index] for index in order]


def front(found: Sequence[Candidate], goals: Goals) -> list[Candidate]:
    """Give those that no other dominates."""
    fronts = ranks([goals.losses(each.metrics) for each in found])
    return [each for each, rank in zip(found, fronts, strict=True) if rank == 0]


def nothing_feasible(best: Candidate, finished: int, goals: Goals) -> NothingFeasible:
    """Say which constraint stands in the way, by how much, and which trial comes nearest."""
    broken = [each for each in goals.constraints if best.excesses[each.name] > 0]
    near = ", ".join(f"{each.name} {best.metrics[each.name]:.4g}" for each in broken)
    return NothingFeasible(
        f"search.subject_to: none of {finished} finished trials keeps {' and '.join(map(str, goals.constraints))}; "
        f"trial {best.number} comes nearest with {near} ({' '.join(best.overrides)}); nothing is registered: "
        f"relax search.subject_to.{broken[0].name}, widen search.space, or raise search.n_trials to go on."
    )
