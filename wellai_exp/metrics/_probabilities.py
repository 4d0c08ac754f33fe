"""Scores of predicted probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, IntArray, check_probabilities


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean negative log-likelihood of the true class, in nats.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; rows sum to 1. Clipped to [eps, 1 - eps] with the machine epsilon of their type, as in
        scikit-learn, so that one confident mistake costs at most 15.9 nats in float32 and 36.0 in float64.

    Returns
    -------
    float
        At least 0; lower is better.

    Raises
    ------
    ArrayError
        See `check_probabilities`.
    """
    return log_loss_of_checked(*check_probabilities(labels, probabilities))


def log_loss_of_checked(labels: IntArray, probabilities: npt.NDArray[Any]) -> float:
    """Compute `log_loss` of arrays that are known to be sound."""
    eps = np.finfo(probabilities.dtype).eps
    of_truth = probabilities[np.arange(len(labels)), labels].clip(eps, 1 - eps)
    return float(-np.log(of_truth.astype(np.float64)).mean())


def top_k_accuracy(labels: npt.ArrayLike, probabilities: npt.ArrayLike, k: int = 5) -> float:
    """Share of the rows whose true class is among the `k` most probable.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; rows sum to 1. Among equal ones the higher class index comes first, as in
        scikit-learn's ``top_k_accuracy_score``.
    k : int
        From 1; from C on the score is 1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ArrayError
        Where `k` is below 1; otherwise see `check_probabilities`.
    """
    if k < 1:
        raise ArrayError(f"k must be at least 1, but it is {k}.")
    return top_k_of_checked(*check_probabilities(labels, probabilities), k)


def top_k_of_checked(labels: IntArray, probabilities: npt.NDArray[Any], k: int) -> float:
    """Compute `top_k_accuracy` of arrays that are known to be sound."""
    of_truth = probabilities[np.arange(len(labels)), labels][:, None]
    tied_above = (probabilities == of_truth) & (np.arange(probabilities.shape[1]) > labels[:, None])
    rank = ((probabilities > of_truth) | tied_above).sum(axis=1)
    return float((rank < k).mean())
