"""The supervised contrastive loss against equation 2 written out, and the warm-up's settings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import SettingError
from wellai_exp.training._contrastive import ContrastiveWarmUp, anchors, projection, supervised_contrastive_loss

Floats = npt.NDArray[np.float32]


def features(n: int, seed: int = 0, scale: float = 1.0) -> Floats:
    return np.random.default_rng(seed).normal(scale=scale, size=(n, 5)).astype(np.float32)


def one_hot(labels: list[int], classes: int = 4) -> Floats:
    return np.eye(classes, dtype=np.float32)[labels]


def written_out(rows: Floats, labels: list[int], temperature: float) -> list[float]:
    """Equation 2, term by term."""
    z = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        denominator = sum(math.exp(z[i] @ z[a] / temperature) for a in others)
        terms = [math.log(math.exp(z[i] @ z[p] / temperature) / denominator) for p in positives]
        losses.append(-sum(terms) / len(terms) if terms else 0.0)
    return losses


@settings(max_examples=30)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    temperature=st.sampled_from([0.05, 0.1, 1.0, 10.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_the_loss_is_equation_2(labels: list[int], temperature: float, scale: float, seed: int) -> None:
    rows = features(len(labels), seed, scale)
    losses = np.asarray(supervised_contrastive_loss(rows, one_hot(labels), temperature))
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses, written_out(rows, labels, temperature), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(anchors(one_hot(labels))), [labels.count(one) > 1 for one in labels])


def test_an_image_of_no_class_is_a_negative_and_no_anchor() -> None:
    labels = one_hot([0, 0, 1])
    labels[2] = 0.0
    losses = np.asarray(supervised_contrastive_loss(features(3), labels, 0.5))
    np.testing.assert_allclose(losses, written_out(features(3), [0, 0, 1], 0.5), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(anchors(labels)), [1, 1, 0])


def test_a_sharp_temperature_and_a_row_of_zeros_keep_loss_and_gradient_finite() -> None:
    import tensorflow as tf

    rows = features(4)
    rows[1], rows[3] = 0.0, rows[2]
    held = tf.Variable(rows)
    with tf.GradientTape() as tape:
        loss = supervised_contrastive_loss(held, one_hot([0, 0, 1, 2]), 1e-3)
    assert np.isfinite(np.asarray(loss)).all()
    assert np.isfinite(np.asarray(tape.gradient(loss, held))).all()


def test_a_traced_loss_takes_batches_of_any_size() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 5)), tf.TensorSpec((None, 4))])  # type: ignore[untyped-decorator]
    def traced(rows: Any, labels: Any) -> Any:
        return supervised_contrastive_loss(rows, labels, 0.1), anchors(labels)

    for labels in ([0, 1, 0], [2, 2, 1, 1, 3]):
        losses, counted = traced(features(len(labels)), one_hot(labels))
        np.testing.assert_allclose(losses, written_out(features(len(labels)), labels, 0.1), rtol=1e-4, atol=1e-5)
        assert counted.shape == (len(labels),)


def test_steps_downhill_draw_classes_together() -> None:
    import tensorflow as tf

    held, labels = tf.Variable(features(8)), one_hot([0, 1] * 4)
    for _ in range(60):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(supervised_contrastive_loss(held, labels, 0.5))
        held.assign_sub(2.0 * tape.gradient(loss, held))
    z = held.numpy() / np.linalg.norm(held.numpy(), axis=1, keepdims=True)
    assert (z @ z.T)[::2, ::2].min() > 0.95
    assert (z @ z.T)[::2, 1::2].max() < 0.0


def test_the_projection_has_one_hidden_layer_and_follows_its_seed() -> None:
    first, again, other = (projection(6, 3, seed) for seed in (0, 0, 1))
    assert [weight.shape for weight in first.weights] == [(6, 6), (6,), (6, 3), (3,)]
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])
    assert np.asarray(first(np.zeros((2, 6), np.float32))).shape == (2, 3)


def test_the_warm_up_is_off_unless_asked_for() -> None:
    assert ContrastiveWarmUp() == ContrastiveWarmUp(epochs=0, temperature=0.1, projection=128)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", -1),
        ("epochs", 1.5),
        ("temperature", 0.0),
        ("temperature", math.nan),
        ("temperature", "warm"),
        ("projection", 0),
    ],
)
def test_a_bad_setting_is_named(setting: str, value: Any) -> None:
    with pytest.raises(SettingError, match=rf"regime\.contrastive\.{setting}={value}: .*set regime\.contrastive"):
        ContrastiveWarmUp(**{setting: value})
