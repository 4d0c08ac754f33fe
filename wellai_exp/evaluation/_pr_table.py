"""Precision-recall curves as numbers: the corners of every class's curve, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from wellai_exp.evaluation._evaluation import Evaluation


class StepCurve(NamedTuple):
    """The corners of a precision-recall curve, recall rising.

    Parameters
    ----------
    threshold : ndarray, shape [K]
        The score from which on a row is accepted, falling.
    precision, recall : ndarray of float64, shape [K]
        Of the rows that reach the threshold.
    """

    threshold: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]

    @property
    def outline(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Recall and precision [K + 1] to be drawn as steps, from recall 0 on."""
        return np.append(0.0, self.recall), np.append(self.precision[0], self.precision)


def step_curve(truth: npt.NDArray[np.bool_], scores: npt.NDArray[Any]) -> StepCurve:
    """Give recall and precision at each score where recall rises: the corners of the steps of the average precision.

    Parameters
    ----------
    truth : ndarray of bool, shape [N]
        Which rows are positive; at least one is.
    scores : ndarray, shape [N]
        The higher, the more a row looks positive.
    """
    order = np.argsort(scores)[::-1]
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = hits[ends]
    rises = np.diff(found, prepend=0) > 0
    corners = ends[rises]
    return StepCurve(ranked[corners].astype(np.float64), found[rises] / (corners + 1), found[rises] / hits[-1])


def class_curves(evaluation: Evaluation) -> dict[int, StepCurve]:
    """Give the one-vs-rest curve of each class that has a row, by class index."""
    return {
        int(index): step_curve(evaluation.labels == index, evaluation.probabilities[:, index])
        for index in np.flatnonzero(evaluation.support > 0)
    }


def pr_table(evaluation: Evaluation) -> pd.DataFrame:
    """List the corners of each class's one-vs-rest precision-recall curve.

    The curve is one of steps without interpolation: from one corner to the next recall rises at the precision of the
    latter, so that the sum of (rise in recall) × precision over a class's rows, from recall 0 on, is its AUC-PR
    (average precision) exactly. Thresholds between two corners find no further positive and are left out.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.

    Returns
    -------
    DataFrame
        Columns ``class``, ``threshold`` (a row is accepted where its probability is at least this), ``precision`` and
        ``recall``. Classes in index order, thresholds falling; at most one row for each positive. A class without a
        row has none.
    """
    curves = class_curves(evaluation)
    names = [evaluation.class_names[index] for index, curve in curves.items() for _ in curve.threshold]
    numbers = {name: np.concatenate([getattr(curve, name) for curve in curves.values()]) for name in StepCurve._fields}
    return pd.DataFrame({"class": names, **numbers})
