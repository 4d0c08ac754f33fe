"""The summary of scores over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wellai_exp.metrics._checks import ArrayError


def fold_summary(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean and spread of each score over folds.

    Parameters
    ----------
    folds : sequence of mapping of str to float
        One mapping a fold, e.g. from `Scorer.scores`; all have the same names.

    Returns
    -------
    dict of str to float
        ``<name>_mean`` and ``<name>_std`` for each name, in the first fold's order. The standard deviation is the
        population's (``ddof=0``): it describes these folds, and is 0 for a single one. A NaN in a fold gives NaN.

    Raises
    ------
    ArrayError
        Where there is no fold, or the folds' names differ.
    """
    if not folds:
        raise ArrayError("A summary needs the scores of at least one fold, but there are none.")
    for index, fold in enumerate(folds):
        differing = sorted(set(fold) ^ set(folds[0]))
        if differing:
            raise ArrayError(f"Folds 0 and {index} must have the same scores, but differ in {', '.join(differing)}.")
    summary: dict[str, float] = {}
    for name in folds[0]:
        values = np.array([fold[name] for fold in folds], dtype=np.float64)
        summary[f"{name}_mean"] = float(values.mean())
        summary[f"{name}_std"] = float(values.std())
    return summary
