"""Reliability against sums written out, and the temperature against probabilities whose temperature is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import metrics

FloatArray = npt.NDArray[np.float64]


def drawn(seed: int, rows: int = 60, classes: int = 4) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Labels that follow their probabilities: a calibrated classifier."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.7), rows)
    labels = (rng.random(rows)[:, None] > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return labels, probabilities


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    return metrics.Scorer(labels, probabilities).scores()["log_loss"]


@given(st.integers(0, 5000), st.integers(1, 50), st.integers(1, 7), st.integers(1, 20), st.booleans())
@settings(deadline=None, max_examples=60)
def test_reliability_of_each_bin(seed: int, rows: int, classes: int, bins: int, weighted: bool) -> None:
    labels, probabilities = drawn(seed, rows, classes)
    weights = np.random.default_rng(seed).random(rows) + 0.1 if weighted else None
    each = np.ones(rows) if weights is None else weights
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    table = metrics.reliability(labels, probabilities, bins, weights)
    error = 0.0
    for index in range(bins):
        inside = (confidence > table.edges[index]) & (confidence <= table.edges[index + 1])
        if index == bins - 1:
            # With one class the confidence is 1, up to the rounding of its sum.
            inside |= confidence > 1
        assert table.rows[index] == pytest.approx(each[inside].sum())
        if inside.any():
            sure, right = (np.average(values[inside], weights=each[inside]) for values in (confidence, hits))
            assert (table.confidence[index], table.accuracy[index]) == pytest.approx((sure, right))
            error += each[inside].sum() / each.sum() * abs(right - sure)
        else:
            assert np.isnan(table.confidence[index])
            assert np.isnan(table.accuracy[index])
    assert table.error == pytest.approx(error)
    if bins == 15:
        scores = metrics.Scorer(labels, probabilities).scores(weights)
        assert scores["expected_calibration_error"] == pytest.approx(error)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [1.0, 0.0, 0.0]])
    table = metrics.reliability([0, 1, 0], probabilities, bins=4)
    np.testing.assert_array_equal(table.rows, [0, 1, 1, 1])
    np.testing.assert_array_equal(table.accuracy, [np.nan, 1, 0, 1])
    assert table.error == pytest.approx((0.5 + 0.75) / 3)


def test_the_error_of_15_bins_is_the_aggregate() -> None:
    labels, probabilities = drawn(3, 500)
    expected = metrics.reliability(labels, probabilities).error
    assert metrics.Scorer(labels, probabilities).scores()["expected_calibration_error"] == expected


@pytest.mark.parametrize("sharper", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_a_classifier_too_sure_is_found(sharper: float) -> None:
    labels, calibrated = drawn(0, 6000)
    shown = metrics.scale_temperature(calibrated, 1 / sharper)
    assert metrics.fit_temperature(labels, shown) == pytest.approx(sharper, rel=0.04)


@given(st.integers(0, 5000), st.floats(0.5, 2.0))
@settings(deadline=None, max_examples=25)
def test_temperatures_multiply(seed: int, temperature: float) -> None:
    labels, probabilities = drawn(seed)
    found = metrics.fit_temperature(labels, probabilities)
    scaled = metrics.fit_temperature(labels, metrics.scale_temperature(probabilities, temperature))
    assert scaled * temperature == pytest.approx(found, rel=1e-3)


@given(st.integers(0, 5000))
@settings(deadline=None, max_examples=25)
def test_no_other_temperature_has_a_lower_log_loss(seed: int) -> None:
    labels, probabilities = drawn(seed)
    best = log_loss(labels, metrics.scale_temperature(probabilities, metrics.fit_temperature(labels, probabilities)))
    for temperature in np.geomspace(0.02, 50, 25):
        assert best <= log_loss(labels, metrics.scale_temperature(probabilities, temperature)) + 1e-7


@given(st.integers(0, 5000), st.floats(0.1, 10))
@settings(deadline=None, max_examples=40)
def test_scaling_keeps_rows_sound_and_their_order(seed: int, temperature: float) -> None:
    _, probabilities = drawn(seed)
    scaled = metrics.scale_temperature(probabilities, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(metrics.scale_temperature(scaled, 1 / temperature), probabilities, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_0_stay_finite(dtype: Any) -> None:
    certain = np.tile(np.array([1, 0], dtype=dtype), (20, 1))
    scaled = metrics.scale_temperature(certain, 2.0)
    assert np.isfinite(scaled).all()
    # One mistake in twenty: odds of 19 to 1 are the best, and the 0 stands for the least number of its type.
    gap = -np.log(float(np.finfo(dtype).smallest_subnormal))
    expected = min(gap / np.log(19), 50)
    assert metrics.fit_temperature([0] * 19 + [1], certain) == pytest.approx(expected, rel=1e-2)


def test_the_temperature_of_a_classifier_without_mistakes_is_the_coldest() -> None:
    assert metrics.fit_temperature([0, 1], [[0.6, 0.4], [0.3, 0.7]]) == pytest.approx(0.02, rel=0.01)
    assert metrics.fit_temperature([0, 0], [[1.0], [1.0]]) > 0


def test_unsound_settings_are_refused() -> None:
    rows = [[0.6, 0.4], [0.3, 0.7]]
    with pytest.raises(metrics.ArrayError, match="bins must be at least 1, but it is 0"):
        metrics.reliability([0, 1], rows, bins=0)
    with pytest.raises(metrics.ArrayError, match=r"weights must have shape \[2\]"):
        metrics.reliability([0, 1], rows, weights=[1.0])
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(metrics.ArrayError, match="temperature must be above 0"):
            metrics.scale_temperature(rows, temperature)
    with pytest.raises(metrics.ArrayError, match=r"shape \[N, C\]"):
        metrics.scale_temperature(rows[0], 2.0)
    with pytest.raises(metrics.ArrayError, match="sum to 1"):
        metrics.fit_temperature([0, 1], [[0.6, 0.6], [0.3, 0.7]])
