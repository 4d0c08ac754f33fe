"""Key points as features: read out of TFLite files, found on heat maps, described wherever a body stands."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import SettingError
from wellai_exp.models import (
    FittedHead,
    Fusion,
    LinearHead,
    MoveNet,
    Scaler,
    SmallConvNet,
    assemble,
    grad_cam,
)
from wellai_exp.models._blocks import FIXED, blocks, set_trainable
from wellai_exp.models._move_net import KEY_POINTS, Heads, pose_features
from wellai_exp.models._tflite_graph import TFLiteGraph, UnknownGraphError
from wellai_exp.tracking._archive import check_archive

CELLS = 48
LIGHTNING = "weights/movenet_single_pose_lightning_ptq.tflite"


def small_network(activation: str = "relu6") -> Any:
    """Give a network of every operator that is read: convolutions, a sum, a pyramid's enlargement."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), batch_size=1)
    seen = layers.Rescaling(1 / 127.5, -1.0)(image)
    first = layers.Conv2D(8, 3, strides=2, padding="same", activation=activation)(seen)
    deep = layers.DepthwiseConv2D(3, strides=2, padding="same", activation=activation)(first)
    large = layers.Resizing(8, 8)(layers.Conv2D(8, 1)(deep))
    return keras.Model(image, layers.Conv2D(4, 1)(layers.Add()([first, large])))


def as_tflite(model: Any, quantize: bool) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantize:
        images = np.random.default_rng(1).integers(0, 256, (32, 1, 16, 16, 3)).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
    return bytes(converter.convert())


@pytest.mark.parametrize("quantize", [False, True], ids=["float32", "int8"])
def test_a_tflite_file_becomes_the_network_it_was_made_from(quantize: bool) -> None:
    import keras

    model = small_network()
    graph = TFLiteGraph(as_tflite(model, quantize))
    image = keras.Input((16, 16, 3), batch_size=1)
    last = [int(operator.outputs[0]) for name, operator in graph.operators if name == "CONV_2D"][-1]
    again = keras.Model(image, graph.keras_outputs(image, [last])[0])
    images = np.random.default_rng(2).integers(0, 256, (1, 16, 16, 3)).astype(np.float32)
    true, got = (np.asarray(each(images)) for each in (model, again))
    # Eight bits a weight leave an error of a hundredth of the range or so.
    assert np.abs(got - true).max() <= (0.05 if quantize else 1e-5) * np.abs(true).max()


def test_what_is_no_layer_here_is_refused() -> None:
    import keras

    graph = TFLiteGraph(as_tflite(small_network("tanh"), False))
    image = keras.Input((16, 16, 3), batch_size=1)
    last = [int(operator.outputs[0]) for name, operator in graph.operators if name == "CONV_2D"][-1]
    with pytest.raises(UnknownGraphError, match="cannot be computed by layers"):
        graph.keras_outputs(image, [last])
    with pytest.raises(UnknownGraphError, match="no TFLite file"):
        TFLiteGraph(b"\x89HDF\r\n\x1a\n and more")


def heads_of_one_person(places: np.ndarray, centre: tuple[int, int]) -> list[np.ndarray]:
    """Give maps on which each key point is likely at one cell, and a second person's everywhere else is not."""
    heat = np.full((1, CELLS, CELLS, KEY_POINTS), -6.0, np.float32)
    middle = np.full((1, CELLS, CELLS, 1), -6.0, np.float32)
    reach, offset = (np.zeros((1, CELLS, CELLS, 2 * KEY_POINTS), np.float32) for _ in range(2))
    middle[0, *centre, 0] = 4.0
    for point, (down, right) in enumerate(places):
        row, column = int(down), int(right)
        heat[0, row, column, point] = 4.0
        offset[0, row, column, 2 * point : 2 * point + 2] = down - row, right - column
        reach[0, *centre, 2 * point : 2 * point + 2] = down - centre[0], right - centre[1]
    return [heat, middle, reach, offset]


