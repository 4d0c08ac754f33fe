"""Laws of class weights, batch plans and what is done to the trained layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import (
    BatchPlan,
    ClassBalancedBatches,
    ClassWeight,
    EffectiveNumber,
    LogitAdjustment,
    PowerWeight,
    Strategy,
    TauNorm,
)

counts_of_classes = st.lists(st.integers(0, 3000), min_size=1, max_size=30).filter(any).map(np.array)
present_classes = st.lists(st.integers(1, 3000), min_size=2, max_size=30).map(np.array)
weightings = st.one_of(
    st.sampled_from(["balanced", "sqrt"]).map(ClassWeight),
    st.floats(0, 0.99999).map(EffectiveNumber),
    st.builds(PowerWeight, power=st.floats(0, 4), smoothing=st.floats(0, 100)),
)


@given(weightings, counts_of_classes)
def test_mean_over_images_is_one_and_rarer_weighs_no_less(strategy: Strategy, counts: npt.NDArray[np.int64]) -> None:
    weight = strategy.class_weight(counts).astype(np.float64)
    assert np.isclose((weight * counts).sum() / counts.sum(), 1, rtol=1e-5)
    assert (weight[counts == 0] == 0).all()
    ordered = weight[np.argsort(counts)][(counts == 0).sum() :]
    assert (np.diff(ordered) <= 1e-5 * ordered[:-1]).all()


@given(present_classes)
@settings(deadline=None)
def test_balanced_equals_scikit_learn(counts: npt.NDArray[np.int64]) -> None:
    labels = np.repeat(np.arange(counts.size), counts)
    reference = compute_class_weight("balanced", classes=np.arange(counts.size), y=labels)
    np.testing.assert_allclose(ClassWeight().class_weight(counts), reference, rtol=1e-5)


@given(present_classes)
def test_members_meet_where_their_formulas_do(counts: npt.NDArray[np.int64]) -> None:
    inverse = ClassWeight("balanced").class_weight(counts)
    np.testing.assert_allclose(PowerWeight(1.0, 0.0).class_weight(counts), inverse, rtol=1e-5)
    np.testing.assert_allclose(
        PowerWeight(0.5, 0.0).class_weight(counts), ClassWeight("sqrt").class_weight(counts), rtol=1e-5
    )
    np.testing.assert_allclose(EffectiveNumber(1 - 1e-9).class_weight(counts), inverse, rtol=1e-4)
    for even in (PowerWeight(0.0), EffectiveNumber(0.0), Strategy()):
        np.testing.assert_allclose(even.class_weight(counts), 1.0, rtol=1e-5)


def test_effective_number_by_hand() -> None:
    raw = np.array([(1 - 0.9) / (1 - 0.9**n) for n in (1, 2, 50)])
    weight = EffectiveNumber(0.9).class_weight([1, 2, 50])
    np.testing.assert_allclose(weight / weight[0], raw / raw[0], rtol=1e-5)


@given(counts_of_classes, st.floats(0, 1))
def test_batch_probabilities(counts: npt.NDArray[np.int64], power: float) -> None:
    plan = ClassBalancedBatches(power, batch_size=32).batches(counts)
    assert plan is not None
    assert plan.batch_size == 32
    present = counts > 0
    expected = np.where(present, counts.astype(float) ** (1 - power), 0)
    np.testing.assert_allclose(plan.probability, expected / expected.sum())
    uniform = ClassBalancedBatches(1.0).batches(counts)
    assert uniform is not None
    np.testing.assert_allclose(uniform.probability[present], 1 / present.sum())


@pytest.mark.parametrize(("probability", "size"), [([0.5, 0.4], 8), ([1.5, -0.5], 8), ([0.5, 0.5], 0)])
def test_bad_batch_plan(probability: list[float], size: int) -> None:
    with pytest.raises(ValueError, match="batch plan"):
        BatchPlan(np.array(probability), size)


def layer(n_classes: int, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(11, n_classes)).astype(np.float32), rng.normal(size=n_classes).astype(np.float32)


@given(counts_of_classes)
def test_tau_zero_changes_nothing(counts: npt.NDArray[np.int64]) -> None:
    kernel, bias = layer(counts.size)
    for strategy in (TauNorm(0.0), LogitAdjustment(0.0)):
        new_kernel, new_bias = strategy.finalise(kernel, bias, counts)
        np.testing.assert_array_equal(new_kernel, kernel)
        np.testing.assert_array_equal(new_bias, bias)


@given(present_classes, st.floats(0, 3))
def test_logit_adjustment_by_its_formula(counts: npt.NDArray[np.int64], tau: float) -> None:
    kernel, bias = layer(counts.size)
    new_kernel, new_bias = LogitAdjustment(tau).finalise(kernel, bias, counts)
    np.testing.assert_array_equal(new_kernel, kernel)
    np.testing.assert_allclose(new_bias, bias - tau * np.log(counts / counts.sum()), rtol=1e-4, atol=1e-5)


def test_logit_adjustment_treats_an_absent_class_as_the_rarest() -> None:
    kernel, bias = layer(3)
    _, new_bias = LogitAdjustment(1.0).finalise(kernel, bias, [90, 10, 0])
    assert np.isclose(new_bias[2] - bias[2], new_bias[1] - bias[1], atol=1e-5)


@given(st.floats(0, 3))
def test_tau_norm_by_its_formula(tau: float) -> None:
    kernel, bias = layer(4)
    kernel[:, 2] = 0
    new_kernel, new_bias = TauNorm(tau).finalise(kernel, bias, [5, 4, 3, 2])
    norm = np.linalg.norm(kernel, axis=0)
    others = [0, 1, 3]
    np.testing.assert_allclose(np.linalg.norm(new_kernel, axis=0)[others], norm[others] ** (1 - tau), rtol=1e-4)
    np.testing.assert_array_equal(new_kernel[:, 2], 0)
    np.testing.assert_array_equal(new_bias, bias)


def test_a_layer_that_overflows_fails_the_trial() -> None:
    kernel = np.full((3, 2), 1e-30, np.float32)
    with pytest.raises(TrialFailed, match="tau_norm"):
        TauNorm(3.0).finalise(kernel, np.zeros(2), [1, 2])
