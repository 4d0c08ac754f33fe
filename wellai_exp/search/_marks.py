"""What the study writes beside a trial's parameters, and how it is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

REASON = "reason"
OVERRIDES = "overrides"
SECONDS = "seconds"
ATTEMPT = "attempt"
RETRY_OF = "retry_of"
# How many attempts were lost with their worker while the sweep itself went on.
FAULTS = "faults"
# The objectives and constrained quantities by name: of a pruned trial those of its last report.
METRICS = "metrics"
# Epoch, as text, -> the objectives then, in the order of the goals.
REPORTS = "reports"
# Successive halving keeps in these what a trial was worth at each rung.
_RUNG = "completed_rung_"


def reports_of(trial: optuna.trial.BaseTrial) -> dict[int, list[float]]:
    """Give a trial's objectives by epoch; empty for a trial that trains at one go."""
    return {int(epoch): list(values) for epoch, values in trial.user_attrs.get(REPORTS, {}).items()}


def interrupted(trial: optuna.trial.FrozenTrial) -> bool:
    """Tell a trial that was cut off from one that failed: only the latter has a reason."""
    from optuna.trial import TrialState

    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


def retry(trial: optuna.trial.FrozenTrial) -> optuna.trial.FrozenTrial:
    """Make the next attempt at a trial that was cut off, with the same parameters.

    Its reports and rungs go along: an epoch that it survived is not judged a second time, when trials that were not
    there then could end it for a reason that did not hold. Hyperband alone may put the attempt, which has a number of
    its own, into another bracket; there it is judged from its next epoch on.
    """
    import optuna

    rungs = {key: value for key, value in trial.system_attrs.items() if key.startswith(_RUNG)}
    kept = {name: trial.user_attrs[name] for name in (REPORTS, FAULTS) if name in trial.user_attrs}
    attempt = int(trial.user_attrs.get(ATTEMPT, 1)) + 1
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.WAITING,
        system_attrs={"fixed_params": {**trial.system_attrs.get("fixed_params", {}), **trial.params}, **rungs},
        user_attrs={RETRY_OF: trial.number, ATTEMPT: attempt, **kept},
        intermediate_values=dict(trial.intermediate_values),
    )
