"""What is written from one serving graph, and what the runtimes make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellai_exp.errors import DataError, SettingError, StoreError, TrialFailed
from wellai_exp.export import (
    Keras,
    LiteRT,
    Onnx,
    OnnxRuntime,
    Runtime,
    SavedModel,
    SavedModelFolder,
    Served,
    TfJsGraph,
    TFLite,
    at_size,
    random_operations,
    target_named,
    write_saved_model,
)
from wellai_exp.export._tfjs_process import with_scaled_kernels, with_vector_biases

SIZE, CLASSES = 32, 4


def network() -> Any:
    """Make a network whose convolution, batch normalisation and softmax have values of their own."""
    import keras

    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax")(x), name="tiny")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.linspace(-0.2, 0.2, 8))
            layer.moving_variance.assign(np.linspace(0.1, 0.4, 8))
    return model


def images(n: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.fixture(scope="module")
def served(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("served") / "saved_model"
    write_saved_model(model, folder)
    return Served(folder, model.name, SIZE, lambda n: images(n, seed=1))


@pytest.mark.parametrize(
    ("target", "runtime", "within"),
    [
        ("saved_model", SavedModel(None), 1e-5),
        ("tflite_float32", LiteRT(), 1e-5),
        ("tflite_float16", LiteRT(), 5e-3),
        ("tflite_dynamic", LiteRT(), 5e-2),
        ("tflite_int8", LiteRT(), 5e-2),
        ("onnx", OnnxRuntime(), 1e-5),
    ],
)
def test_a_runtime_gives_what_keras_gives(
    target: str, runtime: Runtime, within: float, served: Served, model: Any, tmp_path: Path
) -> None:
    shipped = target_named(target)
    path = tmp_path / shipped.path()
    assert shipped.write(served, path) > 0
    assert (shipped.format, shipped.name) == (runtime.format, target)
    pixels = images(5)
    expected = np.asarray(model(pixels.astype(np.float32), training=False))
    with runtime.open(path, SIZE) as opened:
        found, same = opened.classify(pixels), opened.classify(pixels.astype(np.float32))
    assert found.shape == (5, CLASSES)
    assert found.dtype == np.float32
    assert np.array_equal(found, same)
    assert np.abs(found - expected).max() < within


def test_int8_takes_pixels_as_they_are(served: Served, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "int8.tflite"
    # Dark photographs: a range chosen by them alone would end at 60.
    dark = Served(served.folder, served.name, SIZE, lambda n: images(n) // 4)
    TFLite("int8", calibration=8, float_share=0).write(dark, path)
    interpreter = Interpreter(model_path=str(path))
    (source,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], tuple(source["quantization"])) == (np.uint8, (1.0, 0))
    assert output["dtype"] == np.float32


def test_the_ends_of_an_int8_file_stay_in_float(served: Served, model: Any, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    pixels = images(20, seed=2)
    expected = np.asarray(model(pixels.astype(np.float32), training=False))
    found: dict[float, tuple[int, int, float]] = {}
    for share in (0, 0.01, 1):
        path = tmp_path / f"{share}.tflite"
        TFLite("int8", calibration=8, float_share=share).write(served, path)
        interpreter = Interpreter(model_path=str(path))
        assert interpreter.get_input_details()[0]["dtype"] == (np.float32 if share else np.uint8)
        whole = sum(tensor["dtype"] == np.int8 for tensor in interpreter.get_tensor_details())
        with LiteRT().open(path, SIZE) as opened:
            off = float(np.abs(opened.classify(pixels) - expected).max())
        found[share] = (path.stat().st_size, whole, off)
    sizes, wholes, errors = (list(each) for each in zip(*found.values(), strict=True))
    assert sizes[1] < sizes[2]
    assert wholes[0] > wholes[1] > wholes[2] >= 0
    assert errors[1] < errors[0]
    assert errors[2] < errors[0]


def test_keras_opens_its_own_file(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "model.keras")
    with Keras(None).open(tmp_path / "model.keras", SIZE) as opened:
        assert np.allclose(opened.classify(images(3)), model(images(3).astype(np.float32)), atol=1e-6)


def test_augmentation_is_gone_and_batch_normalisation_does_not_look_at_the_batch(model: Any, tmp_path: Path) -> None:
    import keras

    image = keras.Input((SIZE, SIZE, 3))
    augmented = keras.layers.RandomRotation(0.5)(keras.layers.RandomFlip()(image))
    whole = keras.Model(image, model(keras.layers.Dropout(0.5)(augmented)), name="augmented")
    write_saved_model(whole, tmp_path / "saved")
    assert random_operations(tmp_path / "saved") == []
    with SavedModel(None).open(tmp_path / "saved", SIZE) as opened:
        assert np.allclose(opened.classify(images(3)), model(images(3).astype(np.float32)), atol=1e-5)


def test_a_graph_that_draws_random_numbers_is_refused(model: Any, tmp_path: Path) -> None:
    import keras

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x + keras.random.normal((1, SIZE, SIZE, 3), seed=7)

    image = keras.Input((SIZE, SIZE, 3))
    with pytest.raises(TrialFailed, match=r"noisy draws random numbers when it predicts \(.*Random"):
        write_saved_model(keras.Model(image, model(Noise()(image)), name="noisy"), tmp_path / "saved")


def test_tensorflow_js_gets_a_graph_of_operations_that_it_knows(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "tfjs" / "uint8"
    megabytes = TfJsGraph("uint8").write(served, path)
    assert megabytes < SavedModelFolder().write(served, tmp_path / "saved")
    whole = json.loads((path / "model.json").read_text())
    assert list(whole["signature"]["inputs"]) == ["image"]
    assert list(whole["signature"]["outputs"]) == ["probabilities"]
    weights = {weight["name"]: weight for group in whole["weightsManifest"] for weight in group["weights"]}
    fused = [node for node in whole["modelTopology"]["node"] if node["op"] == "_FusedConv2D"]
    assert fused
    assert all(len(weights[node["input"][2]]["shape"]) == 1 for node in fused)
    # One scale a tensor: kernels alone are kept in 8 bits, and each of their channels is brought to one size before.
    kept = {len(weight["shape"]) for weight in weights.values() if "quantization" in weight}
    assert kept <= {2, 4} and 4 in kept
    assert all(weight["quantization"]["dtype"] == "uint8" for weight in weights.values() if "quantization" in weight)
    assert any(name.endswith("/channel_scale") for name in weights)


def test_a_kernel_is_the_product_of_what_is_kept_and_a_scale_for_each_channel() -> None:
    random = np.random.default_rng(0)
    uneven = random.normal(size=(3, 3, 16, 40)) * np.geomspace(1e-3, 1e3, 40)
    uneven[..., 7] = 0
    shared, small = random.normal(size=(64, 70)), random.normal(size=(1, 1, 4, 4))
    given = {"uneven": uneven, "shared": shared, "small": small, "turned": shared}
    nodes: list[dict[str, Any]] = [
        {"name": "conv", "op": "_FusedConv2D", "input": ["x", "uneven", "bias"]},
        {"name": "again", "op": "Conv2D", "input": ["y", "uneven"]},
        {"name": "dense", "op": "MatMul", "input": ["z", "shared"]},
        {"name": "sum", "op": "AddV2", "input": ["shared", "z"]},
        {"name": "little", "op": "Conv2D", "input": ["x", "small"]},
        {"name": "transposed", "op": "MatMul", "input": ["z", "turned"], "attr": {"transpose_b": {"b": True}}},
    ]
    groups = [[{"name": name, "data": data.copy()} for name, data in given.items()]]
    topology, (kept,) = with_scaled_kernels({"node": nodes}, groups)
    weights = {entry["name"]: entry["data"] for entry in kept}
    assert [node["input"][1] for node in nodes[:6]] == ["uneven/scaled"] * 2 + ["shared", "z", "small", "turned"]
    (product,) = (node for node in topology["node"] if node["op"] == "Mul")
    assert product["name"] == "uneven/scaled"
    np.testing.assert_allclose(weights[product["input"][0]] * weights[product["input"][1]], uneven, rtol=1e-12)
    largest = np.abs(weights["uneven"]).max(axis=(0, 1, 2))
    np.testing.assert_allclose(np.delete(largest, 7), 1)
    assert set(weights) == {*given, "uneven/channel_scale"}
    assert all(np.array_equal(weights[name], given[name]) for name in ("shared", "small", "turned"))


def test_the_bias_of_a_fused_convolution_becomes_a_vector() -> None:
    biases = {"four": np.arange(6.0).reshape(1, 1, 1, 6), "one": np.array(3.0), "plain": np.arange(6.0)}
    kernels = {"kernel": np.zeros((1, 1, 2, 6)), "depthwise": np.zeros((3, 3, 3, 2))}
    groups = [[{"name": name, "data": data} for name, data in {**biases, **kernels}.items()]]
    asked = [("_FusedConv2D", "kernel", bias) for bias in biases] + [("FusedDepthwiseConv2dNative", "depthwise", "one")]
    nodes = [
        {"name": f"conv {number}", "op": op, "input": ["x", *inputs]} for number, (op, *inputs) in enumerate(asked)
    ]
    _, (mended,) = with_vector_biases({"node": nodes}, groups)
    weights = {entry["name"]: entry["data"] for entry in mended}
    found = [weights[node["input"][2]].tolist() for node in nodes[: len(asked)]]
    assert found == [[0, 1, 2, 3, 4, 5], [3.0] * 6, [0, 1, 2, 3, 4, 5], [3.0] * 6]
    constants = {node["name"]: node for node in nodes[len(asked) :]}
    assert set(constants) == {node["input"][2] for node in nodes[: len(asked)]} - {"plain"}


def test_without_tensorflowjs_one_sentence_says_what_to_type(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wellai_exp.export._tfjs.find_spec", lambda name: None)
    with pytest.raises(TrialFailed, match=r"type pip install --no-deps tensorflowjs==4\.22\.0"):
        TfJsGraph().write(served, tmp_path / "tfjs")


def test_the_same_weights_take_images_of_another_size(model: Any) -> None:
    other = at_size(model, 48)
    assert other.input_shape == (None, 48, 48, 3)
    assert at_size(model, SIZE) is model
    # A plain colour looks the same at any size, but for the border that convolutions see.
    assert [np.array_equal(*pair) for pair in zip(model.get_weights(), other.get_weights(), strict=True)]
    flat = np.full((1, 48, 48, 3), 90.0, np.float32)
    assert np.allclose(other(flat), model(flat[:, :SIZE, :SIZE]), atol=0.05)


def test_a_network_of_a_fixed_size_takes_no_other() -> None:
    import keras

    image = keras.Input((8, 8, 3))
    fixed = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)), name="fixed")
    with pytest.raises(TrialFailed, match="fixed cannot take images of 16 px"):
        at_size(fixed, 16)


def test_int8_without_photographs_says_so(served: Served, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match="tiny cannot be written as tflite_int8: no training images are at hand"):
        TFLite("int8").write(Served(served.folder, "tiny", SIZE), tmp_path / "int8.tflite")


def test_a_full_disk_is_said(served: Served) -> None:
    with pytest.raises(StoreError, match=r"/dev/full cannot be written \(No space left on device\)"):
        TFLite().write(served, Path("/dev/full"))


def test_what_is_no_such_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 9)
    for runtime in (LiteRT(), SavedModel(None), Keras(None), OnnxRuntime()):
        with pytest.raises(TrialFailed, match=rf"{runtime.name} cannot open broken\.tflite"):
            runtime.open(tmp_path / "broken.tflite", SIZE)


def test_images_of_another_shape_are_refused(served: Served) -> None:
    with SavedModel(None).open(served.folder, SIZE) as opened:
        for strange in (images(1)[:, :16], images(1)[0], images(0)):
            with pytest.raises(DataError, match=rf"it must be \[n, {SIZE}, {SIZE}, 3\]"):
                opened.classify(strange)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TFLite("int4"), "target.tflite.weights=int4: there are no such weights; choose one of float32"),
        (
            lambda: TFLite("int8", float_share=1.5),
            "target.tflite_int8.float_share=1.5: it must be a number from 0 to 1",
        ),
        (lambda: TFLite("int8", calibration=0), "target.tflite_int8.calibration=0: it must be a whole number"),
        (
            lambda: Onnx(opset=99),
            "target.onnx.opset=99: it must be a whole number from 13 to 18; set target.onnx.opset=18",
        ),
        (lambda: TfJsGraph("int8"), "target.tfjs.weights=int8: there are no such weights; choose one of float32"),
        (lambda: target_named("coreml"), "target=coreml: there is no such target; choose one of saved_model, tflite"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        make()
    assert str(caught.value).startswith(said)


def test_a_network_that_fails_on_an_image_is_a_sentence(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    image = keras.Input((SIZE, SIZE, 3), batch_size=1)
    light = keras.layers.GlobalAveragePooling2D()(image)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, light / light[:, :1]))
    bright = np.random.default_rng(0).integers(0, 256, (16, 1, SIZE, SIZE, 3)).astype(np.float32)
    bright[:, :, 0, 0], bright[:, :, 0, 1] = 0.0, 255.0
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([each] for each in bright)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    path = tmp_path / "quotient.tflite"
    path.write_bytes(converter.convert())
    with LiteRT().open(path, SIZE) as opened, pytest.raises(TrialFailed, match=r"quotient\.tflite gave no answer"):
        opened.classify(np.zeros((1, SIZE, SIZE, 3), np.uint8))
