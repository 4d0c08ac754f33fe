"""What each option of a group was worth: its best trial, and its effect with the other groups held equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._trials import categorical_columns, check_trials, failed, finished

FloatArray = npt.NDArray[np.float64]

_LEVEL = 0.95


class _Effect(NamedTuple):
    """An option's coefficient against the baseline, with its standard error and interval."""

    adjusted_gain: float = np.nan
    adjusted_gain_se: float = np.nan
    adjusted_gain_low: float = np.nan
    adjusted_gain_high: float = np.nan


_COLUMNS = ("option", "trials", "best", "median", "best_gain", *_Effect._fields, "failed")


def worth_table(trials: pd.DataFrame, group: str = "imbalance", baseline: str = "none") -> pd.DataFrame:
    """Compare the options of one group with its baseline.

    The adjusted gain is an option's coefficient against the baseline in ordinary least squares of the objective on the
    group and, as additive factors, on every other categorical parameter that all finished trials have. It answers a
    question that the best trials cannot: how the option does with backbone, augmentation and head held equal. Numeric
    parameters, and categorical ones that only some options have, stay out: they belong to the option. Pruned and failed
    trials have no objective and take no part, so an option whose bad trials were pruned looks better than it is.

    The interval says how far the gain would move with other trials of this search on the same folds. It knows nothing
    of what other images would change, and takes effects as additive and the trials as drawn without regard to their
    results, which a sampler that learns does only roughly.

    Parameters
    ----------
    trials : DataFrame
        Columns ``number``, ``state``, ``value`` (greater is better), ``seconds``, ``reason`` and the parameters.
        Trials without a value of `group` are left out.
    group : str
        The column whose options are compared.
    baseline : str
        The option that the others are compared with.

    Returns
    -------
    DataFrame
        One row an option, best first: ``option``; ``trials``, of any state; ``best`` and ``median`` objective of the
        finished ones; ``best_gain``, best minus the baseline's best; ``adjusted_gain``; ``adjusted_gain_se``, its
        standard error; ``adjusted_gain_low`` and ``adjusted_gain_high``, its 95 % interval by Student's t; ``failed``,
        the trials that ended without an objective and were not pruned. Gains are in units of the objective, and 0 for
        the baseline itself. NaN stands where a number cannot be had: no finished trial, no finished baseline, an effect
        that cannot be told from another factor's, or (standard error and interval only) no trial to spare for it.

    Raises
    ------
    DataError
        Where the table of trials is unsound or has no such group.
    """
    table = check_trials(trials)
    if group not in table.columns:
        raise DataError(f"The trials have no group {group!r}; compare one of {', '.join(categorical_columns(table))}.")
    table = table[table[group].notna()]
    table = table.assign(**{group: table[group].astype(str)})
    done = finished(table)
    values = done.groupby(group)["value"]
    best, median = values.max(), values.median()
    effects = _effects(done, group, baseline)
    rows = [
        {
            "option": option,
            "trials": len(of_option),
            "best": best.get(option, np.nan),
            "median": median.get(option, np.nan),
            "best_gain": best.get(option, np.nan) - best.get(baseline, np.nan),
            **effects.get(str(option), _Effect())._asdict(),
            "failed": int(failed(of_option).sum()),
        }
        for option, of_option in table.groupby(group)
    ]
    worth = pd.DataFrame(rows, columns=list(_COLUMNS))
    return worth.sort_values("best", ascending=False, kind="stable", na_position="last", ignore_index=True)


def worth_by_metric(
    trials: pd.DataFrame, metrics: Sequence[str], group: str = "imbalance", baseline: str = "none"
) -> pd.DataFrame:
    """Compare the options of one group by several metrics, so that what the head gains and the tail loses is seen.

    Parameters
    ----------
    trials : DataFrame
        As for `worth_table`, with a column for each metric (greater is better), NaN where a trial has none.
    metrics : sequence of str
        The columns to compare by.
    group, baseline : str
        As for `worth_table`.

    Returns
    -------
    DataFrame
        The tables of `worth_table`, one below the other, with ``metric`` as first column; a finished trial counts only
        where it has the metric.

    Raises
    ------
    DataError
        Where the table of trials is unsound, or has no such group or metric.
    """
    missing = [name for name in metrics if name not in trials.columns]
    if missing:
        raise DataError(f"The trials have no metric {missing[0]!r}.")
    parts = []
    for name in metrics:
        unmeasured = (trials["state"] == "COMPLETE") & trials[name].isna()
        scored = trials.assign(value=trials[name]).loc[~unmeasured].drop(columns=list(metrics))
        part = worth_table(scored, group, baseline)
        part.insert(0, "metric", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _effects(done: pd.DataFrame, group: str, baseline: str) -> dict[str, _Effect]:
    """Give each option's effect against the baseline, NaN where it cannot be estimated."""
    options = sorted(set(done[group]))
    if baseline not in options:
        return {}
    others = [name for name in categorical_columns(done) if name != group and done[name].notna().all()]
    compared = [option for option in options if option != baseline]
    columns = [np.ones(len(done)), *((done[group] == option).to_numpy(float) for option in compared)]
    for name in others:
        levels = done[name].astype(str)
        columns += [(levels == level).to_numpy(float) for level in sorted(set(levels))[1:]]
    estimates, errors, spare = _least_squares(np.column_stack(columns), done["value"].to_numpy(float))
    low, high = estimates - errors * _quantile(spare), estimates + errors * _quantile(spare)
    found = {
        option: _Effect(estimates[place], errors[place], low[place], high[place])
        for place, option in enumerate(compared, 1)
    }
    # The baseline is 0 by definition; nothing was estimated, so it has no standard error.
    return {**found, baseline: _Effect(0.0)}


def _quantile(freedom: int) -> float:
    """Give how many standard errors reach to either end of an interval."""
    from scipy.stats import t

    return float(t.ppf((1 + _LEVEL) / 2, freedom)) if freedom > 0 else np.nan


def _least_squares(design: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """Fit by ordinary least squares; give each coefficient with its standard error, and the degrees of freedom left.

    A coefficient of a rank-deficient design has a meaning only if its unit vector lies in the row space (Searle,
    *Linear Models*, 1971, ch. 5); the others are NaN.
    """
    left, sizes, right = np.linalg.svd(design, full_matrices=False)
    kept = sizes > sizes.max() * max(design.shape) * np.finfo(float).eps
    left, sizes, right = left[:, kept], sizes[kept], right[kept]
    estimates = right.T @ ((left.T @ values) / sizes)
    # 1 on the diagonal of the projection onto the row space: the unit vector lies in it.
    estimable = np.abs((right**2).sum(axis=0) - 1) < 1e-8
    spare = len(values) - len(sizes)
    if spare > 0:
        residual = values - design @ estimates
        variance = float(residual @ residual) / spare
        errors = np.sqrt(variance * ((right / sizes[:, None]) ** 2).sum(axis=0))
    else:
        errors = np.full(len(estimates), np.nan)
    return np.where(estimable, estimates, np.nan), np.where(estimable, errors, np.nan), spare
