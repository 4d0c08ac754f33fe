"""Grad-CAM: on networks whose weights say where a class is seen, and against the closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from wellai_exp.errors import SettingError
from wellai_exp.metrics import ArrayError
from wellai_exp.models import (
    Application,
    Backbone,
    FittedHead,
    Fusion,
    HierarchicalHead,
    LinearHead,
    Scaler,
    SmallConvNet,
    assemble,
    grad_cam,
)

Floats = npt.NDArray[np.float32]
RED, BLUE = (255.0, 0.0, 0.0), (0.0, 0.0, 255.0)


def see_colours(model: Any) -> Any:
    """Make channel 0 of the last map respond to red and channel 1 to blue, where they are, and the rest to nothing."""
    import keras

    first = True
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Conv2D):
            kernel = np.zeros(layer.kernel.shape, np.float32)
            entering = np.array([[1, -1], [0, 0], [-1, 1]]) if first else np.eye(2)
            kernel[1, 1, : len(entering), :2] = entering
            layer.set_weights([kernel])
            first = False
    return model


def scene(left: tuple[float, ...], right: tuple[float, ...], size: int = 64) -> Floats:
    """Draw one blob in the middle of each half of a grey image, [1, S, S, 3]."""
    image = np.full((1, size, size, 3), 128.0, np.float32)
    rows = slice(3 * size // 8, 5 * size // 8)
    image[:, rows, size // 8 : 3 * size // 8] = left
    image[:, rows, 5 * size // 8 : 7 * size // 8] = right
    return image


def share_on_the_left(heat: Floats) -> float:
    return float(heat[..., : heat.shape[-1] // 2].sum() / heat.sum())


def head_for(dim: int, kernel: npt.ArrayLike, head: Any = None) -> FittedHead:
    """Give a head without scaling whose kernel's first rows are given, the rest zero."""
    given = np.asarray(kernel, np.float32)
    weights = np.zeros((dim, given.shape[1]), np.float32)
    weights[: len(given)] = given
    scaler = Scaler("none", np.zeros(dim, np.float32), np.ones(dim, np.float32))
    return FittedHead(head or LinearHead(scaling="none"), scaler, (), weights, np.zeros(given.shape[1], np.float32))


def colour_model(mirrored: bool = False, pooling: str = "avg") -> Any:
    backbone = SmallConvNet(64, 4, pooling=pooling)
    dim = 24 if pooling == "avg" else 48
    return assemble(lambda: see_colours(backbone.build()), head_for(dim, 3 * np.eye(2)), mirrored)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pooling", ["avg", "avg_max"])
def test_the_map_lies_on_the_blob_of_its_class(mirrored: bool, pooling: str) -> None:
    model = colour_model(mirrored, pooling)
    images = np.concatenate([scene(RED, BLUE), scene(RED, BLUE), scene(BLUE, RED)])
    heat = grad_cam(model, images, [0, 1, 0])
    assert heat.shape == (3, 64, 64)
    assert heat.dtype == np.float32
    assert [round(share_on_the_left(each)) for each in heat] == [1, 0, 0]
    assert max(share_on_the_left(heat[1]), 1 - share_on_the_left(heat[0])) < 0.1
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1.0)
    assert heat.min() >= 0


def test_both_members_of_a_fusion_are_looked_at() -> None:
    """Member 0 alone knows red, member 1 alone blue: each class's map must come from its own."""
    fusion = Fusion((SmallConvNet(64, 4, pooling="avg"), SmallConvNet(32, 4, pooling="avg")))
    kernel = np.zeros((48, 2))
    kernel[0, 0] = kernel[24 + 1, 1] = 3.0

    def build() -> Any:
        model = fusion.build()
        for layer in model.layers:
            if layer.name.startswith("member"):
                see_colours(layer)
        return model

    heat = grad_cam(assemble(build, head_for(48, kernel)), np.repeat(scene(RED, BLUE), 2, axis=0), [0, 1])
    assert share_on_the_left(heat[0]) > 0.9
    # The smaller member's map has two positions a side, and interpolation carries an eighth over the middle.
    assert share_on_the_left(heat[1]) < 0.15


def test_on_average_pooling_and_a_linear_layer_it_is_the_class_activation_map() -> None:
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    backbone = SmallConvNet(64, 4, pooling="avg").build()
    kernel = rng.normal(size=(24, 5)).astype(np.float32)
    images = rng.uniform(0, 255, (3, 64, 64, 3)).astype(np.float32)
    maps = np.asarray(keras.Model(backbone.input, backbone.layers[-1].input)(images))
    classes = np.array([4, 0, 2])
    centred = kernel - kernel.mean(axis=1, keepdims=True)
    expected = np.maximum(np.einsum("nhwk,kn->nhw", maps, centred[:, classes]), 0)
    resized = np.asarray(keras.ops.image.resize(expected[..., None], (64, 64), interpolation="bilinear"))[..., 0]
    resized = resized / np.maximum(resized.max(axis=(1, 2), keepdims=True), 1e-12)
    assert (resized.max(axis=(1, 2)) > 0).sum() > 1
    heat = grad_cam(assemble(lambda: backbone, head_for(24, kernel)), images, classes)
    np.testing.assert_allclose(heat, resized, atol=1e-4)


