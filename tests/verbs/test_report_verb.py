"""`wellai-exp report` over a real store: the page of what is named, and no other's."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.tracking import Registry, Tracker
from wellai_exp.verbs._evidence import REPORTED_TAG

NAMES = ("a", "b", "c")


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    return Tracker(tracking_in(tmp_path / "mlruns", "poses"))


def model(seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])


def crown(tracker: Tracker, sweep: str | None, number: int, name: str = "poses", part: str = "test") -> str:
    """Register a winner and leave its page as a sweep does; gives the sweep's run."""
    with tracker.run("sweep", tags={"wellai.kind": "sweep"}, resume=sweep) as run:
        uri = tracker.log_model(run, model(number), class_names=NAMES, size=8, metadata={"part": part})
        registry = Registry(tracker.tracking)
        registry.register(uri, name, run_id=run.id)
        run.log_text(f"<p>page {number}</p>", f"{part}/report.html")
        run.set_tags({f"{REPORTED_TAG}.{part}": registry.resolve(uri).sha256})
    return run.id


def page_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str) -> str:
    """Ask for a report and give the page that is copied, or what was said instead."""
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "report", name, "out=sent"])
    try:
        main()
    except SystemExit as stopped:
        assert stopped.code == 1
        return capsys.readouterr().err
    return (Path("sent") / "report.html").read_text(encoding="utf-8")


def test_a_version_has_its_own_page_and_a_student_too(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = crown(tracker, None, 1)
    crown(tracker, sweep, 2, "poses-student", "student")
    assert page_of(monkeypatch, capsys, "poses/1") == "<p>page 1</p>"
    assert page_of(monkeypatch, capsys, "poses-student/1") == "<p>page 2</p>"
    assert page_of(monkeypatch, capsys, "poses") == "<p>page 1</p>"
    # The sweep goes on, and its next winner's page takes the first one's place.
    crown(tracker, sweep, 3)
    assert page_of(monkeypatch, capsys, "poses/2") == "<p>page 3</p>"
    assert "model=poses/1: it left no report; type wellai-exp evaluate" in page_of(monkeypatch, capsys, "poses/1")


def test_the_card_of_its_export_comes_with_a_models_report(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = crown(tracker, None, 1)
    registry, bundle = Registry(tracker.tracking), tmp_path / "bundle"
    ref = registry.resolve("models:/poses/1")
    bundle.mkdir()
    for name in ("card.html", "slimming.png"):
        (bundle / name).write_text(f"{name} of version 1")
    (bundle / "bundle.json").write_text(json.dumps({"model_sha256": ref.sha256}))
    registry.attach(ref, bundle, "export", {})
    assert page_of(monkeypatch, capsys, "poses/1") == "<p>page 1</p>"
    assert (Path("sent") / "card.html").read_text() == "card.html of version 1"
    assert (Path("sent") / "slimming.png").is_file()
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "report", "poses/1", "browser=false"])
    capsys.readouterr()
    main()
    said = capsys.readouterr().out
    assert "the report is" in said
    assert re.search(r"what each exported form gives in its runtime is in \S+card\.html", said)
    # The next winner's page lies in the same run, and the card is not about that model.
    crown(tracker, sweep, 2)
    (Path("sent") / "card.html").unlink()
    assert page_of(monkeypatch, capsys, "poses/2") == "<p>page 2</p>"
    assert not (Path("sent") / "card.html").exists()


@pytest.mark.parametrize("content", ["{}", "[]", "{"])
def test_an_export_that_was_changed_is_told_of(
    content: str, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(tracker, None, 1)
    registry, bundle = Registry(tracker.tracking), tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text(content)
    registry.attach(registry.resolve("models:/poses/1"), bundle, "export", {})
    assert "bundle.json was changed and names no model; type wellai-exp export again" in page_of(
        monkeypatch, capsys, "poses/1"
    )
