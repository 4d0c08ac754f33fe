"""The live page's engines as runtimes: they give what the others give, and fail in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import colours
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from test_page import CHROMIUM

from wellai_exp.errors import DataError, SettingError, TrialFailed
from wellai_exp.export import (
    BrowserOpened,
    BrowserRuntime,
    LiteRTJs,
    Served,
    TfJs,
    TfJsGraph,
    TFLite,
    find_chromium,
    write_saved_model,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("page"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    write_saved_model(colours.network(), folder / "served")
    served = Served(folder / "served", "colours", colours.SIZE, images)
    paths = {"tfjs": folder / "tfjs"}
    colours.write_tfjs(paths["tfjs"])
    for target in (TFLite(), TFLite("int8", float_share=0)):
        paths[target.name] = folder / target.path()
        target.write(served, paths[target.name])
    return paths


def images(n: int) -> npt.NDArray[np.uint8]:
    drawn = np.random.default_rng(1).integers(0, 256, (n, 1, 1, 3))
    return np.broadcast_to(drawn, (n, colours.SIZE, colours.SIZE, 3)).astype(np.uint8)


def expected(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    logits = colours.STEEPNESS * pixels.astype(np.float64).mean(axis=(1, 2))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def opened(runtime: BrowserRuntime, path: Path) -> BrowserOpened:
    found = runtime.open(path, colours.SIZE)
    assert isinstance(found, BrowserOpened)
    return found


@colours.needs_npm
def test_both_engines_give_the_models_own_probabilities_side_by_side(
    artifacts: dict[str, Path], page_store: Path
) -> None:
    store = str(page_store)
    pixels = images(7)
    with (
        opened(LiteRTJs(store=store), artifacts["tflite_float32"]) as litert,
        opened(TfJs(store=store), artifacts["tfjs"]) as tfjs,
    ):
        for each in (litert, tfjs):
            found, times = each.timed(pixels)
            np.testing.assert_allclose(found, expected(pixels), atol=1e-5)
            assert found.dtype == np.float32
            assert times.shape == (7,)
            assert (times >= 0).all()
            np.testing.assert_array_equal(each.classify(pixels.astype(np.float32)), found)
            assert each.time_frame(pixels[:1].astype(np.float32)) >= 0
            with pytest.raises(DataError, match="The images have shape"):
                each.classify(pixels[:, :8])


@colours.needs_npm
def test_kernels_of_8_bits_get_the_scales_of_their_channels(tmp_path: Path, page_store: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((colours.SIZE, colours.SIZE, 3)),
        keras.layers.Rescaling(1 / 127.5, offset=-1.0),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    kernel = model.layers[2].kernel
    # The tail of a network that batch normalisation was folded into: with one scale most channels would be nothing.
    kernel.assign(np.asarray(kernel) * np.geomspace(1e-3, 30, 64, dtype=np.float32))
    model.layers[4].kernel.assign(np.asarray(model.layers[4].kernel) / np.geomspace(1e-3, 30, 64)[:, None] * 4)
    write_saved_model(model, tmp_path / "served")
    TfJsGraph("uint8").write(Served(tmp_path / "served", "uneven", colours.SIZE), tmp_path / "tfjs")
    assert "/channel_scale" in (tmp_path / "tfjs" / "model.json").read_text()
    pixels = images(8)
    answers = np.asarray(model(pixels.astype(np.float32)))
    assert np.ptp(answers) > 0.2
    with opened(TfJs(store=str(page_store)), tmp_path / "tfjs") as tfjs:
        np.testing.assert_allclose(tfjs.classify(pixels), answers, atol=0.01)


@colours.needs_npm
def test_whole_numbers_are_whole_numbers_and_a_batch_may_be_of_any_size(
    artifacts: dict[str, Path], page_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = images(9)
    with opened(LiteRTJs(store=str(page_store)), artifacts["tflite_int8"]) as int8:
        whole = int8.classify(pixels)
        np.testing.assert_allclose(whole, expected(pixels), atol=0.05)
        monkeypatch.setattr("wellai_exp.export._browser._BATCH_BYTES", 4 * pixels[0].nbytes)
        np.testing.assert_array_equal(int8.classify(pixels), whole)


@colours.needs_npm
def test_what_the_browser_cannot_run_fails_in_a_sentence(
    artifacts: dict[str, Path], page_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.tflite").write_bytes(artifacts["tflite_float32"].read_bytes()[:900])
    (tmp_path / "empty").mkdir()
    for runtime, name in ((LiteRTJs, "broken.tflite"), (TfJs, "empty")):
        with pytest.raises(TrialFailed, match="in the browser") as failed:
            runtime(store=str(page_store)).open(tmp_path / name, colours.SIZE)
        assert "\n" not in str(failed.value)


def test_a_missing_browser_and_more_threads_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="a page computes in one thread"):
        LiteRTJs(2).prepare()
    with pytest.raises(SettingError, match=r"runtime\.chromium=/nowhere/chrome: there is no such program"):
        LiteRTJs(chromium="/nowhere/chrome").prepare()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="install Chromium or Chrome"):
        find_chromium(None)


@colours.needs_npm
def test_a_page_is_a_camera_of_its_own(artifacts: dict[str, Path], page_store: Path) -> None:
    drawn = [np.full((48, 64, 3), level, np.uint8) for level in (0, 128, 255)]
    files = [cv2.imencode(".jpg", image)[1].tobytes() for image in drawn]
    with opened(LiteRTJs(store=str(page_store)), artifacts["tflite_float32"]) as network:
        rows = network.stream(files, fps=20, seconds=1.0, resize="crop")
        flooded = network.stream(files, fps=5_000, seconds=1.0, resize="stretch")
        with pytest.raises(TrialFailed, match="failed in the browser"):
            network.stream([b"no picture"], fps=20, seconds=0.5, resize="crop")
        # It goes on all the same.
        assert len(network.stream(files, fps=20, seconds=0.5, resize="pad"))
    for found, fps in ((rows, 20), (flooded, 5_000)):
        slot, captured, latency, *parts = found.T
        assert (np.diff(slot) > 0).all()
        assert 0 <= slot[0] <= slot[-1] < fps
        np.testing.assert_allclose(captured, 1000 * slot / fps)
        assert all((part >= 0).all() for part in parts)
        # A browser's clock is coarse.
        assert (sum(parts) <= latency + 1.0).all()
    assert len(flooded) < 5_000