@pytest.mark.parametrize("shift", [0.0, 40.0])
def test_what_is_added_to_all_logits_changes_no_map(shift: float) -> None:
    """The softmax does not see it; with 40 the network is also sure to the last bit of float32."""
    kernel = np.array([[3.0, 0.0], [0.0, 3.0]]) * (1 + shift) + shift
    model = assemble(lambda: see_colours(SmallConvNet(64, 4, pooling="avg").build()), head_for(24, kernel))
    plain = grad_cam(colour_model(), scene(RED, BLUE), [0])
    np.testing.assert_allclose(grad_cam(model, scene(RED, BLUE), [0]), plain, atol=1e-4)


def test_a_hierarchical_head_is_explained_as_the_linear_layer_it_is() -> None:
    head = HierarchicalHead(scaling="none").bound([np.array([0, 0, 1])])
    fitted = head_for(24, [[3.0, 2.0, 0.0], [0.0, 0.0, 3.0]], head)
    model = assemble(lambda: see_colours(SmallConvNet(64, 4, pooling="avg").build()), fitted)
    heat = grad_cam(model, np.repeat(scene(RED, BLUE), 3, axis=0), [0, 1, 2])
    assert [round(share_on_the_left(each)) for each in heat] == [1, 1, 0]


def test_a_class_that_nothing_speaks_for_has_an_empty_map() -> None:
    heat = grad_cam(colour_model(), scene(RED, RED), [1])
    np.testing.assert_array_equal(heat, 0.0)


def test_the_map_that_is_explained_is_the_last_one_not_that_of_a_side_branch() -> None:
    """Squeeze-and-excitation pools an early map too (Hu et al., CVPR 2018)."""
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3))
    early = layers.Conv2D(4, 1, name="early")(image)
    scale = layers.Reshape((1, 1, 4))(layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D()(early)))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(early)
    late = layers.MaxPooling2D(4)(layers.Multiply()([early, scale]) + squeezed)
    answer = layers.Softmax()(layers.Dense(3)(layers.GlobalAveragePooling2D()(late)))
    from wellai_exp.models._grad_cam import _opened

    opened = _opened(keras.Model(image, answer))
    assert [tuple(output.shape) for output in opened.outputs] == [(None, 3), (None, 4, 4, 4)]


def test_a_saved_model_is_explained_as_it_was_before(tmp_path: Path) -> None:
    import keras

    model = colour_model(mirrored=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    image = scene(RED, BLUE)
    np.testing.assert_allclose(grad_cam(loaded, image, [0]), grad_cam(model, image, [0]), atol=1e-6)


def test_the_model_is_left_as_it_was() -> None:
    model = colour_model()
    before = [weight.numpy().copy() for weight in model.weights]
    answers = np.asarray(model(scene(RED, BLUE)))
    grad_cam(model, scene(RED, BLUE), [0])
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)
    np.testing.assert_array_equal(np.asarray(model(scene(RED, BLUE))), answers)
    # Called a second time, a layer would have two outputs and refuse to name one.
    assert all(layer.output is not None for layer in model.layers)


def test_rows_do_not_depend_on_their_batch() -> None:
    model = colour_model()
    images = np.random.default_rng(0).uniform(0, 255, (18, 64, 64, 3)).astype(np.float32)
    classes = np.arange(18) % 2
    heat = grad_cam(model, images, classes)
    np.testing.assert_allclose(grad_cam(model, images[17:], classes[17:]), heat[17:], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "classes", "words"),
    [
        ((2, 64, 64, 3), [0], "number of classes"),
        ((1, 32, 32, 3), [0], r"\[N, 64, 64, 3\]"),
        ((1, 64, 64, 3), [2], "below the number of classes"),
    ],
)
def test_images_and_classes_that_do_not_fit_are_refused(shape: tuple[int, ...], classes: list[int], words: str) -> None:
    with pytest.raises(ArrayError, match=words):
        grad_cam(colour_model(), np.zeros(shape, np.float32), classes)


def test_a_model_without_a_map_is_refused() -> None:
    import keras

    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Softmax()(keras.layers.Dense(2)(keras.layers.Flatten()(image))))
    with pytest.raises(SettingError, match="no feature map"):
        grad_cam(model, np.zeros((1, 4, 4, 3), np.float32), [0])


@pytest.mark.slow
@pytest.mark.parametrize("application", ["MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny"])
def test_the_last_map_of_a_real_network_is_found(application: str) -> None:
    from wellai_exp.models._grad_cam import _opened

    backbone: Backbone = Application(application, size=64, weights=None)
    network = backbone.build()
    model = assemble(lambda: network, head_for(int(network.output_shape[-1]), np.ones((1, 2))))
    (features,) = _opened(model).outputs[1:]
    assert tuple(features.shape[1:3]) == (2, 2)
    heat = grad_cam(model, np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)), [0, 1])
    assert np.isfinite(heat).all()
