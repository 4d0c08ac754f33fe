"""`wellai-exp clean` as a user types it: table, page, copy, run; and one sentence where something cannot work."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from drawn_files import folder_of_scenes, save, scene
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.data import ImageFolder
from wellai_exp.tracking import Tracker, Tracking

MODEL = ("backbone=mobilenet_v1", "backbone.size=32", "backbone.alpha=0.25", "backbone.weights=random.weights.h5")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tracking_in(tmp_path / "mlruns", "folder")
    folder_of_scenes(tmp_path / "photos", 3, 6)
    save(tmp_path / "more" / "pose 0" / "twin.jpg", np.ascontiguousarray(scene(0)[::2, ::-2]))
    save(tmp_path / "more" / "pose 0" / "new.webp", scene(500))
    save(tmp_path / "more" / "pose 1" / "w.jpg", scene(2001))
    (tmp_path / "more" / "pose 1" / "rubbish.jpg").write_text("<html>")
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "clean", "data=folder", "data.root=photos", *arguments])
    main()


def test_two_folders_become_one_clean_copy(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["also=[more]", "limits.workers=1", "--apply", "--out", "clean"]
    typed(monkeypatch, *command)
    said = " ".join(capsys.readouterr().out.split())
    assert "22 files, 22 of them read now" in said
    assert "outlier and mislabelled are left out" in said
    assert "no_person is left out" in said
    folder = place / "mlruns" / "cleaning" / "folder"
    table = pd.read_csv(folder / "decisions.csv", keep_default_na=False).set_index("path")
    assert len(table) == 22
    assert table.loc["more/pose 0/twin.jpg", "check"] == "near_duplicate"
    assert table.loc["more/pose 0/new.webp", "verdict"] == "converted"
    assert table.loc[["more/pose 1/w.jpg", "photos/pose 2/001.jpg"], "check"].tolist() == ["two_labels"] * 2
    assert table.loc["more/pose 1/rubbish.jpg", "check"] == "not_an_image"
    assert set(pd.read_parquet(folder / "decisions.parquet").columns) > {"value/blurred", "value/near_duplicate"}
    page = (folder / "cleaning.html").read_text(encoding="utf-8")
    assert "Near-duplicates" in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    assert len(ImageFolder(place / "clean").listing()) == 18
    tracker = Tracker(Tracking(place / "mlruns", "folder"))
    run = tracker.find_run({"wellai.kind": "clean"}, "FINISHED")
    assert run is not None
    assert tracker.get(run).metrics["files/set_aside"] == 4
    assert tracker.fetch(run, "cleaning.html").stat().st_size > 1000
    # A second time: nothing is read, and the user's word settles what the checks could not.
    (place / "mine.csv").write_text("path,verdict,label\nphotos/pose 2/001.jpg,keep,\n")
    typed(monkeypatch, *command[:-1], "again", "--overrides", "mine.csv")
    assert "22 files, 0 of them read now" in " ".join(capsys.readouterr().out.split())
    table = pd.read_csv(folder / "decisions.csv", keep_default_na=False).set_index("path")
    assert table.loc["photos/pose 2/001.jpg", "verdict"] == "kept"
    assert table.loc["photos/pose 2/001.jpg", "check"] == "override"
    assert table.loc["more/pose 1/w.jpg", "check"] == "exact_duplicate"
    assert len(ImageFolder(place / "again").listing()) == 19


def test_with_a_backbone_every_check_but_the_persons_is_asked(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    network.save_weights(place / "random.weights.h5")
    typed(monkeypatch, *MODEL, "limits.workers=1", "folds=2", "cleaning.outlier.neighbors=2")
    said = " ".join(capsys.readouterr().out.split())
    assert "mislabelled are left out" not in said
    table = pd.read_parquet(place / "mlruns" / "cleaning" / "folder" / "decisions.parquet")
    assert table["value/mislabelled"].notna().all()
    assert table["value/outlier"].notna().all()
    assert "Map of the pictures" in (place / "mlruns" / "cleaning" / "folder" / "cleaning.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["also=[nowhere]"], r"also=nowhere: .*no such folder"),
        (["--apply"], r"out=null: .*type --out FOLDER"),
        (["apply=maybe"], r"apply=maybe: .*true or false"),
        (["overrides=none.csv"], r"overrides=none\.csv: .*no such file"),
        (["cleaning.blurred.least=-1"], r"cleaning\.blurred\.least=-1: .*set cleaning\.blurred\.least="),
        (["cleaning=nope"], r"cleaning=nope: .*choose one of .*blurred"),
        (["cleaning.no_person.model=none.tflite"], r"cleaning\.no_person\.model=none\.tflite: .*no such file"),
        (["cleaning.no_person.model=photos/pose 0/000.jpg"], r"no_person\.model=.*no TFLite model"),
        (["resize=squash"], r"resize=squash: .*stretch"),
        (["folds=1"], r"folds=1: .*at least 2"),
        (["limits.seconds=0"], r"limits\.seconds=0: "),
        (["backbone=mobilenet_v2", "backbone.weights=/no.h5"], r"backbone\.weights=/no\.h5: "),
        (["--apply", "--out", "photos", "limits.workers=1"], r"out=.*photos: .*something else"),
    ],
)
def test_a_bad_command(
    arguments: list[str],
    words: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        typed(monkeypatch, *arguments)
    assert stopped.value.code == 1
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(shown) == 1
    assert re.search(words, shown[0]), shown[0]
