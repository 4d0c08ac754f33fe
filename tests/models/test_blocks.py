"""How networks fall into blocks, and what stands still when blocks are frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wellai_exp.errors import SettingError
from wellai_exp.models import Application, Backbone, Fusion, SmallConvNet
from wellai_exp.models._blocks import blocks, set_trainable

MOBILENET = Application("MobileNet", size=32, weights=None, alpha=0.25)
SMALL = SmallConvNet(size=32, width=4)

# Name: blocks, and the beginning that all layers of the last block but one, and only they, share.
NETWORKS: dict[str, tuple[Backbone, int, tuple[str, ...]]] = {
    "mobilenet": (MOBILENET, 14, ("conv_dw_12", "conv_pw_12")),
    "mobilenet_v2": (Application("MobileNetV2", size=32, weights=None, alpha=0.35), 19, ("block_16_",)),
    "mobilenet_v3": (Application("MobileNetV3Small", size=32, weights=None), 13, ("expanded_conv_10_",)),
    "small_conv": (SMALL, 5, ("conv2d", "batch_normalization")),
    "resnet50": (Application("ResNet50", size=32, weights=None), 17, ("conv5_block2_",)),
    "efficientnet": (Application("EfficientNetV2B0", size=32, weights=None), 23, ("block6h_",)),
    "convnext": (Application("ConvNeXtTiny", size=32, weights=None), 22, ("convnext_tiny_stage_3_block_1_",)),
    "resnet50_v2": (Application("ResNet50V2", size=32, weights=None), 17, ("conv5_block2_",)),
    "densenet": (Application("DenseNet121", size=32, weights=None), 62, ("conv5_block15_",)),
    "nasnet": (Application("NASNetMobile", size=32, weights=None), 17, ("adjust_", "normal_", "separable_")),
}
SLOW = {"resnet50_v2", "densenet", "nasnet"}
ALL_NETWORKS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NETWORKS]


def names(block: list[Any]) -> list[str]:
    return [layer.name for layer in block]


def values(variables: list[Any]) -> list[Any]:
    return [np.array(variable.numpy()) for variable in variables]


def batch_norms(model: Any) -> list[Any]:
    import keras

    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def learn(model: Any, variables: list[Any]) -> None:
    """Do one large plain step on random images, in training mode."""
    import keras
    import tensorflow as tf

    size = model.input_shape[1]
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.float32)
    optimizer = keras.optimizers.SGD(10.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 2)
    optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)


@pytest.mark.parametrize("name", ALL_NETWORKS)
def test_a_network_falls_into_the_blocks_that_its_layers_name(name: str) -> None:
    backbone, expected, prefix = NETWORKS[name]
    model = backbone.build()
    cut = blocks(model)
    assert len(cut) == expected
    assert all(layer.startswith(prefix) for layer in names(cut[-2]))
    flat = [layer for block in cut for layer in block]
    assert len({id(layer) for layer in flat}) == len(flat)
    assert {id(weight) for layer in flat for weight in layer.weights} == {id(weight) for weight in model.weights}


def test_a_stem_a_middle_block_and_the_normalisation_after_them() -> None:
    cut = blocks(MOBILENET.build())
    assert names(cut[0]) == ["conv1", "conv1_bn"]
    assert names(cut[3]) == ["conv_dw_3", "conv_dw_3_bn", "conv_pw_3", "conv_pw_3_bn"]
    cut = blocks(NETWORKS["mobilenet_v2"][0].build())
    assert names(cut[-1]) == ["Conv_1", "Conv_1_bn"]
    assert len(cut[8]) == 6
    assert all(layer.startswith("block_7_") for layer in names(cut[8]))


def test_layers_without_a_name_of_a_block_go_with_the_normalisation_that_follows() -> None:
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.GroupNormalization(2),
            layers.ReLU(),
            layers.SeparableConv2D(4, 3),
            layers.Flatten(),
            layers.Dense(5),
            layers.LayerNormalization(),
        ]
    )
    kinds = [[type(layer).__name__ for layer in block] for block in blocks(model)]
    assert kinds == [["Conv2D", "GroupNormalization"], ["SeparableConv2D"], ["Dense", "LayerNormalization"]]


def test_the_blocks_of_a_fusion_are_joined_from_the_output_on() -> None:
    model = Fusion((MOBILENET, SMALL)).build()
    members = [layer for layer in model.layers if layer.name.startswith("member_")]
    long, short = (blocks(member) for member in members)
    joined = blocks(model)
    assert len(joined) == 14
    for back in range(1, 6):
        assert joined[-back] == long[-back] + short[-back]
    assert joined[0] == long[0]


@pytest.mark.parametrize(
    ("backbone", "unfrozen"), [(SMALL, 2), (Fusion((SMALL, SmallConvNet(size=32, width=8))), 1)], ids=["one", "fusion"]
)
def test_only_the_last_blocks_move(backbone: Backbone, unfrozen: int) -> None:
    model = backbone.build()
    learning = set_trainable(model, unfrozen, freeze_batch_norm=False)
    variables = [variable for variable, _ in learning]
    assert [id(variable) for variable in variables] == [id(variable) for variable in model.trainable_variables]
    assert {depth for _, depth in learning} == set(range(unfrozen))
    cut = blocks(model)
    still = [weight for block in cut[:-unfrozen] for layer in block for weight in layer.weights]
    moving = [weight for block in cut[-unfrozen:] for layer in block for weight in layer.weights]
    before, moved = values(still), values(moving)
    learn(model, variables)
    for old, weight in zip(before, still, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
    # Statistics included, which only a normalisation in training mode changes.
    assert all((old != weight.numpy()).any() for old, weight in zip(moved, moving, strict=True))


def test_frozen_batch_normalisation_neither_learns_nor_uses_the_batch() -> None:
    model = SMALL.build()
    variables = [variable for variable, _ in set_trainable(model, None, freeze_batch_norm=True)]
    assert [variable.name for variable in variables] == ["kernel"] * 5
    size = SMALL.size
    images = np.random.default_rng(1).integers(0, 256, (3, size, size, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(images, training=True), model(images, training=False))
    before = [values(layer.weights) for layer in batch_norms(model)]
    kernels = values(variables)
    learn(model, variables)
    assert len(before) == 5
    for old, layer in zip(before, batch_norms(model), strict=True):
        for one, weight in zip(old, layer.weights, strict=True):
            np.testing.assert_array_equal(one, weight.numpy())
    assert all((old != variable.numpy()).any() for old, variable in zip(kernels, variables, strict=True))


def test_what_was_frozen_before_counts_no_longer() -> None:
    model = SMALL.build()
    model.trainable = False
    set_trainable(model, 1, freeze_batch_norm=True)
    everything = set_trainable(model, None, freeze_batch_norm=False)
    assert [depth for _, depth in everything] == [depth for depth in (4, 3, 2, 1, 0) for _ in range(3)]
    assert set_trainable(model, 0, freeze_batch_norm=False) == []


@pytest.mark.parametrize("unfrozen", [6, -1])
def test_more_blocks_than_there_are_is_refused(unfrozen: int) -> None:
    with pytest.raises(SettingError, match=rf"^regime\.unfrozen={unfrozen}: small_conv_4x1_32 has 5 blocks; set"):
        set_trainable(SMALL.build(), unfrozen, freeze_batch_norm=False)
