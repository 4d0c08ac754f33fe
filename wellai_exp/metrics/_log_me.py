"""LogME: how well a linear model on some features would explain the labels, from one decomposition of the features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import ArrayError, FloatArray, IntArray, check_labels, check_scores

_MOST_ROUNDS = 200
# In nats for each row; scores of neighbouring backbones differ in the second or third decimal.
_TOLERANCE = 1e-7
# Labels that a linear model fits exactly have no greatest evidence. So much of their squared length always counts as
# noise: what float32 features leave of an exact fit.
_LEAST_NOISE = 1e-12
_WIDEST = 1e12


def log_me(features: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Logarithm of the maximum evidence of the labels, given features.

    For each class, its 0/1 labels are explained by a linear model with Gaussian weights and noise; the evidence, with
    the weights integrated out, is maximised over the two variances. Unlike the likelihood of a fitted head it pays for
    every direction that it uses, so it does not over-fit and needs no held-out rows.

    Parameters
    ----------
    features : array_like of float, shape [N, D]
        As the backbone gives them: neither centred nor scaled. The score stays the same when they are rotated or
        multiplied by a number.
    labels : array_like of int, shape [N]
        Class indices, from 0. A class without a row is left out.

    Returns
    -------
    float
        Nats a row, the mean over the classes; greater is better. It may be negative or positive, and compares features
        of the same labels only.

    Raises
    ------
    ArrayError
        Where features are not finite or not of shape [N, D], N differs, or only one class has rows.

    Notes
    -----
    You et al., "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", ICML 2021 (arXiv
    2102.11005), with the fixed-point iteration of You et al., "Ranking and Tuning Pre-trained Models", JMLR 2022
    (arXiv 2110.10545), for all classes at once. It needs the eigenvalues of the smaller of ``X X'`` and ``X' X``:
    time min(N, D)^3 + N D min(N, D).
    """
    array, true = _check(features, labels)
    targets = (true[:, None] == np.unique(true)[None, :]).astype(np.float64)
    squared, energies = _decompose(array, targets)
    evidence = _greatest_evidence(squared, energies, targets.sum(axis=0), len(true))
    return float(evidence.mean() / len(true))


def _check(features: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    array = check_scores(features, "features").astype(np.float64)
    true = check_labels(labels)
    if len(true) != len(array):
        raise ArrayError(f"There are {len(true)} labels but {len(array)} rows of features; they must be as many.")
    if (true == true[0]).all():
        raise ArrayError(f"LogME compares classes, but all {len(true)} labels are {true[0]}.")
    # The score does not depend on the scale, and squares of very large or small features would leave the range.
    largest = np.abs(array).max()
    return (array / largest if largest > 0 else array), true


def _decompose(features: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the K squared singular values above rounding, [K, 1], and each class's squared length along them, [K, C]."""
    rows, dim = features.shape
    wide = dim > rows
    squared, vectors = np.linalg.eigh(features @ features.T if wide else features.T @ features)
    kept = squared > max(rows, dim) * np.finfo(np.float64).eps * squared[-1]
    squared, vectors = squared[kept, None], vectors[:, kept]
    along = vectors.T @ targets if wide else vectors.T @ (features.T @ targets) / np.sqrt(squared)
    return squared, np.square(along)


def _greatest_evidence(squared: FloatArray, energies: FloatArray, lengths: FloatArray, rows: int) -> FloatArray:
    """Maximise each class's log evidence, [C], over the precisions alpha of the weights and beta of the noise.

    Only their ratio ``alpha / beta`` is searched, by MacKay's update; the best beta follows from it.
    """
    rest = np.maximum(lengths - energies.sum(axis=0), _LEAST_NOISE * lengths)
    if not squared.size:
        return _evidence(np.ones_like(lengths), squared, energies, rest, rows)
    ratio = np.full_like(lengths, squared.mean())
    evidence = _evidence(ratio, squared, energies, rest, rows)
    for _ in range(_MOST_ROUNDS):
        lost = ratio / (squared + ratio)
        free = (1 - lost).sum(axis=0)
        weights = ((1 - lost) ** 2 / squared * energies).sum(axis=0)
        noise = (lost**2 * energies).sum(axis=0) + rest
        alpha = free / np.maximum(weights, np.finfo(np.float64).tiny)
        beta = (rows - len(squared) + lost.sum(axis=0)) / noise
        # Labels that the features say nothing of send the ratio to infinity, while the evidence settles.
        ratio = np.clip(alpha / beta, squared[-1] / _WIDEST, squared[-1] * _WIDEST)
        earlier, evidence = evidence, _evidence(ratio, squared, energies, rest, rows)
        if np.abs(evidence - earlier).max() <= _TOLERANCE * rows:
            break
    return evidence


def _evidence(ratio: FloatArray, squared: FloatArray, energies: FloatArray, rest: FloatArray, rows: int) -> FloatArray:
    """Log evidence of each class at the noise that suits its ratio best."""
    unexplained = (ratio / (squared + ratio) * energies).sum(axis=0) + rest
    paid = np.log1p(squared / ratio).sum(axis=0)
    result: FloatArray = -0.5 * (rows * (np.log(2 * np.pi * unexplained / rows) + 1) + paid)
    return result