def key_points_model() -> Any:
    import keras

    channels = (KEY_POINTS, 1, 2 * KEY_POINTS, 2 * KEY_POINTS)
    heat, centre, reach, offset = (keras.Input((CELLS, CELLS, count)) for count in channels)
    heads = Heads(heat, centre, reach, offset, np.ones((CELLS, CELLS, 1), np.float32))
    return keras.Model([heat, centre, reach, offset], heads.key_points())


def test_key_points_are_found_where_the_maps_have_them() -> None:
    rng = np.random.default_rng(3)
    places = rng.uniform(2, CELLS - 2, (KEY_POINTS, 2)).astype(np.float32)
    maps = heads_of_one_person(places, (20, 25))
    found, confidence = (np.asarray(part)[0] for part in key_points_model()(maps))
    np.testing.assert_allclose(found * CELLS, places, atol=0.05)
    np.testing.assert_allclose(confidence, 1 / (1 + np.exp(-4.0)), atol=0.01)
    # As likely a key point farther from where the body should have it is another person's.
    elsewhere = (places[0] + CELLS / 2) % CELLS
    maps[0][0, int(elsewhere[0]), int(elsewhere[1]), 0] = 4.0
    found = np.asarray(key_points_model()(maps)[0])[0]
    np.testing.assert_allclose(found[0] * CELLS, places[0], atol=0.05)


def test_key_points_can_be_written_as_tflite() -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    places = np.random.default_rng(5).uniform(2, CELLS - 2, (KEY_POINTS, 2)).astype(np.float32)
    maps = heads_of_one_person(places, (20, 25))
    model = key_points_model()
    interpreter = Interpreter(model_content=tf.lite.TFLiteConverter.from_keras_model(model).convert())
    run = interpreter.get_signature_runner()
    by_shape = {tuple(each["shape"][1:]): name for name, each in run.get_input_details().items()}
    # Reach and offset have one shape, and only their order tells them apart.
    names = sorted(run.get_input_details())
    assert len(by_shape) == 3 and len(names) == 4
    given = dict(zip(names, maps, strict=True))
    answers = {tuple(each.shape): each for each in run(**given).values()}
    np.testing.assert_allclose(answers[(1, KEY_POINTS, 2)][0] * CELLS, places, atol=0.05)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.integers(0, 2**16))
def test_a_body_is_the_same_wherever_it_stands_and_however_large(
    scale: float, down: float, right: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.2, 0.8, (1, KEY_POINTS, 2)).astype(np.float32)
    confidence = rng.uniform(0.1, 1.0, (1, KEY_POINTS)).astype(np.float32)
    moved = (places * scale + np.array([down, right], np.float32)).astype(np.float32)
    one, other = (np.asarray(pose_features(each, confidence)) for each in (places, moved))
    assert one.shape == (1, 173)
    np.testing.assert_allclose(one, other, atol=5e-3)
    turned = np.asarray(pose_features(places[..., ::-1].copy(), confidence))
    assert np.abs(turned - one).max() > 0.1


