"""Weights are loaded whole or refused with one sentence; a random start never passes for a pretrained one."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from wellai_exp.errors import SettingError
from wellai_exp.models import Application, Backbone, Fusion, SmallConvNet, _weights
from wellai_exp.paths import sha256_of, shipped_dir

NOTHING = Application("MobileNet", size=32, weights=None, alpha=0.25)
ASSETS = os.environ.get("WELLAI_ASSETS")


def features(model: Any, size: int = 32) -> Any:
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype("float32")
    return np.asarray(model(images, training=False))


@pytest.fixture(scope="module")
def trained() -> Any:
    """Build a network whose every weight differs from a fresh one's, the moving averages too."""
    model = NOTHING.build()
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(np.asarray(weight) + rng.uniform(0.01, 0.1, weight.shape))
    return model


@pytest.fixture(scope="module")
def saved(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(tmp_path_factory.mktemp("weights")) / "good.weights.h5"
    trained.save_weights(path)
    return path


def with_weights(path: Path, **changes: Any) -> Application:
    return dataclasses.replace(NOTHING, weights=str(path), **changes)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(SettingError) as caught:
        act()
    message = str(caught.value)
    assert message.startswith("backbone.weights=")
    assert message.endswith(".")
    assert "\n" not in message
    return message


def save_keras(model: Any, path: Path) -> Path:
    model.save(path / "m.keras")
    return path / "m.keras"


def save_keras_2(model: Any, path: Path) -> Path:
    model.save(path / "m.h5")
    return path / "m.h5"


def save_keras_2_weights(model: Any, path: Path) -> Path:
    """Write as Keras 2 wrote weights alone, under a name that Keras 3 takes for its own format."""
    with h5py.File(save_keras_2(model, path), "r") as whole, h5py.File(path / "old.weights.h5", "w") as alone:
        group = whole["model_weights"]
        for name in group:
            group.copy(name, alone)
        for name, value in group.attrs.items():
            alone.attrs[name] = value
    return path / "old.weights.h5"


def save_any_name(model: Any, path: Path) -> Path:
    model.save_weights(path / "m.weights.h5")
    return (path / "m.weights.h5").rename(path / "weights")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("save", [save_keras, save_keras_2, save_keras_2_weights, save_any_name])
def test_every_format_comes_back_whole(save: Callable[[Any, Path], Path], trained: Any, tmp_path: Path) -> None:
    backbone = with_weights(save(trained, tmp_path))
    model = backbone.build()
    assert backbone.pretrained
    assert model.trainable is False
    assert model.trainable_weights == []
    for loaded, expected in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)
    np.testing.assert_allclose(features(model), features(trained), atol=1e-6)


def test_weights_of_the_bare_network_fit_another_size(saved: Path, trained: Any, tmp_path: Path) -> None:
    import keras

    bare = keras.applications.MobileNet(weights=None, include_top=False, alpha=0.25, input_shape=(64, 64, 3))
    bare.set_weights(trained.get_weights())
    bare.save_weights(tmp_path / "bare.weights.h5")
    loaded = with_weights(tmp_path / "bare.weights.h5", size=48).build()
    np.testing.assert_allclose(features(loaded, 48), features(with_weights(saved, size=48).build(), 48), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("application", ["EfficientNetV2B0", "ConvNeXtTiny", "MobileNetV3Small"])
def test_weights_saved_with_keras_own_preprocessing_and_dropout_load(application: str, tmp_path: Path) -> None:
    import keras

    bare = getattr(keras.applications, application)(
        weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg"
    )
    bare.save_weights(tmp_path / "bare.weights.h5")
    model = Application(application, size=32, weights=tmp_path / "bare.weights.h5").build()
    np.testing.assert_allclose(features(model), features(bare), atol=1e-4, rtol=1e-4)


def test_digest_and_key_follow_the_file(saved: Path, trained: Any, tmp_path: Path) -> None:
    other = shutil.copy(saved, tmp_path / "copy.weights.h5")
    assert with_weights(saved).weights_digest() == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert with_weights(Path(other)).feature_key() == with_weights(saved).feature_key()
    assert with_weights(saved).feature_key() != NOTHING.feature_key()
    trained.save(tmp_path / "m.keras")
    assert with_weights(tmp_path / "m.keras").feature_key() != with_weights(saved).feature_key()
    assert Application("MobileNet").weights_digest() == "imagenet"
    assert NOTHING.weights_digest() == SmallConvNet().weights_digest() == "none"


def test_a_file_is_hashed_once_until_it_is_written_to(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def hash_of(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr(_weights, "sha256_of", hash_of)
    monkeypatch.setattr(_weights, "_TICK_S", 0.0)
    file = Path(shutil.copy(saved, tmp_path / "own.weights.h5"))
    first = {with_weights(file).weights_digest() for _ in range(3)}
    assert (first, len(hashed)) == ({sha256_of(file)}, 1)
    content, state = bytearray(file.read_bytes()), file.stat()
    content[len(content) // 2] ^= 1
    time.sleep(0.05)
    file.write_bytes(content)
    # As good as unchanged, but for the time of the change itself, which nobody can set.
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert with_weights(file).weights_digest() == sha256_of(file) not in first


def test_a_file_that_was_written_just_now_is_hashed_again(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_weights, "_TICK_S", 60.0)
    file = Path(shutil.copy(saved, tmp_path / "own.weights.h5"))
    with_weights(file).weights_digest()
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert with_weights(file).weights_digest() == sha256_of(file)


def test_a_pin_lets_its_file_through_and_no_other(saved: Path, tmp_path: Path) -> None:
    pinned = with_weights(saved, sha256=sha256_of(saved))
    assert pinned.weights_digest() == pinned.sha256
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1  # loads without complaint when nothing pins it
    (tmp_path / "flipped.weights.h5").write_bytes(content)
    flipped = with_weights(tmp_path / "flipped.weights.h5", sha256=pinned.sha256)
    for act in (flipped.build, flipped.weights_digest, flipped.feature_key):
        assert "pins" in refusal(act)


def test_a_missing_file_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    missing = with_weights(tmp_path / "missing.weights.h5")
    for act in (missing.build, missing.weights_digest, missing.feature_key):
        assert "there is no such file" in refusal(act)
    assert "cannot be read" in refusal(with_weights(tmp_path).weights_digest)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "TFLite"),
        (b"\x93NUMPY", "neither HDF5 nor"),
        (b"PK\x03\x04 and no archive", "cut short or damaged"),
    ],
)
def test_what_is_no_weights_file_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(content)
    assert says in refusal(with_weights(tmp_path / "w.weights.h5").build)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(share: float, saved: Path, trained: Any, tmp_path: Path) -> None:
    for source in (saved, save_keras(trained, tmp_path)):
        content = source.read_bytes()
        (tmp_path / "cut").write_bytes(content[: max(16, int(len(content) * share))])
        assert "cut short or damaged" in refusal(with_weights(tmp_path / "cut").build)


def test_an_archive_without_weights_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "damaged" in refusal(with_weights(tmp_path / "m.keras").build)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(NOTHING, alpha=0.5),
        Application("MobileNetV2", size=32, weights=None, alpha=0.35),
        Application("MobileNetV3Small", size=32, weights=None, alpha=0.5),
    ],
    ids=lambda backbone: backbone.name,
)
def test_the_weights_of_another_network_are_refused(other: Application, saved: Path) -> None:
    message = refusal(dataclasses.replace(other, weights=saved).build)
    assert "another network" in message
    assert "backbone.alpha" in message


