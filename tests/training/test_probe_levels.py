"""The probe regime tells a head what its data know of the classes' parents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from short_training import pretrained

from wellai_exp.augmentation import NoAugmentation
from wellai_exp.data import Manifest, Split, Yoga82, build_manifest
from wellai_exp.errors import SettingError
from wellai_exp.imbalance import NoStrategy
from wellai_exp.models import HierarchicalHead
from wellai_exp.training import AdamW, Choices, FineTune, Probe, Representation, Shared

COLOURS = {"bow": (0, 0, 200), "crow": (0, 90, 200), "plank": (200, 0, 0), "tree": (200, 90, 0)}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Four colours in two pairs, listed as Yoga-82 lists its poses; the last level numbers the classes."""
    rng, lines = np.random.default_rng(0), []
    for number, (label, colour) in enumerate(COLOURS.items()):
        (tmp_path / label).mkdir()
        for image in range(8):
            pixels = np.clip(np.array(colour) + rng.normal(0, 3, (40, 40, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / label / f"{image}.png"), pixels)
            lines.append((f"{label}/{image}.png,{number // 2},{number // 2 + 5},{number}", image))
    for side, chosen in (("train", range(6)), ("test", range(6, 8))):
        text = "\n".join(line for line, image in lines if image in chosen)
        (tmp_path / f"yoga_{side}.txt").write_text(text)
    return build_manifest(Yoga82(tmp_path), Split(folds=2, near_duplicates=False), tmp_path / "store")


def choices(folder: Path) -> Choices:
    import keras

    keras.utils.set_random_seed(0)
    return Choices(pretrained(folder), NoAugmentation(), NoStrategy(), HierarchicalHead(steps=30), AdamW())


def test_folds_too_large_to_stack_are_judged_alike(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choices(tmp_path)
    regime = Probe(Representation(FineTune(), AdamW(), NoAugmentation()))
    task = regime.task(Shared(manifest, tmp_path / "store", seed=0))
    together = task.cross_validate(chosen)
    monkeypatch.setattr("wellai_exp.training._probe.STACKED_BYTES", 0)
    alone = task.cross_validate(chosen)
    assert len(alone.folds) == 2
    for one, other in zip(together.folds, alone.folds, strict=True):
        assert one == pytest.approx(other, abs=1e-3, nan_ok=True)


def test_a_hierarchical_head_learns_from_the_manifests_levels(manifest: Manifest, tmp_path: Path) -> None:
    chosen = choices(tmp_path)
    regime = Probe(Representation(FineTune(), AdamW(), NoAugmentation()))
    task = regime.task(Shared(manifest, tmp_path / "store", seed=0))
    fitted = task.fit(chosen)
    assert isinstance(fitted.head.head, HierarchicalHead)
    assert fitted.head.head.parents == ((0, 0, 1, 1), (0, 0, 1, 1))
    assert np.mean(fitted.probabilities.argmax(axis=1) == manifest.labels[manifest.test]) == 1.0
    flat = replace(manifest, frame=manifest.frame.drop(columns=["level_1", "level_2"]))
    without = regime.task(Shared(flat, tmp_path / "store", seed=0))
    for verb in (without.fit, without.cross_validate):
        with pytest.raises(SettingError, match=r"head=hierarchical: .* choose head=linear"):
            verb(chosen)
