"""The fixed set of numbers that every trial reports, and their summary over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._average_precision import (
    average_precision_of_checked,
    micro_of_checked,
    one_hot,
    weighted_mean,
)
from wellai_exp.metrics._checks import ArrayError, check_probabilities
from wellai_exp.metrics._decisions import confusion_matrix, macro_of_present, scores_of_confusion
from wellai_exp.metrics._probabilities import log_loss_of_checked, top_k_of_checked

_TOP_K = 5


def aggregates(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> dict[str, float]:
    """Every aggregate score of one set of predictions.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; rows sum to 1 within 1e-3. The predicted label is the first of the most probable.

    Returns
    -------
    dict of str to float
        ``accuracy``, ``balanced_accuracy``, ``auc_pr_macro``, ``auc_pr_micro``, ``auc_pr_weighted``, ``f1_macro``,
        ``log_loss``, and, where C > 5, ``top5_accuracy``. ``balanced_accuracy``, ``auc_pr_macro`` and ``f1_macro``
        leave out the classes that have no row among the labels.

    Raises
    ------
    ArrayError
        See `check_probabilities`.
    """
    true, array = check_probabilities(labels, probabilities)
    n_classes = array.shape[1]
    confusion = confusion_matrix(true, array.argmax(axis=1), n_classes)
    _, recall, f1 = scores_of_confusion(confusion)
    auc_pr = average_precision_of_checked(one_hot(true, n_classes), array)
    scores = {
        "accuracy": float(np.trace(confusion) / len(true)),
        "balanced_accuracy": macro_of_present(confusion, recall),
        "auc_pr_macro": float(np.nanmean(auc_pr)),
        "auc_pr_micro": micro_of_checked(true, array),
        "auc_pr_weighted": weighted_mean(true, auc_pr),
        "f1_macro": macro_of_present(confusion, f1),
        "log_loss": log_loss_of_checked(true, array),
    }
    if n_classes > _TOP_K:
        scores["top5_accuracy"] = top_k_of_checked(true, array, _TOP_K)
    return scores


def fold_summary(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean and spread of each score over folds.

    Parameters
    ----------
    folds : sequence of mapping of str to float
        One mapping a fold, e.g. from `aggregates`; all have the same names.

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
