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
