"""The table of a sweep's trials: what it must hold, and its leaderboard."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError

_REQUIRED = ("number", "state", "value", "seconds", "reason")
_STATES = ("COMPLETE", "PRUNED", "FAIL")
_NUMERIC = ("integer", "floating", "mixed-integer-float", "decimal", "complex", "empty")


def check_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Give the trials with `value` and `seconds` as floats and the rows renumbered.

    Parameters
    ----------
    trials : DataFrame
        One row a trial: ``number`` (int), ``state`` (COMPLETE, PRUNED or FAIL), ``value`` (the objective; greater is
        better), ``seconds``, ``reason``, and one column for each parameter, empty where it was not active.

    Raises
    ------
    DataError
        Where a column is missing, a state is unknown, or a number occurs twice.
    """
    missing = [name for name in _REQUIRED if name not in trials.columns]
    if missing:
        raise DataError(f"A table of trials needs the columns {', '.join(_REQUIRED)}, but lacks {', '.join(missing)}.")
    unknown = sorted(set(trials["state"].astype(str)) - set(_STATES))
    if unknown:
        raise DataError(f"A trial's state must be one of {', '.join(_STATES)}, but {', '.join(unknown)} occurs.")
    if trials["number"].duplicated().any():
        twice = trials.loc[trials["number"].duplicated(), "number"].iloc[0]
        raise DataError(f"Each trial must have its own number, but {twice} occurs twice.")
    table = trials.reset_index(drop=True)
    table["value"] = pd.to_numeric(table["value"]).astype(float)
    table["seconds"] = pd.to_numeric(table["seconds"]).astype(float)
    return table


def finished(trials: pd.DataFrame) -> pd.DataFrame:
    """Give the trials that ended with an objective: COMPLETE and finite, since a study counts ``inf`` as complete."""
    ended_well: pd.DataFrame = trials.loc[(trials["state"] == "COMPLETE") & np.isfinite(trials["value"])]
    return ended_well


def failed(trials: pd.DataFrame) -> pd.Series[bool]:
    """Tell of each trial whether it ended without a usable objective, for another reason than pruning."""
    ended: pd.Series[bool] = trials["state"].isin(["COMPLETE", "FAIL"])
    return ended & ~trials.index.isin(finished(trials).index)


def categorical_columns(trials: pd.DataFrame) -> list[str]:
    """Name the parameters whose values are not numbers; booleans count as categories."""
    return [
        str(name)
        for name in trials.columns
        if name not in _REQUIRED and pd.api.types.infer_dtype(trials[name], skipna=True) not in _NUMERIC
    ]


def leaderboard(trials: pd.DataFrame, top: int = 20) -> pd.DataFrame:
    """List the best finished trials.

    Parameters
    ----------
    trials : DataFrame
        See `check_trials`: columns ``number``, ``state``, ``value``, ``seconds``, ``reason`` and the parameters.
    top : int
        At most so many rows.

    Returns
    -------
    DataFrame
        Columns ``rank`` (from 1), ``number``, ``value``, ``seconds``, then the parameters that any of these trials
        has. Best first; of equal trials the earlier.

    Raises
    ------
    DataError
        Where the table of trials is unsound, or `top` is below 1.
    """
    if top < 1:
        raise DataError(f"A leaderboard needs at least 1 row, but top is {top}.")
    done = finished(check_trials(trials))
    best = done.sort_values(["value", "number"], ascending=[False, True]).head(top)
    parameters = [name for name in trials.columns if name not in _REQUIRED and best[name].notna().any()]
    board = best[["number", "value", "seconds", *parameters]].reset_index(drop=True)
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    return board
