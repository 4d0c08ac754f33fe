"""`wellai-exp benchmark BUNDLE`: a row an artifact and runtime, kept in MLflow with its picture."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.paths import sha256_of
from wellai_exp.tracking import Tracker

Benchmark = Callable[..., tuple[int, str, str]]


@pytest.fixture
def benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], colours: Path
) -> Benchmark:
    """Type the command where a copy of the bundle lies; gives status, output and complaints, each in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copytree(colours, tmp_path / "colours")

    def typed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wellai-exp", "benchmark", "colours", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(str(stopped.code))
        shown, said = capfd.readouterr()
        return status, " ".join(shown.split()), said

    return typed


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (640, 480))  # type: ignore[attr-defined]
    for number in range(5):
        writer.write(np.full((480, 640, 3), 50 * number, np.uint8))
    writer.release()
    return path


def test_a_video_is_fed_and_everything_is_kept(benchmark: Benchmark, film: Path, tmp_path: Path) -> None:
    tracker = Tracker(tracking_in(tmp_path / "mlruns", "benchmark"))
    status, shown, said = benchmark("fps=20", "seconds=1", "rounds=2", f"video={film}", "runtimes=[litert]")
    assert (status, said) == (0, "")
    assert "colours/2 before a camera of 20 FPS: 2 rounds of 1 s of the video film.avi" in shown
    found = tracker.find_run({"wellai.kind": "benchmark"}, "FINISHED")
    assert found is not None
    run = tracker.get(found)
    assert run.tags["wellai.bundle"] == "colours/2"
    assert run.tags["wellai.bundle_sha256"] == sha256_of(tmp_path / "colours" / "SHA256SUMS")
    figures = {name.split("/")[-1]: value for name, value in run.metrics.items()}
    assert figures["captured"] == 20
    assert 0 <= figures["dropped"] < 20
    assert figures["latency_p50_ms"] <= figures["latency_p95_ms"] <= figures["latency_p99_ms"]
    assert figures["latency_p50_ms"] > figures["inference_ms"] > 0
    assert figures["memory_mb"] > figures["memory_before_mb"] > 0
    rows = pd.read_csv(tracker.fetch(run.id, "stream.csv"))
    assert rows[["artifact", "runtime"]].to_numpy().tolist() == [["tflite_float32", "litert"]]
    answers = pd.read_csv(tracker.fetch(run.id, "answers.csv"))
    # Each figure is the median of the rounds'.
    rounds = answers.groupby("round")
    assert rounds.size().index.tolist() == [0, 1]
    assert 20 - rounds.size().median() == figures["dropped"]
    assert rounds["latency_ms"].median().median() == pytest.approx(figures["latency_p50_ms"], abs=1e-3)
    for _, own in rounds:
        assert own["frame"].is_monotonic_increasing
    assert tracker.fetch(run.id, "stream.png").read_bytes().startswith(b"\x89PNG")


def test_the_datas_test_images_come_as_a_camera_sends_them(benchmark: Benchmark) -> None:
    drawn = ["data.n_images=80", "data.ratio=2", "data.size=32"]
    status, shown, _ = benchmark(
        "fps=50", "seconds=0.2", "rounds=1", "runtimes=litert", "artifacts=tflite_float32", *drawn
    )
    assert status == 0
    assert "pictures as a camera of 640 x 480 px sends them" in shown


def test_a_changed_byte_is_refused(benchmark: Benchmark, film: Path, tmp_path: Path) -> None:
    (tmp_path / "colours" / "bundle.json").write_bytes((tmp_path / "colours" / "bundle.json").read_bytes() + b" ")
    status, shown, said = benchmark(f"video={film}")
    assert (status, shown) == (1, "")
    assert "bundle.json was changed after the export; it is not used" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["what=latency"], "what=latency: a bundle is measured before a camera and no other way"),
        (["fps=0"], "fps=0.0: it must be above 0"),
        (["fps=fast"], "fps=fast: it must be a number"),
        (["seconds=-1"], "seconds=-1.0: it must be above 0"),
        (["batch=0"], "batch=0: it must be 1 to 256"),
        (["rounds=0"], "rounds=0: it must be at least 1"),
        (["threads=0"], "threads=0: it must be at least 1"),
        (["artifacts=[onnx]"], "holds no artifact 'onnx'; it holds tflite_float32"),
        (["runtimes=[saved_model]"], "runtimes=saved_model: it reads saved_model, and what is to be measured"),
        (["runtimes=[nothing]"], "runtimes=nothing: there is no such runtime; choose from"),
        (["video=absent.mp4"], "absent.mp4 cannot be read"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(
    arguments: list[str], said: str, benchmark: Benchmark, film: Path
) -> None:
    given = arguments if arguments[0].startswith("video") else [f"video={film}", *arguments]
    status, _, complaint = benchmark(*given)
    assert status == 1
    assert said in complaint
    assert complaint.count("\n") == 1


def test_where_nothing_can_be_measured_each_reason_is_told(
    benchmark: Benchmark, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wellai_exp.export import read_bundle, seal_bundle

    folder = tmp_path / "colours"
    bundle = read_bundle(folder)
    (folder / bundle.artifacts[0].path).write_bytes(b"TFL3 and then nothing")
    seal_bundle(bundle)
    status, shown, said = benchmark(f"video={film}", "seconds=0.1", "rounds=2", "runtimes=[litert]")
    assert status == 1
    assert "tflite_float32 in litert: litert cannot open" in shown
    assert "nothing could be measured" in said