def test_a_fixed_network_has_no_blocks_and_learns_nothing() -> None:
    import keras

    small = SmallConvNet(size=32, width=4)
    image = keras.Input((32, 32, 3))
    learner, fixed = small.build(), small.build()
    learner.name, fixed.name = "member_0", f"{FIXED}member_1"
    model = keras.Model(image, keras.layers.Concatenate()([learner(image), fixed(image)]))
    assert blocks(fixed) == []
    assert len(blocks(model)) == len(blocks(learner))
    learning = set_trainable(model, None, freeze_batch_norm=False)
    own = {id(variable) for variable in learner.trainable_variables}
    assert {id(variable) for variable, _ in learning} == own == {id(each) for each in model.trainable_variables}
    assert set_trainable(fixed, None, freeze_batch_norm=True) == [] and not fixed.trainable_variables


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no such file"),
        (b"\x89HDF\r\n\x1a\n and more", "the file is no TFLite model"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "movenet.tflite"
    if content is not None:
        path.write_bytes(content)
    for ask in (MoveNet(path).weights_digest, MoveNet(path).build):
        with pytest.raises(SettingError, match=sentence):
            ask()


def test_another_tflite_network_is_named(tmp_path: Path) -> None:
    path = tmp_path / "movenet.tflite"
    path.write_bytes(as_tflite(small_network(), False))
    with pytest.raises(SettingError, match="not MoveNet single pose, lightning"):
        MoveNet(path).build()
    with pytest.raises(SettingError, match=r"pins 0{64}"):
        MoveNet(path, "0" * 64).weights_digest()
    with pytest.raises(SettingError, match=r"backbone\.weights"):
        MoveNet()


@pytest.fixture(scope="module")
def photographs(assets: Path) -> np.ndarray:
    from wellai_exp.data import ImageReader

    files = sorted((assets / "data/yoga62").glob("*/*"))[::80]
    return np.concatenate(list(ImageReader(files, 192, "pad")))


def test_the_keras_network_sees_the_joints_that_the_tflite_file_sees(assets: Path, photographs: np.ndarray) -> None:
    import keras
    from ai_edge_litert.interpreter import Interpreter

    path = assets / LIGHTNING
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    given, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    theirs = []
    for picture in photographs:
        interpreter.set_tensor(given, picture[None])
        interpreter.invoke()
        theirs.append(interpreter.get_tensor(answer)[0, 0])
    true = np.array(theirs)
    image = keras.Input((192, 192, 3))
    model = keras.Model(image, Heads.of(TFLiteGraph(path.read_bytes()), image).key_points())
    places, confidence = (np.asarray(part) for part in model(photographs.astype(np.float32)))
    sure = true[..., 2] > 0.3
    apart = np.linalg.norm(places - true[..., :2], axis=-1)[sure]
    assert np.median(apart) < 0.02 and np.mean(apart > 0.1) < 0.03
    # Its heat maps are of eight bits, so that confidences differ more than places do.
    assert np.corrcoef(confidence.ravel(), true[..., 2].ravel())[0, 1] > 0.6


def test_key_points_beside_a_picture_s_features(assets: Path, photographs: np.ndarray, tmp_path: Path) -> None:
    import keras

    pose = MoveNet(assets / LIGHTNING)
    digest = hashlib.sha256((assets / LIGHTNING).read_bytes()).hexdigest()
    assert pose.weights_digest() == digest and pose.feature_key() != pose.at_size(224).feature_key()
    model = pose.build()
    features = np.asarray(model(photographs.astype(np.float32)))
    assert features.shape == (len(photographs), 173) and np.isfinite(features).all()
    # What leaves this house is plain Keras, which is read back without any class of ours.
    model.save(tmp_path / "pose.keras")
    check_archive(tmp_path / "pose.keras")
    again = keras.saving.load_model(tmp_path / "pose.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(again(photographs.astype(np.float32))), features, atol=1e-4)
    beside = Fusion((pose, pose.at_size(224))).build()
    assert blocks(beside) == [] and beside.output_shape == (None, 346)


def test_a_map_of_what_speaks_for_a_class_covers_the_person(assets: Path, photographs: np.ndarray) -> None:
    pose = MoveNet(assets / LIGHTNING)
    features = np.asarray(pose.build()(photographs.astype(np.float32)))
    rng = np.random.default_rng(4)
    scaler = Scaler.fit("standard", features)
    kernel = rng.normal(0, 0.1, (features.shape[1], 3)).astype(np.float32)
    model = assemble(pose.build, FittedHead(LinearHead(), scaler, (), kernel, np.zeros(3, np.float32)), mirrored=True)
    shown = photographs[:2].astype(np.float32)
    maps = grad_cam(model, shown, np.argmax(np.asarray(model(shown)), axis=1))
    assert maps.shape == (2, 192, 192) and np.isfinite(maps).all() and maps.max() == 1.0
    # Joints are few: most of the picture says nothing of them.
    assert (maps > 0.5).mean() < 0.2