def test_weights_with_a_classifier_are_refused(tmp_path: Path) -> None:
    import keras

    whole = keras.applications.MobileNet(weights=None, alpha=0.25, classes=7, input_shape=(32, 32, 3))
    whole.save_weights(tmp_path / "whole.weights.h5")
    assert "without its classifier" in refusal(with_weights(tmp_path / "whole.weights.h5").build)


@pytest.mark.parametrize("damage", ["missing array", "array elsewhere", "nan"])
def test_no_weight_stays_random(damage: str, saved: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(saved, tmp_path / "w.weights.h5"))
    with h5py.File(path, "r+") as store:
        first = store["layers/conv2d/vars"]
        if damage == "missing array":
            del first["0"]
        elif damage == "array elsewhere":
            store.create_group("layers/elsewhere/vars")
            store.move("layers/conv2d/vars/0", "layers/elsewhere/vars/0")
        else:
            first["0"][0, 0, 0, 0] = np.nan
    message = refusal(with_weights(path).build)
    assert ("not finite" if damage == "nan" else "another network") in message


@pytest.mark.parametrize(
    "error", [Exception("URL fetch failure on https://host/file.h5:\n None -- no route"), OSError("cut")]
)
def test_an_unreachable_download_is_one_sentence_with_the_remedy(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def fails(**_: object) -> None:
        raise error

    monkeypatch.setattr(keras.applications, "MobileNet", fails)
    message = refusal(Application("MobileNet", size=32).build)
    assert message.startswith("backbone.weights=imagenet: ")
    assert "backbone.weights=PATH" in message


def test_keras_own_download_is_refused_where_nothing_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every connection of this test is refused, so Keras' real download code fails in its own way."""
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path), raising=False)
    before = socket.getdefaulttimeout()
    assert "could not download" in refusal(Application("MobileNet", size=32, alpha=0.25).build)
    assert socket.getdefaulttimeout() == before


@pytest.mark.slow
@pytest.mark.skipif(ASSETS is None, reason="WELLAI_ASSETS names no folder of real weights and photographs")
def test_real_weights_tell_ten_poses_apart() -> None:
    """Each photograph goes to the class with the nearest mean of the other photographs; chance is 0.1."""
    import cv2

    assert ASSETS is not None
    text = (shipped_dir("conf") / "backbone" / "fusion_local_small.yaml").read_text()
    nodes = yaml.safe_load(text.replace("${oc.env:WELLAI_ASSETS}", ASSETS))["members"].values()
    members: list[Backbone] = [Application(**{k: v for k, v in node.items() if k != "_target_"}) for node in nodes]
    images, labels = [], []
    for label, folder in enumerate(sorted((Path(ASSETS) / "data" / "yoga62").iterdir())[:10]):
        for path in sorted(folder.iterdir())[:12]:
            image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
            images.append(cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA))
            labels.append(label)
    x = np.asarray(Fusion(tuple(members)).build().predict_on_batch(np.stack(images)))
    y = np.asarray(labels)
    assert x.shape == (len(y), 768 + 1280)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    similarity = x @ x.T
    np.fill_diagonal(similarity, np.nan)
    by_class = np.stack([np.nanmean(similarity[:, y == label], axis=1) for label in range(10)], axis=1)
    assert (by_class.argmax(axis=1) == y).mean() > 0.8
