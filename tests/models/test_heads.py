"""Heads: one contract for all, and what each promises of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from wellai_exp import models
from wellai_exp.errors import SettingError
from wellai_exp.models import CosineHead, FittedHead, Head, LinearHead, MLPHead, Scaler, assemble
from wellai_exp.paths import shipped_dir

FILES = sorted((shipped_dir("conf") / "head").glob("*.yaml"))


def from_file(path: Path) -> Head:
    node = yaml.safe_load(path.read_text(encoding="utf-8"))
    node.pop("_space_", None)
    head: Head = getattr(models, node.pop("_target_").rsplit(".", 1)[-1])(**node)
    return head.bound([np.array([0, 0, 1, 1])])


def fitted(head: Head, dim: int = 7, classes: int = 4, seed: int = 0) -> FittedHead:
    """Give a head with random weights, as a fit would leave it."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=part.shape).astype(np.float32) for part in head.initial(1, dim, classes, seed)]
    scaler = Scaler.fit(head.scaling, rng.normal(2.0, 3.0, (50, dim)).astype(np.float32))
    kernel = np.asarray(head.class_vectors(weights), np.float32)[0].T
    bias = np.asarray(head.class_bias(weights), np.float32)[0, 0]
    return FittedHead(head, scaler, tuple(part[0] for part in head.hidden_weights(weights)), kernel, bias)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("scaling", ["standard", "unit", "none"])
def test_the_keras_layers_say_what_the_fitted_head_says(path: Path, scaling: str) -> None:
    import keras

    head = from_file(path)
    head = type(head)(**{**vars(head), "scaling": scaling})
    one = fitted(head)
    features = np.random.default_rng(1).normal(2.0, 3.0, (11, 7)).astype(np.float32)
    entrance = keras.Input((7,))
    model = keras.Model(entrance, one.attach(entrance))
    expected = one.probabilities(features)
    np.testing.assert_allclose(np.asarray(model(features)), expected, atol=1e-5)
    np.testing.assert_allclose(expected.sum(axis=1), 1.0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_stacked_logits_equal_those_fold_by_fold(path: Path) -> None:
    head = from_file(path)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=part.shape).astype(np.float32) for part in head.initial(3, 7, 4, 0)]
    features = rng.normal(size=(3, 5, 7)).astype(np.float32)
    stacked = np.asarray(head.logits(weights, features))
    for fold in range(3):
        alone = np.asarray(head.logits([part[fold : fold + 1] for part in weights], features[fold : fold + 1]))
        np.testing.assert_allclose(stacked[fold], alone[0], rtol=1e-5, atol=1e-5)


def test_the_start_is_the_same_for_every_fold_and_follows_the_seed() -> None:
    first, second = (MLPHead().initial(2, 5, 3, seed) for seed in (0, 1))
    np.testing.assert_array_equal(first[0][0], first[0][1])
    assert not np.array_equal(first[0], second[0])


def test_the_penalty_leaves_biases_free() -> None:
    weights = LinearHead().initial(2, 3, 4, 0)
    weights[0][:] = 2.0
    weights[1][:] = 100.0
    assert float(LinearHead().penalty(weights)) == pytest.approx(0.5 * 4.0 * 2 * 3 * 4)


def test_the_gradient_of_the_penalty_is_each_kernel_itself() -> None:
    import tensorflow as tf

    weights = [tf.Variable(weight) for weight in MLPHead().initial(2, 3, 4, 0)]
    with tf.GradientTape() as tape:
        value = 3.0 * MLPHead().penalty(weights)
    gradients = tape.gradient(value, weights)
    for kernel, bias in ((0, 1), (2, 3)):
        np.testing.assert_allclose(gradients[kernel], 3.0 * weights[kernel], rtol=1e-6)
        assert gradients[bias] is None


def test_cosine_logits_stay_within_the_scale() -> None:
    one = fitted(CosineHead(scale=5.0, scaling="none"))
    logits = one.logits(1000 * np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32)) - one.bias
    assert np.abs(logits).max() <= 5.0 + 1e-4


def test_a_constant_feature_stays_finite_under_standard_scaling() -> None:
    features = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    features[:, 1] = 4.0
    scaled = Scaler.fit("standard", features)(features)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), [1.0, 0.0, 1.0], atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("learning_rate", 0.0), ("l2", -1.0), ("steps", 0), ("label_smoothing", 1.0), ("scaling", "log")],
)
def test_a_bad_setting_is_named(setting: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"head\.{setting}={value}"):
        LinearHead(**{setting: value})  # type: ignore[arg-type]


def test_assemble_joins_backbone_and_head() -> None:
    import keras

    entrance = keras.Input((8, 8, 3), name="image")
    backbone = keras.Model(entrance, keras.layers.GlobalAveragePooling2D()(entrance))
    one = fitted(LinearHead(), dim=3)
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    model = assemble(lambda: backbone, one)
    np.testing.assert_allclose(np.asarray(model(images)), one.probabilities(images.mean(axis=(1, 2))), atol=1e-5)
