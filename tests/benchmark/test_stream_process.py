"""An artifact before a camera in a process of its own: what it costs is its own, and its crash is one row's."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from fake_runtimes import Breaks, Dies, Hangs, Refuses, Steady

from wellai_exp.benchmark import CameraFrames, Frames, StreamTask, VideoFrames, measure_stream
from wellai_exp.errors import DataError, SettingError, TrialFailed
from wellai_exp.export import LiteRT, Runtime, Served, target_named, write_saved_model
from wellai_exp.models import Application


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> CameraFrames:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "wide.png", folder / "small.png"]
    shapes = {"wide.png": (500, 1000), "small.png": (30, 20)}
    for path, blue in zip(paths, (0, 200), strict=True):
        pixels = np.full((*shapes[path.name], 3), (blue, 0, 200 - blue), np.uint8)
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return CameraFrames.of(paths)


def task(runtime: Runtime, frames: Frames, fps: float = 40.0, seconds: float = 0.5, batch: int = 1) -> StreamTask:
    return StreamTask(runtime, Path("unused"), 24, "pad", frames, fps, seconds, batch)


def test_a_camera_sends_its_pictures_over_and_over_at_its_own_size(camera: CameraFrames) -> None:
    frames = list(islice(camera.decoded(), 4))
    for frame, blue in zip(frames, (0, 200, 0, 200), strict=True):
        assert frame.shape == (480, 640, 3)
        assert frame.reshape(-1, 3).mean(axis=0) == pytest.approx((200 - blue, 0, blue), abs=4)
    with pytest.raises(DataError, match="no pictures"):
        CameraFrames.of([])


def test_a_video_begins_again_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))  # type: ignore[attr-defined]
    for number in range(3):
        writer.write(np.full((48, 64, 3), 60 * number, np.uint8))
    writer.release()
    levels = [frame.mean() for frame in islice(VideoFrames(path).decoded(), 7)]
    assert levels == pytest.approx([0, 60, 120, 0, 60, 120, 0], abs=4)


def test_memory_time_and_frames_are_those_of_one_runtime(camera: CameraFrames) -> None:
    small, large = (measure_stream(task(Steady(megabytes=held), camera, batch=2)) for held in (0, 300))
    for result in (small, large):
        assert result.stream.captured == 20 == result.stream.answered + result.stream.dropped
        assert result.stream.answered > 0
        assert result.load_s > 0
        assert result.stream.milliseconds("decode").min() > 0
        assert result.stream.milliseconds("preprocess").min() > 0
        assert result.stream.milliseconds("inference").min() >= 1
    assert small.memory_mb - small.before_mb < 100
    assert 290 < large.memory_mb - large.before_mb < 400


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        (Dies(), r"steady ended its process \(by SIGKILL\)"),
        (Refuses(), "an operator is unknown"),
        (Breaks(), "RuntimeError: no kernel for this"),
    ],
)
def test_what_a_runtime_cannot_do_is_told_in_a_sentence(runtime: Runtime, said: str, camera: CameraFrames) -> None:
    with pytest.raises(TrialFailed, match=said):
        measure_stream(task(runtime, camera))


def test_a_runtime_that_never_comes_back_is_ended(camera: CameraFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wellai_exp.benchmark._stream_process._PATIENCE", 0.5)
    with pytest.raises(TrialFailed, match=r"did not come to an end within 1\.5 s"):
        measure_stream(task(Hangs(), camera))
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("setting", "value"), [("fps", 0.0), ("fps", 1e6), ("seconds", 0.0), ("seconds", 1e9), ("batch", 0)]
)
def test_numbers_that_no_camera_has_are_refused(setting: str, value: float, camera: CameraFrames) -> None:
    with pytest.raises(SettingError, match=rf"^{setting}="):
        task(Steady(), camera, **{setting: value})  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_real_network_that_is_too_slow_drops_frames_and_its_answers_grow_no_later(
    camera: CameraFrames, tmp_path: Path
) -> None:
    target = target_named("tflite_float32")
    write_saved_model(Application("MobileNetV2", size=224, weights=None).build(), tmp_path / "served")
    target.write(Served(tmp_path / "served", "mobilenet_v2", 224), tmp_path / "model.tflite")
    seconds = 5.0
    asked = StreamTask(LiteRT(), tmp_path / "model.tflite", 224, "stretch", camera, 1000.0, seconds)
    stream = measure_stream(asked).stream
    assert stream.captured == 5000
    assert stream.dropped_share > 0.5
    latency = stream.milliseconds("latency")
    quarter = len(latency) // 4
    # In a queue the last answers would come as late as the share of frames that was dropped, some seconds.
    assert np.median(latency[-quarter:]) < 100 * seconds
    assert np.median(latency[-quarter:]) < 3 * np.median(latency[:quarter])
