"""The promises that every backbone keeps, and what each refuses."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from wellai_exp.errors import SettingError
from wellai_exp.models import Application, Backbone, Fusion, MoveNet, SmallConvNet
from wellai_exp.models._application import NETWORKS
from wellai_exp.paths import shipped_dir

LIGHT = {
    "mobilenet": Application("MobileNet", size=32, weights=None, alpha=0.25),
    "mobilenet_v2": Application("MobileNetV2", size=33, weights=None, alpha=0.35, pooling="max"),
    "mobilenet_v3": Application(
        "MobileNetV3Small", size=32, weights=None, alpha=0.5, minimalistic=True, pooling="avg_max"
    ),
    "small_conv": SmallConvNet(size=32, width=8),
    "small_conv_deep": SmallConvNet(size=45, width=4, depth=2, pooling="avg"),
    "fusion": Fusion(
        (Application("MobileNet", size=32, weights=None, alpha=0.25), SmallConvNet(size=48, width=4)),
    ),
}
HEAVY = set(NETWORKS) - {"MobileNet", "MobileNetV2", "MobileNetV3Small"}
MODULES = {
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "mobilenet_v3",
    "MobileNetV3Large": "mobilenet_v3",
    **{f"EfficientNetV2{variant}": "efficientnet_v2" for variant in ("B0", "B1", "B2", "B3", "S")},
    "ConvNeXtTiny": "convnext",
    "ConvNeXtSmall": "convnext",
    "NASNetMobile": "nasnet",
    "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2",
    "DenseNet121": "densenet",
}
ALL_NETWORKS = [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in NETWORKS]


def pixels(size: int, n: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    return {name: backbone.build() for name, backbone in LIGHT.items()}


@pytest.mark.parametrize("name", LIGHT)
def test_gives_pooled_float32_features_of_one_named_image(name: str, built: dict[str, Any]) -> None:
    model, size = built[name], LIGHT[name].size
    features = np.asarray(model(pixels(size).astype("float32"), training=False))
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert model.input_shape == (None, size, size, 3)
    assert features.shape == (3, model.output_shape[1])
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0
    assert model.trainable is not LIGHT[name].pretrained


@pytest.mark.parametrize("name", LIGHT)
def test_uint8_and_float_pixels_give_equal_features(name: str, built: dict[str, Any]) -> None:
    import tensorflow as tf

    model, images = built[name], pixels(LIGHT[name].size)
    expected = np.asarray(model(images.astype("float32"), training=False))
    np.testing.assert_allclose(np.asarray(model(tf.constant(images), training=False)), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(images), expected, atol=1e-5)


@pytest.mark.parametrize("name", LIGHT)
def test_nothing_in_the_model_is_random(name: str, built: dict[str, Any]) -> None:
    layers = [layer.__class__.__name__ for layer in built[name]._flatten_layers()]
    assert not [layer for layer in layers if layer.startswith("Random")]


@pytest.mark.parametrize("name", LIGHT)
def test_a_saved_model_gives_equal_features(name: str, built: dict[str, Any], tmp_path: Path) -> None:
    import keras

    images = pixels(LIGHT[name].size).astype("float32")
    built[name].save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images, training=False), built[name](images, training=False), atol=1e-6)


@pytest.mark.parametrize("name", LIGHT)
def test_is_a_frozen_value_with_a_stable_key(name: str) -> None:
    backbone = LIGHT[name]
    with pytest.raises(AttributeError):
        backbone.size = 64  # type: ignore[misc]
    assert len(backbone.feature_key()) == 16
    assert backbone.feature_key() == backbone.feature_key()
    assert hash(backbone) == hash(backbone)
    assert all(isinstance(member, Backbone) and member.members == (member,) for member in backbone.members)


def test_whatever_changes_the_features_changes_the_key() -> None:
    fused = [LIGHT["mobilenet"], LIGHT["small_conv"]]
    backbones = [
        *(Application(name, weights=None) for name in NETWORKS),
        Application("MobileNet"),
        Application("MobileNet", weights=None, size=192),
        Application("MobileNet", weights=None, alpha=0.5),
        Application("MobileNet", weights=None, pooling="max"),
        Application("MobileNetV3Small", weights=None, minimalistic=True),
        *(SmallConvNet(size=s, width=w, depth=d) for s, w, d in itertools.product((64, 96), (8, 24), (1, 2))),
        SmallConvNet(size=64, width=8, pooling="avg"),
        Fusion(tuple(fused)),
        Fusion(tuple(reversed(fused))),
    ]
    keys = [backbone.feature_key() for backbone in backbones]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_depend_on_the_process() -> None:
    code = "from wellai_exp.models import Application; print(Application('MobileNet', alpha=1).feature_key())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Application("MobileNet", alpha=1.0).feature_key()


def test_importing_the_room_imports_no_heavy_library() -> None:
    heavy = {"tensorflow", "keras", "sklearn", "h5py", "mlflow"}
    code = f"import sys, wellai_exp.models; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("application", ALL_NETWORKS)
def test_preprocessing_inside_equals_keras_own(application: str) -> None:
    """Compare what the first weighted layer sees; deeper, random weights would only blur the comparison."""
    import keras

    # The bare network as Keras makes it, behind Keras' preprocess_input (which passes through where that is inside).
    bare = getattr(keras.applications, application)(weights=None, include_top=False, input_shape=(32, 32, 3))
    module = getattr(keras.applications, MODULES[application])
    images = pixels(32).astype("float32")
    theirs = keras.Model(bare.input, _first_weighted(bare).input)(module.preprocess_input(images.copy()))
    ours = Application(application, size=32, weights=None).build()
    np.testing.assert_allclose(
        keras.Model(ours.input, _first_weighted(ours).input)(images), theirs, atol=1e-5, rtol=1e-5
    )
    # The same weights then give the same features.
    own = {id(weight) for layer in bare.layers for weight in layer.weights}
    assert len(own) == len(ours.weights)
    ours.set_weights(bare.get_weights())
    expected = np.asarray(bare(module.preprocess_input(images.copy()), training=False))
    if application.startswith("ConvNeXt"):
        return  # it normalises after pooling, so its map cannot be pooled afterwards
    np.testing.assert_allclose(ours(images, training=False), expected.mean(axis=(1, 2)), atol=1e-4, rtol=1e-4)


def _first_weighted(model: Any) -> Any:
    return next(layer for layer in model.layers if layer.weights and type(layer).__name__ != "Normalization")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["avg", "max", "avg_max"])
def test_convnext_pools_and_has_keras_features(pooling: str) -> None:
    import keras

    ours = Application("ConvNeXtTiny", size=32, weights=None, pooling=pooling).build()
    images = pixels(32).astype("float32")
    features = np.asarray(ours(images, training=False))
    assert features.shape == (3, 1536 if pooling == "avg_max" else 768)
    if pooling != "avg_max":
        bare = keras.applications.ConvNeXtTiny(
            weights=None, include_top=False, input_shape=(32, 32, 3), pooling=pooling
        )
        bare.set_weights(ours.get_weights())
        np.testing.assert_allclose(features, bare(images, training=False), atol=1e-4)


def test_avg_max_is_both_side_by_side() -> None:
    both, avg, most = (SmallConvNet(size=32, width=4, pooling=how).build() for how in ("avg_max", "avg", "max"))
    images = pixels(32).astype("float32")
    for model in (avg, most):
        model.set_weights(both.get_weights())
    expected = np.concatenate([avg(images, training=False), most(images, training=False)], axis=1)
    np.testing.assert_allclose(both(images, training=False), expected, atol=1e-6)


def test_small_conv_is_small_and_learns() -> None:
    """A bright or a dark disc is told apart after a few steps from nothing, also with its moving averages."""
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = rng.normal(128, 20, (64, 32, 32, 3)).astype("float32")
    images[:, 8:20, 8:20] += np.where(labels, 60, -60)[:, None, None, None]
    body = SmallConvNet(size=32, width=8).build()
    model = keras.Sequential([body, keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=16, epochs=6, verbose=0)
    assert (np.asarray(model.predict_on_batch(images)).argmax(axis=1) == labels).mean() > 0.95
    assert 100_000 <= SmallConvNet().build().count_params() <= 300_000


def test_fusion_is_its_members_side_by_side(built: dict[str, Any]) -> None:
    fusion = Fusion((SmallConvNet(size=32, width=4), SmallConvNet(size=32, width=8)))
    model = fusion.build()
    images = pixels(32).astype("float32")
    parts = [layer for layer in model.layers if hasattr(layer, "layers")]
    expected = np.concatenate([part(images, training=False) for part in parts], axis=1)
    np.testing.assert_allclose(model(images, training=False), expected, atol=1e-6)
    resized = [layer.name for layer in built["fusion"].layers if type(layer).__name__ == "Resizing"]
    assert resized == ["resizing_0"]
    assert LIGHT["fusion"].size == 48


def test_fusion_takes_lists_mappings_and_fusions() -> None:
    one, two, three = (SmallConvNet(size=32, width=w) for w in (4, 5, 6))
    listed: Any = [one, two]
    mapped: Any = {"a": one, "b": two}
    assert Fusion(listed) == Fusion(mapped) == Fusion((one, two))
    assert Fusion((Fusion((one, two)), three)).members == (one, two, three)
    assert Fusion((one, two)).name == "small_conv_4x1_32+small_conv_5x1_32"


def test_fusion_of_one_network_at_two_sizes_builds() -> None:
    nets = (Application("MobileNet", 32, None, alpha=0.25), Application("MobileNet", 40, None, alpha=0.25))
    assert Fusion(nets).build().output_shape == (None, 512)


BAD: list[tuple[type[Backbone], dict[str, Any], str]] = [
    (Application, {"application": "MobileNetV9"}, "backbone.application=MobileNetV9"),
    (Application, {"application": "MobileNet", "size": 8}, "backbone.size=8"),
    (Application, {"application": "MobileNet", "size": 5000}, "backbone.size=5000"),
    (Application, {"application": "MobileNet", "size": 224.0}, "backbone.size=224.0"),
    (Application, {"application": "MobileNet", "pooling": "sum"}, "backbone.pooling=sum"),
    (Application, {"application": "MobileNet", "alpha": 0.6}, "backbone.alpha=0.6"),
    (Application, {"application": "MobileNet", "alpha": 0, "weights": None}, "backbone.alpha=0"),
    (Application, {"application": "ResNet50", "alpha": 0.5}, "backbone.alpha=0.5"),
    (Application, {"application": "ResNet50", "minimalistic": True}, "backbone.minimalistic=True"),
    (Application, {"application": "MobileNetV3Large", "minimalistic": True, "alpha": 0.75}, "backbone.alpha=0.75"),
    (Application, {"application": "MobileNet", "weights": ""}, "backbone.weights="),
    (Application, {"application": "MobileNet", "weights": 3}, "backbone.weights=3"),
    (Application, {"application": "MobileNet", "weights": "f.h5", "sha256": "abc"}, "backbone.sha256=abc"),
    (Application, {"application": "MobileNet", "sha256": "a" * 64}, "backbone.sha256=aaa"),
    (Application, {"application": "MobileNet", "batch_norm_folded": True}, "backbone.batch_norm_folded=True"),
    (SmallConvNet, {"size": 8}, "backbone.size=8"),
    (SmallConvNet, {"width": 0}, "backbone.width=0"),
    (SmallConvNet, {"depth": 1.5}, "backbone.depth=1.5"),
    (SmallConvNet, {"pooling": "sum"}, "backbone.pooling=sum"),
    (Fusion, {"members": ()}, "backbone.members=[]"),
    (Fusion, {"members": (SmallConvNet(),)}, "backbone.members=['small_conv_24x1_96']"),
    (Fusion, {"members": (SmallConvNet(), SmallConvNet())}, "backbone.members="),
    (Fusion, {"members": ("mobilenet", SmallConvNet())}, "backbone.members=mobilenet"),
    (Fusion, {"members": (Application("MobileNet"), SmallConvNet())}, "backbone.members="),
]


@pytest.mark.parametrize(("kind", "settings", "start"), BAD)
def test_a_setting_that_cannot_work_is_refused_at_birth(
    kind: type[Backbone], settings: dict[str, Any], start: str
) -> None:
    with pytest.raises(SettingError) as caught:
        kind(**settings)
    message = str(caught.value)
    assert message.startswith(start)
    assert message.endswith(".")
    assert "\n" not in message


OPTIONS = sorted((shipped_dir("conf") / "backbone").glob("*.yaml"))


def make(node: dict[str, Any]) -> Backbone:
    """Build what a YAML names, members first, as the configuration does."""
    made_here = (Application, Fusion, MoveNet, SmallConvNet)
    kinds: dict[str, type[Backbone]] = {kind.__name__: kind for kind in made_here}
    room, _, kind = node["_target_"].rpartition(".")
    assert room == "wellai_exp.models"
    arguments = {key: value for key, value in node.items() if key not in ("_target_", "_space_")}
    if "members" in arguments:
        arguments["members"] = {key: make(member) for key, member in arguments["members"].items()}
    return kinds[kind](**arguments)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_every_option_makes_its_backbone(option: Path) -> None:
    node = yaml.safe_load(option.read_text())
    backbone = make(node)
    assert set(node.get("_space_", {})) <= set(node) - {"_target_", "_space_"}
    assert backbone.pretrained is (option.stem != "small_conv")
    paths = [getattr(member, "weights", None) for member in backbone.members]
    assert not [path for path in paths if path is not None and Path(path).is_absolute()]
