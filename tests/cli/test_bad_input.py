"""Bad input gets one sentence that names the setting, its value and what to do next, exit status 1, no traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from wellai_exp.cli import main

TINY = ["data.n_images=80", "data.ratio=2", "data.size=32"]
QUICK = ["backbone=small_conv", "backbone.size=32"]


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of twelve pictures."""
    root = tmp_path / "photos"
    for label in range(3):
        for index in range(12):
            picture(root / f"pose {label}" / f"{index}.png", 100 * label + index)
    return root


def refuse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> str:
    """Type a command that must be refused; give its sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wellai-exp", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(shown) == 1
    assert "Traceback" not in shown[0]
    return shown[0]


LISTED = ["data.root=photos", "data.table=urls.csv"]
COMMANDS: dict[str, tuple[list[str], str]] = {
    "unknown verb": (["swep"], r"swep: .*did you mean `wellai-exp sweep`"),
    "unknown experiment": (["sweep", "experiment=nope"], r"experiment=nope: .*choose one of .*demo"),
    "unknown option": (["sweep", "imbalance=smoth"], r"imbalance=smoth: .*smote"),
    "unknown setting": (["sweep", "search.n_trails=3"], r"search\.n_trails: .*n_trials"),
    "setting of another verb": (
        ["serve", "bundle", "browser=false"],
        r"browser: there is no such setting; --cfg job shows those there are",
    ),
    "unknown group": (["sweep", "bakcbone=x"], r"bakcbone: .*backbone"),
    "unknown added setting": (["train", "+imbalance.neighbours=3"], r"imbalance.*neighbours"),
    "malformed override": (["sweep", "search.n_trials=[1"], r"search\.n_trials=\[1: .*quotes"),
    "stray argument": (["sweep", "demo"], r"demo: .*KEY=VALUE"),
    "flag without a value": (["promote", "demo", "--version"], r"--version: .*needs a value"),
    "variable not set": (["train", "data=yoga62"], r"WELLAI_ASSETS.*not set; type WELLAI_ASSETS=FOLDER"),
    "no root": (["train", "data=folder"], r"data\.root=\?\?\?: .*type data\.root=VALUE"),
    "missing folder": (["train", "data=folder", "data.root=/no/such"], r"data\.root=/no/such: "),
    "missing table": (["train", "data=table", "data.table=/no.csv", "data.root=."], r"data\.table=/no\.csv: "),
    "learning rate": (["train", "head.learning_rate=-1"], r"head\.learning_rate=-1: .*set head\.learning_rate="),
    "steps": (["train", "head.steps=0"], r"head\.steps=0: "),
    "scaling": (["train", "head.scaling=log"], r"head\.scaling=log: .*standard"),
    "folds": (["train", "split.folds=1"], r"split\.folds=1: "),
    "test share": (["train", "split.test=1.5"], r"split\.test=1\.5: "),
    "long tail": (["train", "data.long_tail=0.5"], r"data\.long_tail=0\.5: "),
    "trials": (["sweep", "search.n_trials=0"], r"search\.n_trials=0: "),
    "trials as text": (["sweep", "search.n_trials=many"], r"search\.n_trials=many: "),
    "space grammar": (
        ["sweep", "experiment=demo", "search.space.imbalance='choice(none'"],
        r"search\.space\.imbalance=.*grammar",
    ),
    "space of one value": (
        ["sweep", "experiment=demo", "search.space.imbalance=none"],
        r"search\.space\.imbalance=none: .*choice",
    ),
    "space over data": (["sweep", "+search.space.split='choice(a,b)'"], r"search\.space\.split=.*multirun"),
    "space without quotes": (
        ["sweep", "+search.space.imbalance=choice(none,smote)"],
        r"""choice\(none,smote\): .*type "\+search\.space\.imbalance='choice\(none,smote\)'".*--multirun""",
    ),
    "several values": (
        ["sweep", "imbalance=none,smote"],
        r"imbalance=none,smote: .*\+search\.space\.imbalance='choice\(none,smote\)'.*imbalance=\[none,smote\]",
    ),
    "no space": (["sweep", "search.conditional=[]"], r"search\.space=.*nothing is left"),
    "sampler": (
        ["sweep", "experiment=demo", "+search.sampler.nonsense=1", *TINY],
        r"search\.sampler=BoundedTPESampler: .*nonsense",
    ),
    "memory of the sampler": (
        ["sweep", "experiment=demo", "search.sampler.most=9", *TINY],
        r"search\.sampler=BoundedTPESampler: most=9 must be at least 250",
    ),
    "grid of an interval": (
        ["sweep", "search=grid", "search.conditional=[imbalance]", "imbalance=smote"],
        r"search\.sampler=BruteForceSampler: .*imbalance\.",
    ),
    "pruner of a probe": (
        ["sweep", "experiment=demo", "search.pruner={_target_: optuna.pruners.MedianPruner}"],
        r"search\.pruner=optuna\.pruners\.MedianPruner: .*regime\.rungs=\[1,2\]",
    ),
    "foreign target": (["train", "imbalance._target_=os.system"], r"imbalance\._target_=os\.system: only classes"),
    "deep target": (["train", "imbalance._target_=wellai_exp.paths.os.getcwd"], r"imbalance\._target_=.*only classes"),
    "neighbours": (["train", "imbalance=smote", "imbalance.k_neighbors=0"], r"imbalance\.k_neighbors=0: "),
    "cutmix on features": (["train", "augmentation=cutmix"], r"augmentation=cutmix: .*probe"),
    "resize": (["train", "regime.resize=squash"], r"regime\.resize=squash: .*stretch"),
    "missing weights": (["train", "backbone=mobilenet_v2", "backbone.weights=/no.h5"], r"backbone\.weights=/no\.h5: "),
    "small input": (["train", "backbone.size=2"], r"backbone\.size=2: "),
    "tracking": (["train", "tracking.uri=file:///tmp/x"], r"tracking\.uri=file:///tmp/x: "),
    "unknown model": (["evaluate", "nobody"], r"nobody"),
    "predicting with nothing": (["predict"], r"model=\?\?\?: .*type model=VALUE"),
    "predicting nothing": (["predict", "nobody"], r"images=\[\]: .*type wellai-exp predict nobody FILE"),
    "predicting with an unknown model": (["predict", "nobody", "x.jpg"], r"nobody"),
    "artifact of no bundle": (["predict", "nobody", "x.jpg", "artifact=onnx"], r"artifact=onnx: model=nobody is no"),
    "folder that is no bundle": (["predict", "./", "x.jpg"], r"is no bundle: SHA256SUMS cannot be read there"),
    "unknown bundle": (["benchmark", "nobody"], r"nobody is no bundle: SHA256SUMS cannot be read there"),
    "unknown promotion": (["promote", "nobody"], r"nobody"),
    "port as text": (["ui", "--port", "here"], r"port=here: .*type --port 5000"),
    "seed as text": (["train", "seed=lucky"], r"seed=lucky: "),
    "collecting a demo": (["collect", "data=demo"], r"data=demo: it lists no URLs; choose data=links"),
    "collecting no table": (["collect", "data.root=x"], r"data\.table=\?\?\?: .*type data\.table=VALUE"),
    "collecting a missing table": (["collect", "data.root=x", "data.table=/no.csv"], r"data\.table=/no\.csv: "),
    "collecting without lists": (["collect", "data=yoga82", "data.root=/no/such"], r"data\.lists=/no/such: "),
    "limit of hosts": (["collect", *LISTED, "collect.per_host=0"], r"collect\.per_host=0: .*set collect\.per_host=2"),
    "limit as text": (["collect", *LISTED, "collect.seconds=long"], r"collect\.seconds=long: .*number"),
    "exempt name": (["collect", *LISTED, "collect.allow=['localhost:80']"], r"collect\.allow=localhost:80: .*numeric"),
    "again what": (["collect", *LISTED, "collect.again=[got]"], r"collect\.again=got: .*dead and refused"),
    "unknown limit": (["collect", *LISTED, "collect.per_hots=1"], r"collect\.per_hots: "),
    "unknown added limit": (["collect", *LISTED, "+collect.threads=1"], r"collect.*threads"),
    "collecting into a file": (["collect", "data.root=/dev/null", "data.table=/no.csv"], r"data\.table=/no\.csv: "),
    "unknown benchmark": (["benchmark", "what=collecting"], r"what=collecting: .*collect"),
    "unknown rollback": (["rollback", "nobody"], r"nobody"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bad_command(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments, pattern = COMMANDS[name]
    monkeypatch.delenv("WELLAI_ASSETS", raising=False)
    said = refuse(capsys, monkeypatch, tmp_path, *arguments)
    assert re.search(pattern, said), said


def spoil_empty_class(photos: Path) -> None:
    (photos / "pose 9").mkdir()


def spoil_one_image_class(photos: Path) -> None:
    picture(photos / "pose 9" / "only.png", 9)


def spoil_truncated(photos: Path) -> None:
    data = (photos / "pose 0" / "0.png").read_bytes()
    (photos / "pose 0" / "0.png").write_bytes(data[: len(data) // 2])


def spoil_zero_bytes(photos: Path) -> None:
    (photos / "pose 1" / "0.png").write_bytes(b"")


def spoil_html(photos: Path) -> None:
    (photos / "pose 1" / "0.png").write_text("<html>404</html>")


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty class": (spoil_empty_class, "pose 9"),
    "class of one": (spoil_one_image_class, r"pose 9.*(split\.folds|data\.min_per_class)"),
    "truncated image": (spoil_truncated, r"0\.png.*data\.unreadable=skip"),
    "image of zero bytes": (spoil_zero_bytes, r"0\.png.*data\.unreadable=skip"),
    "page instead of image": (spoil_html, r"0\.png.*data\.unreadable=skip"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_bad_data(
    name: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spoil, pattern = SPOILT[name]
    spoil(photos)
    said = refuse(capsys, monkeypatch, tmp_path, "train", "data=folder", f"data.root={photos}", *QUICK)
    assert re.search(pattern, said), said


@pytest.mark.parametrize(
    "content", ["path,name\na.png,x\n", "path,label\n../../etc/passwd,x\n", "path,label\na.png,\n"]
)
def test_bad_tables(
    content: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(content)
    said = refuse(
        capsys, monkeypatch, tmp_path, "train", "data=table", "data.table=t.csv", f"data.root={photos}", *QUICK
    )
    assert "t.csv" in said or "data." in said


def test_a_store_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mlruns").write_text("a file is in the way")
    assert "mlruns" in refuse(capsys, monkeypatch, tmp_path, "train")


def test_damaged_databases(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = ["sweep", "data=folder", f"data.root={photos}", *QUICK, "+search.space.head.l2='interval(0,1)'"]
    (tmp_path / "mlruns").mkdir()
    for name in ("study.db", "mlflow.db"):
        (tmp_path / "mlruns" / name).write_bytes(b"not a database" * 100)
        assert re.search(r"mlruns.*" + re.escape(name), refuse(capsys, monkeypatch, tmp_path, *command))
        (tmp_path / "mlruns" / name).unlink()


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", b"\x89HDF\r\n\x1a\n" + b"\0" * 64])
def test_a_weights_file_that_is_none(
    content: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "w.weights.h5").write_bytes(content)
    said = refuse(
        capsys,
        monkeypatch,
        tmp_path,
        "train",
        "backbone=mobilenet_v2",
        "backbone.weights=w.weights.h5",
        "data.n_images=300",
    )
    assert re.search(r"backbone\.weights=.*w\.weights\.h5", said), said
