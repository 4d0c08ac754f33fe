"""Batch normalisation folded into convolutions: the same function of the same variables."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from wellai_exp.models import Application, Fusion, SmallConvNet, folded, set_trainable

SHAPE = (12, 12, 3)


def _images(n: int = 4) -> Any:
    return np.random.default_rng(0).uniform(0, 255, (n, *SHAPE)).astype(np.float32)


def _unsettled(model: Any) -> Any:
    """Give every variable a value that a folding could get wrong: no zeros, no ones."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        low = 0.5 if "variance" in variable.path or "gamma" in variable.path else -0.5
        variable.assign(rng.uniform(low, low + 1, variable.shape))
    return model


def _network(*layers: Any) -> Any:
    image = keras.Input(SHAPE)
    seen = keras.layers.Rescaling(1 / 255)(image)
    for layer in layers:
        seen = layer(seen)
    return _unsettled(keras.Model(image, keras.layers.GlobalAveragePooling2D()(seen)))


def _norms(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _agree(model: Any, images: Any) -> None:
    expected = model(images, training=False)
    for fixed in (False, True):
        np.testing.assert_allclose(folded(model, fixed=fixed)(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("convolution", [keras.layers.Conv2D, keras.layers.DepthwiseConv2D])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("strides, padding, dilation", [(1, "same", 1), (2, "valid", 1), (1, "valid", 2)])
@pytest.mark.parametrize("scale, center", [(True, True), (False, False)])
def test_the_function_stays(
    convolution: Any, use_bias: bool, strides: int, padding: str, dilation: int, scale: bool, center: bool
) -> None:
    own = {"filters": 5} if convolution is keras.layers.Conv2D else {"depth_multiplier": 2}
    shared = {"strides": strides, "padding": padding, "dilation_rate": dilation, "use_bias": use_bias}
    model = _network(
        convolution(kernel_size=3, **own, **shared),
        keras.layers.BatchNormalization(scale=scale, center=center),
        keras.layers.ReLU(6.0),
    )
    assert not _norms(folded(model))
    _agree(model, _images())


@pytest.mark.parametrize(
    "backbone",
    [
        Application("MobileNet", size=64, alpha=0.25, weights=None),
        Application("MobileNetV2", size=64, alpha=0.35, weights=None),
        Application("MobileNetV3Small", size=64, alpha=0.75, weights=None),
        Application("EfficientNetV2B0", size=64, weights=None),
        pytest.param(Application("NASNetMobile", size=64, weights=None), marks=pytest.mark.slow),
        pytest.param(Application("ResNet50", size=64, weights=None), marks=pytest.mark.slow),
        SmallConvNet(size=64),
        Fusion(
            (
                Application("MobileNet", size=64, alpha=0.25, weights=None),
                Application("MobileNetV2", size=32, alpha=0.35, weights=None),
            )
        ),
    ],
    ids=lambda backbone: backbone.name,
)
def test_every_network_stays_the_same(backbone: Any) -> None:
    model = backbone.build()
    rng = np.random.default_rng(2)
    for norm in _norms(model):
        for variable in norm.variables:
            variable.assign(variable + rng.uniform(0.0, 0.1, variable.shape))
    images = rng.integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(model(images, training=False))
    assert len(_norms(folded(model))) < len(_norms(model))
    np.testing.assert_allclose(folded(model)(images), expected, atol=1e-4 * np.abs(expected).max())


def test_weights_are_shared() -> None:
    model = _network(keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization())
    quick, images = folded(model), _images()
    before = np.asarray(quick(images))
    for variable in model.variables:
        variable.assign(variable * 1.5)
    assert np.abs(np.asarray(quick(images)) - before).max() > 0.1
    np.testing.assert_allclose(quick(images), model(images, training=False), rtol=1e-4)


def test_gradients_are_those_of_the_network() -> None:
    model = _network(keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.ReLU())
    set_trainable(model, None, freeze_batch_norm=True)
    images, quick = _images(), folded(model, learning=True)
    assert not _norms(quick)
    learnt = [variable.value for variable in model.trainable_variables]

    def gradients(network: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(network(images, training=True)))
        return tape.gradient(loss, learnt)

    for own, expected in zip(gradients(quick), gradients(model), strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-4)


def test_what_learns_statistics_is_left_alone() -> None:
    model = _network(
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(trainable=False),
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
    )
    assert len(_norms(folded(model, learning=True))) == 1
    images = _images()
    statistics = model.layers[-2].moving_mean.numpy().copy()
    np.testing.assert_allclose(
        folded(model, learning=True)(images, training=True), model(images, training=True), rtol=1e-4, atol=1e-5
    )
    assert np.abs(model.layers[-2].moving_mean.numpy().copy() - statistics).max() > 0


def test_a_convolution_that_others_read_is_left_alone() -> None:
    image = keras.Input(SHAPE)
    convolved = keras.layers.Conv2D(4, 3)(image)
    summed = keras.layers.Add()([convolved, keras.layers.BatchNormalization()(convolved)])
    model = _unsettled(keras.Model(image, keras.layers.GlobalMaxPooling2D()(summed)))
    assert len(_norms(folded(model))) == 1
    _agree(model, _images())


def test_a_layer_that_is_called_twice_is_left_alone() -> None:
    norm = keras.layers.BatchNormalization()
    model = _network(keras.layers.Conv2D(3, 3), norm, keras.layers.Conv2D(3, 3), norm)
    assert _norms(folded(model)) == [norm]
    _agree(model, _images())


def test_an_activation_before_the_normalisation_stays_between() -> None:
    model = _network(keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.BatchNormalization())
    assert len(_norms(folded(model))) == 1
    _agree(model, _images())


def test_half_precision_is_left_alone() -> None:
    model = _network(
        keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16"), keras.layers.BatchNormalization(dtype="mixed_bfloat16")
    )
    assert len(_norms(folded(model))) == 1


def test_models_within_models_are_folded_but_for_sequential_ones() -> None:
    def within() -> Any:
        seen = image = keras.Input((12, 12, 3))
        for layer in (keras.layers.Conv2D(3, 3, padding="same"), keras.layers.BatchNormalization()):
            seen = layer(seen)
        return keras.Model(image, seen)

    model = _network(within(), keras.Sequential([within(), keras.layers.ReLU()]), keras.layers.Conv2D(2, 1))
    assert (len(_norms(model)), len(_norms(folded(model)))) == (2, 1)
    _agree(model, _images())


def test_what_is_no_functional_model_is_given_back() -> None:
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    assert folded(model) is model


def test_a_model_that_is_called_twice_is_folded_once() -> None:
    single = _network(keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization())
    image = keras.Input(SHAPE)
    both = keras.layers.Average()([single(image), single(keras.ops.flip(image, axis=2))])
    model = keras.Model(image, both)
    assert not _norms(folded(model))
    _agree(model, _images())
