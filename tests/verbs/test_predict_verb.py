"""`wellai-exp predict`: every picture has its line, whatever it is called and whatever is wrong with it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_bundle import CLASSES, SIZE, network
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.tracking import Tracker

COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "pale": (128, 128, 134)}
LABELS = {"red": "red", "green": CLASSES[1], "blue": "blue", "pale": "none"}


def picture(path: Path, colour: str, kind: str = ".png") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(kind, np.full((40, 60, 3), COLOURS[colour], np.uint8))[1].tobytes())
    return path


Predict = Callable[..., tuple[int, str, str]]


@pytest.fixture
def predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], colours: Path
) -> Predict:
    """Type the command in an empty folder with a copy of the bundle in it; gives status, output and complaints."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(colours, tmp_path / "colours")

    def typed(*arguments: str, model: str = "./colours", sent: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wellai-exp", "predict", model, *arguments])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sent)))
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(str(stopped.code))
        shown, said = capfdbinary.readouterr()
        return status, shown.decode("utf-8", "surrogateescape"), said.decode()

    return typed


def records(shown: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.splitlines()]


def test_files_and_folders_are_named_in_order_with_their_thresholds(predict: Predict, tmp_path: Path) -> None:
    for colour in COLOURS:
        picture(tmp_path / "photos" / "more" / f"{colour}.png", colour)
    picture(tmp_path / "photos" / ".hidden.png", "red")
    picture(tmp_path / "one.jpg", "blue", ".jpg")
    status, shown, _ = predict("one.jpg", "photos")
    found = records(shown)
    assert status == 0
    assert [each["path"] for each in found] == ["one.jpg", *(f"photos/more/{name}.png" for name in sorted(COLOURS))]
    for each in found:
        name = Path(each["path"]).stem.replace("one", "blue")
        assert each["label"] == LABELS[name]
        assert len(each["top"]) == 3
        assert sum(one["probability"] for one in each["top"]) == pytest.approx(1, abs=1e-5)
        # The second class has no threshold.
        assert each["sure"] is (None if name == "green" else name != "pale")


def test_what_cannot_be_read_is_a_line_with_its_reason_and_the_others_go_on(predict: Predict, tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "z.png", "red")
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "page.jpg").write_text("<html>")
    (tmp_path / "photos" / "film.mp4").write_text("no film")
    os.mkfifo(tmp_path / "photos" / "pipe")
    status, shown, said = predict("absent.png", "photos", "photos/pipe")
    found = {each["path"]: each for each in records(shown)}
    reasons = {path: each["error"] for path, each in found.items() if "error" in each}
    assert reasons.keys() == {
        "absent.png",
        *(f"photos/{name}" for name in ("empty.jpg", "page.jpg", "film.mp4", "pipe")),
    }
    for words in ("absent.png does not exist", "empty.jpg is empty", "page.jpg is no image", "film.mp4 is no video"):
        assert any(words in reason for reason in reasons.values())
    assert found["photos/z.png"]["label"] == "red"
    assert (status, said) == (1, "error: 5 of 6 pictures cannot be used; each is named above with the reason.\n")


NAMES = [
    b"\xff\xfe.png",
    "나무 자세 [1].png".encode(),
    b"a\nb.png",
    b"a=b.png",
    b"-f.png",
    b"${oc.env:HOME}.png",
    b"it's\\.png",
]


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_taken_and_given_back(name: bytes, form: str, predict: Predict, tmp_path: Path) -> None:
    text = os.fsdecode(name)
    picture(tmp_path / "photos" / text, "red")
    os.chdir("photos")
    status, shown, _ = predict(f"format={form}", "--", text, model="../colours")
    assert status == 0
    if form == "jsonl":
        (found,) = records(shown)
        assert os.fsencode(found["path"]) == name
        assert found["label"] == "red"
    elif form == "csv":
        (row,) = csv.DictReader(io.StringIO(shown, newline=""))
        assert (os.fsencode(row["path"]), row["label"], row["sure"]) == (name, "red", "true")
        assert float(row["probability_1"]) > 0.99
    else:
        assert "\x1b" not in shown
        assert "red 1.000" in shown


