"""For each class, the probability from which on its predictions can be relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._pr_table import StepCurve, class_curves

if TYPE_CHECKING:
    from wellai_exp.evaluation._evaluation import Evaluation


def thresholds_table(evaluation: Evaluation, precision: float = 0.9) -> pd.DataFrame:
    """Give the least threshold at which each class reaches a precision, and what it then still finds.

    The thresholds are chosen on the very rows that they are judged on, so the precision and recall stated are
    optimistic, the more so the fewer rows a class has. Choose on validation rows and judge on test rows where a
    promise depends on it.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.
    precision : float
        To be reached, in (0, 1].

    Returns
    -------
    DataFrame
        One row a class, in index order: ``class``; ``support`` (rows); ``threshold``, the least corner of the
        precision-recall curve (see `pr_table`) with the precision asked for, and so the one with the most recall; the
        ``precision`` and ``recall`` there. NaN where no threshold reaches it, and for a class without a row.

    Raises
    ------
    DataError
        Where `precision` is not in (0, 1].
    """
    if not 0 < precision <= 1:
        raise DataError(f"precision must lie above 0 and at most at 1, but it is {precision}.")
    curves = class_curves(evaluation)
    nothing = (np.nan, np.nan, np.nan)
    chosen = [_least(curves[index], precision) if index in curves else nothing for index in range(evaluation.n_classes)]
    table = pd.DataFrame({"class": evaluation.class_names, "support": evaluation.support})
    return table.join(pd.DataFrame(chosen, columns=list(StepCurve._fields)))


def _least(curve: StepCurve, precision: float) -> tuple[float, float, float]:
    reached = np.flatnonzero(curve.precision >= precision)
    if not len(reached):
        return np.nan, np.nan, np.nan
    last = reached[-1]
    return float(curve.threshold[last]), float(curve.precision[last]), float(curve.recall[last])
