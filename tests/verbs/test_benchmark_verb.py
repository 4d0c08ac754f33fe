"""`wellai-exp benchmark` of evidence: on stored predictions alone, and of what it can tell apart."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tracking_stores import tracking_in

from wellai_exp.cli import main
from wellai_exp.tracking import RunRecord, Tracker


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    return Tracker(tracking_in(tmp_path / "mlruns", "benchmark"))


def measured(tracker: Tracker, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> RunRecord:
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "benchmark", *arguments])
    main()
    found = tracker.find_run({"wellai.kind": "benchmark"}, "FINISHED")
    assert found is not None
    return tracker.get(found)


def test_all_evidence_is_gathered_from_stored_predictions(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(tracker, monkeypatch, "what=evaluation", "images=300", "n_classes=25", "evidence.resamples=100")
    assert "300 images, 25 classes, 100 resamples: everything in" in " ".join(capsys.readouterr().out.split())
    assert run.metrics["seconds"] > 0
    assert run.metrics["test_low/accuracy"] <= run.metrics["test/accuracy"] <= run.metrics["test_high/accuracy"]
    for artifact in ("report.html", "explore.html", "pr_curves.json", "thresholds.json", "the_worst_mistakes.png"):
        assert tracker.fetch(run.id, f"test/{artifact}").stat().st_size > 0


def test_the_power_of_the_paired_test_is_printed_and_drawn(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    run = measured(tracker, monkeypatch, "what=power", "pairs=10")
    shown = capsys.readouterr().out
    assert "auc_pr_macro" in shown
    assert "true difference" in shown
    assert tracker.fetch(run.id, "power.png").read_bytes().startswith(b"\x89PNG")


def test_the_rate_of_collecting_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "benchmark", "what=collect", "urls=90"])
    main()
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(r"90 URLs of a local server in [\d.]+ s: [1-9]\d* URLs a second, 90 photographs, \d MB", shown)