def test_a_terminals_commands_in_a_name_are_written_as_escapes(predict: Predict, tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "\x1b[2J[red].png", "red")
    _, shown, _ = predict("photos", "format=table")
    assert "\x1b" not in shown
    assert r"\x1b[2J[red].png" in "".join(shown.split())


@pytest.mark.parametrize(("end", "more"), [(b"\n", []), (b"\0", ["--null"])])
def test_names_come_from_standard_input(end: bytes, more: list[str], predict: Predict, tmp_path: Path) -> None:
    names = ["red.png", "green.png", "blue.png"]
    for name in names:
        picture(tmp_path / name, name[:-4])
    status, shown, _ = predict("-", *more, sent=end.join(name.encode() for name in names))
    assert status == 0
    assert [(each["path"], each["label"]) for each in records(shown)] == [(name, LABELS[name[:-4]]) for name in names]


@pytest.mark.parametrize(("every", "expected"), [("0", list(range(20))), ("1", [0, 10])])
def test_a_video_has_a_line_a_frame_with_its_time(
    every: str, expected: list[int], predict: Predict, tmp_path: Path
) -> None:
    kind = cv2.VideoWriter_fourcc(*"MJPG")  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.CAP_FFMPEG, kind, 10.0, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), COLOURS["red" if number < 10 else "blue"], np.uint8))
    writer.release()
    status, shown, _ = predict("film.avi", f"every={every}", "batch_size=3")
    found = records(shown)
    assert status == 0
    assert [each["frame"] for each in found] == expected
    assert [each["seconds"] for each in found] == pytest.approx([number / 10 for number in expected])
    assert [each["label"] for each in found] == ["red" if number < 10 else "blue" for number in expected]


def test_a_registered_model_and_a_file_answer_as_the_bundle_does(predict: Predict, tmp_path: Path) -> None:
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    tracker = Tracker(tracking_in(tmp_path / "mlruns", "Default"))
    with tracker.run("train") as run:
        uri = tracker.log_model(run, network(), class_names=CLASSES, size=SIZE, metadata={"resize": "crop"})
    _, bundles, _ = predict("photos")
    _, models, _ = predict("photos", model=uri)
    _, converted, _ = predict("photos", "runtime=litert", model=uri)
    assert models == converted
    for one, other in zip(records(bundles), records(models), strict=True):
        assert one["top"] == other["top"]
        # No predictions of it are kept that thresholds could be chosen on.
        assert other["sure"] is None
        assert other["label"] == other["top"][0]["label"]


def test_a_changed_byte_is_refused(predict: Predict, tmp_path: Path) -> None:
    picture(tmp_path / "red.png", "red")
    (file,) = (tmp_path / "colours").rglob("*.tflite")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    status, shown, said = predict("red.png")
    assert (status, shown) == (1, "")
    assert "was changed after the export; it is not used" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["format=xml", "x"], "format=xml: there is no such format; set format to one of table, jsonl, csv"),
        (["precision=2", "x", "model=demo"], "precision=2.0: it must be above 0 and at most 1"),
        (["top=0", "x"], "top=0: it must be at least 1"),
        (["every=-1", "x"], "every=-1: it must be at least 0"),
        (["every=often", "x"], "every=often: it must be a number"),
        (["artifact=onnx", "x"], "holds no artifact 'onnx'; it holds tflite_float32"),
        (["runtime=saved_model", "artifact=tflite_float32", "x"], "runtime=saved_model: it reads saved_model and"),
        (["runtime=saved_model", "x"], "is fit for saved_model"),
        (["runtime=nothing", "x"], "runtime=nothing: there is no such option"),
        ([], "images=[]: nothing is named to look at"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(arguments: list[str], said: str, predict: Predict) -> None:
    status, shown, complaint = predict(*arguments)
    assert (status, shown) == (1, "")
    assert said in complaint
    assert complaint.count("\n") == 1


def test_a_reader_that_goes_away_ends_it_quietly(predict: Predict, tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / "photos" / f"{number}.png", "red")
    command = [sys.executable, "-m", "wellai_exp", "predict", "./colours", "photos", "batch_size=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["label"] == "red"
        process.stdout.close()
        assert process.stderr.read() == b""
