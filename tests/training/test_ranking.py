"""Rankings put the better features first, say what they leave out, and cut no more than they measured."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pytest

from wellai_exp.augmentation import NoAugmentation
from wellai_exp.data import Demo, Split, build_manifest
from wellai_exp.errors import SettingError
from wellai_exp.imbalance import NoStrategy
from wellai_exp.metrics import log_me
from wellai_exp.models import Backbone, LinearHead, SmallConvNet
from wellai_exp.training import AdamW, Choices, FineTune, Probe, ProbeTask, Representation, Shared
from wellai_exp.training._ranking import LinearProbe, LogME, NoRanking, Ranking


@dataclass(frozen=True)
class Thumbnail(Backbone):
    """The image itself in a few cells: a backbone whose worth is plain, with no weights to load."""

    size: int = 32
    cells: int = 8
    gain: float = 1.0

    @property
    def name(self) -> str:
        return f"thumbnail_{self.cells}"

    @property
    def pretrained(self) -> bool:
        return True

    def weights_digest(self) -> str:
        return "none"

    def feature_settings(self) -> dict[str, object]:
        return {"size": self.size, "cells": self.cells, "gain": self.gain}

    def at_size(self, size: int) -> Self:
        return replace(self, size=size)

    def build(self) -> Any:
        import keras

        image = keras.Input((self.size, self.size, 3))
        cells = keras.layers.AveragePooling2D(self.size // self.cells)(image)
        scaled = keras.layers.Rescaling(self.gain / 255)(cells)
        return keras.Model(image, keras.layers.Flatten()(scaled))


BACKBONES: dict[str, Backbone] = {"one": Thumbnail(cells=1), "four": Thumbnail(cells=4), "two": Thumbnail(cells=2)}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> ProbeTask:
    folder = tmp_path_factory.mktemp("ranking")
    source = Demo(root=folder / "images", n_images=120, ratio=2.0, size=32)
    manifest = build_manifest(source, Split(folds=3, near_duplicates=False), folder)
    regime = Probe(Representation(FineTune(epochs=1), AdamW(), NoAugmentation()))
    return ProbeTask(Shared(manifest, folder, seed=0), regime)


@pytest.mark.parametrize("ranking", [LogME(), LinearProbe()], ids=lambda ranking: ranking.name)
def test_the_better_features_come_first(ranking: Ranking, task: ProbeTask) -> None:
    table = ranking.rank(task, BACKBONES)
    assert list(table.columns) == ["backbone", "score", "dim", "seconds"]
    assert list(table["backbone"]) == ["four", "two", "one"]
    assert list(table["dim"]) == [48, 12, 3]
    assert table["score"].is_monotonic_decreasing
    assert (table["seconds"] > 0).all()
    again = ranking.rank(task, BACKBONES)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), table.drop(columns="seconds"))


def test_log_me_sees_the_training_rows_alone(task: ProbeTask) -> None:
    train = task.manifest.train
    features = task.features.rows(BACKBONES["two"], NoAugmentation(), 0, train, train)
    table = LogME().rank(task, {"two": BACKBONES["two"]})
    assert table["score"].item() == pytest.approx(log_me(features, task.manifest.labels[train]), abs=1e-9)


def test_the_linear_probe_is_the_searchs_own_trial(task: ProbeTask) -> None:
    table = LinearProbe().rank(task, {"two": BACKBONES["two"]})
    trial = Choices(BACKBONES["two"], NoAugmentation(), NoStrategy(), LinearHead(), AdamW())
    assert table["score"].item() == task.cross_validate(trial).metrics["auc_pr_macro_mean"]


def test_log_me_leaves_out_what_has_no_weights_and_keeps_it_in_the_search(
    task: ProbeTask, caplog: pytest.LogCaptureFixture
) -> None:
    backbones = {"new": SmallConvNet(size=32, width=4), **BACKBONES}
    ranking = LogME(keep=1)
    with caplog.at_level(logging.WARNING):
        table = ranking.rank(task, backbones)
    assert "backbone=new is not ranked: it has no weights yet" in caplog.text
    assert "new" not in set(table["backbone"])
    assert ranking.kept(table, backbones) == ("four", "new")


def test_the_linear_probe_trains_what_has_no_weights(task: ProbeTask) -> None:
    table = LinearProbe().rank(task, {"new": SmallConvNet(size=32, width=4, pooling="avg")})
    assert table["dim"].item() == 24
    assert 0 < table["score"].item() < 1


@pytest.mark.parametrize("ranking", [LogME(), LinearProbe()], ids=lambda ranking: ranking.name)
def test_features_that_are_no_numbers_cost_one_backbone_its_rank(
    ranking: Ranking, task: ProbeTask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        table = ranking.rank(task, {"broken": Thumbnail(gain=float("inf")), "two": BACKBONES["two"]})
    assert list(table["backbone"]) == ["two"]
    assert "backbone=broken is not ranked" in caplog.text


@pytest.mark.parametrize("keep", [None, 1, 2, 9])
def test_keep_cuts_the_ranked_ones(keep: int | None) -> None:
    table = pd.DataFrame({"backbone": ["b", "a", "c"], "score": [3.0, 2.0, 1.0]})
    assert LogME(keep).kept(table, ["a", "b", "c"]) == ("b", "a", "c")[:keep]


def test_no_ranking_measures_nothing_and_changes_nothing(task: ProbeTask) -> None:
    table = NoRanking().rank(task, BACKBONES)
    assert table.empty
    assert NoRanking().kept(table, BACKBONES) == tuple(BACKBONES)


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, "2"])
def test_keep_is_a_whole_number_or_null(keep: Any) -> None:
    with pytest.raises(SettingError, match=r"ranking\.keep="):
        LogME(keep)


def test_no_ranking_keeps_no_number() -> None:
    with pytest.raises(SettingError, match=r"ranking\.keep=2: nothing is ranked"):
        NoRanking(2)


def test_weights_that_cannot_be_loaded_end_the_ranking(task: ProbeTask, tmp_path: Path) -> None:
    from wellai_exp.models import Application

    missing = Application(application="MobileNet", size=32, weights=str(tmp_path / "none.weights.h5"), alpha=0.25)
    with pytest.raises(SettingError, match=r"none\.weights\.h5"):
        LogME().rank(task, {"missing": missing})
