"""LogME keeps its laws, is the maximum that it says it is, and survives degenerate features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from wellai_exp.metrics import ArrayError, log_me

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

SEEDS = st.integers(0, 2**32 - 1)
ROWS, CLASSES = 24, 3


def problem(seed: int, dim: int = 5, signal: float = 1.0, rows: int = ROWS) -> tuple[Floats, Labels]:
    """Class means and noise, away from the origin as pooled features are."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % CLASSES
    means = rng.normal(scale=signal, size=(CLASSES, dim))
    return 2 + means[labels] + rng.normal(size=(rows, dim)), labels


def log_evidence(features: Floats, target: Floats, log_alpha: float, log_beta: float) -> float:
    """Log density of a class's 0/1 targets, weights integrated out: normal, covariance I / beta + X X' / alpha."""
    covariance = np.eye(len(target)) / np.exp(log_beta) + features @ features.T / np.exp(log_alpha)
    distance = target @ np.linalg.solve(covariance, target)
    return float(-0.5 * (len(target) * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + distance))


@pytest.mark.parametrize("dim", [1, 5, 40])
@pytest.mark.parametrize("signal", [0.5, 3.0])
def test_it_is_the_greatest_evidence(dim: int, signal: float) -> None:
    features, labels = problem(dim, dim, signal)
    greatest = []
    for index in range(CLASSES):
        target = (labels == index).astype(float)
        found = minimize(lambda at, y=target: -log_evidence(features, y, *at), (2.0, 2.0), method="Nelder-Mead")
        greatest.append(-found.fun / ROWS)
    assert log_me(features, labels) == pytest.approx(np.mean(greatest), abs=2e-4)


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([3, 12, 40]))
def test_a_rotation_changes_nothing(seed: int, dim: int) -> None:
    features, labels = problem(seed, dim)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))
    assert log_me(features @ rotation, labels) == pytest.approx(log_me(features, labels), abs=1e-5)


@settings(max_examples=25)
@given(SEEDS, st.floats(1e-20, 1e20))
def test_a_factor_changes_nothing(seed: int, factor: float) -> None:
    features, labels = problem(seed)
    assert log_me(factor * features, labels) == pytest.approx(log_me(features, labels), abs=1e-5)


@settings(max_examples=25)
@given(SEEDS)
def test_the_order_of_classes_and_rows_changes_nothing(seed: int) -> None:
    features, labels = problem(seed)
    rng = np.random.default_rng(seed)
    rows, names = rng.permutation(ROWS), rng.permutation(CLASSES)
    assert log_me(features[rows], names[labels][rows]) == pytest.approx(log_me(features, labels), abs=1e-5)


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([4, 15]))
def test_separable_labels_score_above_shuffled_ones(seed: int, dim: int) -> None:
    features, labels = problem(seed, dim, signal=4.0)
    shuffled = np.random.default_rng(seed).permutation(labels)
    assert log_me(features, labels) > log_me(features, shuffled) + 0.05


@pytest.mark.parametrize("dim", [5, 60])
def test_constant_columns_and_copies_are_borne(dim: int) -> None:
    features, labels = problem(1, dim)
    zeros = np.concatenate([features, np.zeros((ROWS, 3))], axis=1)
    assert log_me(zeros, labels) == pytest.approx(log_me(features, labels), abs=1e-6)
    # Two copies of a column are that column times the square root of two, turned.
    copies = np.concatenate([features, features], axis=1)
    assert log_me(copies, labels) == pytest.approx(log_me(features, labels), abs=1e-5)
    assert np.isfinite(log_me(np.ones((ROWS, dim)), labels))


def test_features_of_zeros_leave_the_noise_alone() -> None:
    _, labels = problem(0)
    share = np.bincount(labels) / ROWS
    expected = -0.5 * np.mean(np.log(2 * np.pi * share) + 1)
    assert log_me(np.zeros((ROWS, 4)), labels) == pytest.approx(expected)


def test_labels_fitted_exactly_score_high_and_finite() -> None:
    features, labels = problem(0, 3, signal=3.0)
    exact = np.eye(CLASSES)[labels]
    assert log_me(features, labels) + 3 < log_me(exact, labels) < np.inf


def test_a_class_without_rows_is_left_out() -> None:
    features, labels = problem(2)
    assert log_me(features, 2 * labels + 1) == pytest.approx(log_me(features, labels))


def test_float32_features_score_as_float64_ones() -> None:
    features, labels = problem(3, 60)
    assert log_me(features.astype(np.float32), labels) == pytest.approx(log_me(features, labels), abs=1e-4)


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        ([[1.0, np.nan], [0.0, 1.0]], [0, 1], "row 0, column 1 holds nan"),
        ([[1.0], [np.inf]], [0, 1], "finite"),
        ([1.0, 2.0], [0, 1], r"features must be a non-empty array of shape"),
        ([[1.0], [2.0]], [0, 1, 1], "3 labels but 2 rows of features"),
        ([[1.0], [2.0]], [1, 1], "all 2 labels are 1"),
        ([[1.0], [2.0]], [0, -1], "-1 is among them"),
    ],
)
def test_unsound_arrays_are_refused(features: npt.ArrayLike, labels: npt.ArrayLike, words: str) -> None:
    with pytest.raises(ArrayError, match=words):
        log_me(features, labels)
