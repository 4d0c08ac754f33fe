"""`wellai-exp summary` over folders of pictures: what it prints, what it leaves in MLflow, what it refuses."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.tracking import RunRecord, Tracker, Tracking

CLASSES = {"나무 자세": 12, "crow, [bow]": 6}


def picture(seed: int, mirrored: bool = False) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    image = cv2.resize(coarse, (48, 48) if mirrored else (64, 80), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(image[:, ::-1]) if mirrored else image)[1])


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder in which each picture of the larger class has a mirrored, smaller twin."""
    monkeypatch.chdir(tmp_path)
    tracking_in(tmp_path / "mlruns")
    seed = 0
    for label, images in CLASSES.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(images):
            twin = images > 6 and number % 2 == 1
            seed += not twin
            (tmp_path / "photos" / label / f"{number:02d}.jpg").write_bytes(picture(seed, twin))
    return tmp_path / "photos"


def summary(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "summary", *arguments])
    main()


def last_run(kind: str) -> tuple[Tracker, RunRecord]:
    tracker = Tracker(Tracking(Path("mlruns").absolute(), "folder"))
    found = tracker.find_run({"wellai.kind": kind}, status="FINISHED")
    assert found is not None
    return tracker, tracker.get(found)


def test_a_data_set_its_next_version_and_the_twins_of_a_careless_split(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("data=folder", f"data.root={photos}", "split.folds=2")
    summary(monkeypatch, *data)
    said = capsys.readouterr().out
    assert "images with a near-duplicate" in said
    assert "crow, [bow]" in said
    tracker, run = last_run("summary")
    assert run.metrics["images"] == 18
    assert run.metrics["twins"] == 12
    assert run.metrics["leaked_images"] == 0
    page = tracker.fetch(run.id, "summary.html").read_text(encoding="utf-8")
    assert "12 images have a near-duplicate" in page
    for name in ("class_balance", "sizes", "samples", "twins"):
        assert tracker.fetch(run.id, f"{name}.png").read_bytes().startswith(b"\x89PNG")

    (photos / "나무 자세" / "00.jpg").rename(photos / "crow, [bow]" / "new name.jpg")
    (photos / "crow, [bow]" / "99.jpg").write_bytes(picture(99))
    summary(monkeypatch, *data, "split.near_duplicates=false")
    said = " ".join(capsys.readouterr().out.split())
    assert "groups of near-duplicates lie on both sides by split.near_duplicates=false" in said
    _, run = last_run("summary")
    assert run.metrics["twins_of_other_label"] == 2
    assert run.metrics["leaked_images"] > 0
    kept = {path.name for path in Path("mlruns/manifests").iterdir()}
    assert len(kept) == 2
    first = next(digest for digest in kept if digest[:8] in said.split("after ")[1][:12])
    capsys.readouterr()
    summary(monkeypatch, "--diff", first[:10], "folder")
    said = " ".join(capsys.readouterr().out.split())
    assert f"From folder {first[:8]} to folder" in said
    assert "나무 자세 → crow, [bow]" in said
    tracker, run = last_run("data_versions")
    assert (run.metrics["images/added"], run.metrics["images/removed"], run.metrics["images/relabelled"]) == (1, 0, 1)
    changes = pd.read_csv(io.BytesIO(tracker.fetch(run.id, "changes.csv").read_bytes()))
    assert set(changes["change"]) >= {"added", "relabelled"}

    summary(monkeypatch, "--leaks", "folder", first)
    said = " ".join(capsys.readouterr().out.split())
    assert "have two labels" in said
    tracker, run = last_run("data_versions")
    assert run.metrics["twins"] == 18
    assert run.metrics["leaked_images"] > 0
    assert tracker.fetch(run.id, "twins.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--diff", "one"), "manifests=one: no version of that digest or name is kept"),
        (("--diff",), "manifests=[]: --diff and --leaks compare two versions"),
        (("--diff", "--leaks"), "leaks=true: one question at a time"),
        (("diff=perhaps",), "diff=perhaps: it must be true or false"),
        (("data=folder", "data.root=nowhere"), "data.root=nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        summary(monkeypatch, *arguments)
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert sentence in " ".join(error.split())
    assert "Traceback" not in error
