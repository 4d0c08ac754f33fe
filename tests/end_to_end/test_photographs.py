"""A short sweep over real photographs and real weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from place import Place


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_real_backbone_reaches_what_a_hand_written_probe_does(new_place: Callable[[], Place], assets: Path) -> None:
    place = new_place()
    pinned = ["backbone=mobilenet_v1_075_local", "augmentation=none", "imbalance=none", "head=linear"]
    command = ["sweep", "experiment=yoga62", *pinned, "search.n_trials=3"]
    environment = {"WELLAI_ASSETS": str(assets)}
    first = place.type(*command, environment=environment).stdout
    assert "features computed in this run: 3138" in first.replace("\n", " ")
    (parent,) = place.runs("sweep", "yoga62")
    assert parent.data.metrics["test/auc_pr_macro"] > 0.88
    assert "features computed in this run: 0" in place.type(*command, environment=environment).stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twins_across_a_random_split_inflate_scores_and_the_report_says_by_how_much(
    new_place: Callable[[], Place], assets: Path
) -> None:
    place = new_place()
    for name in ("yoga62", "yoga62-dirty"):
        for file in (assets / "data" / name).glob("*/*"):
            link = place.folder / "both" / file.parent.name / f"{name} {file.name}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    careless = ["data=folder", "data.root=both", "data.unreadable=skip", "split.near_duplicates=false"]
    probe = ["backbone=mobilenet_v1_075_local", "augmentation=none", "imbalance=none", "head=linear"]
    lean = ["evidence.robustness=0", "evidence.explanations=0", "evidence.resamples=100"]
    said = place.type("train", *careless, *probe, *lean, environment={"WELLAI_ASSETS": str(assets)}).stdout
    assert "have a near-duplicate among those that the model was trained on" in " ".join(said.split())
    (run,) = place.runs("train", "folder")
    inflated = run.data.metrics["test/accuracy"]
    honest = run.data.metrics["test_without_leaked/accuracy"]
    assert run.data.metrics["test/leaked_images"] > 300
    assert inflated > 0.9
    assert 0.8 < honest < inflated - 0.05
