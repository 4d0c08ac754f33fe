"""The recipe for Yoga-82 runs on drawn figures under the real names, in the official lists' own form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from place import Place

from wellai_exp.data._figures import render

POSES = ("tree", "boat", "cobra")
TRAIN, TEST = 2, 1


def shortened(lists: Path, side: str, count: int) -> list[str]:
    """Give the first lines of each class of an official list."""
    chosen: dict[str, list[str]] = defaultdict(list)
    for line in (lists / f"yoga_{side}.txt").read_text(encoding="utf-8").splitlines():
        label = line.rsplit(",", 1)[1]
        if len(chosen[label]) < count:
            chosen[label].append(line)
    return [line for lines in chosen.values() for line in lines]


@pytest.fixture
def drawn(tmp_path: Path, assets: Path) -> Path:
    """Draw the images that the shortened lists name, and write those lists beside them."""
    root = tmp_path / "yoga82"
    for side, count in (("train", TRAIN), ("test", TEST)):
        lines = shortened(assets / "data" / "yoga82-annotations", side, count)
        for index, line in enumerate(lines):
            path = root / line.rsplit(",", 3)[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = render(POSES[index % 3], seed=1000 * count + index, size=48)
            path.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
        (root / f"yoga_{side}.txt").write_text("\n".join(lines), encoding="utf-8")
    return root


@pytest.mark.parametrize("regime", ["finetune", pytest.param("decoupled", marks=pytest.mark.slow)])
def test_two_steps_of_the_recipe(new_place: Callable[[], Place], drawn: Path, regime: str) -> None:
    place = new_place()
    place.type(
        *("train", "experiment=yoga82", f"data.root={drawn}", "split.folds=2", "split.near_duplicates=false"),
        *("backbone=small_conv", "backbone.size=32", f"regime={regime}", "regime.epochs=1", "regime.batch_size=41"),
        *("regime.contrastive.epochs=1", "regime.head_warm_up=true", "augmentation=strong", "optimizer=lion"),
        *("imbalance=balanced_softmax", "head.level_weights=0.3", "final.seeds=1"),
    )
    (run,) = place.runs("train", "yoga82")
    assert run.info.status == "FINISHED"
    assert run.data.params["head"] == "hierarchical"
    assert 0.0 < run.data.metrics["test/auc_pr_macro"] <= 1.0
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert '"classes": 82' in str(data.dataset.profile)
