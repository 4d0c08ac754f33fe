"""Evidence from a real registry: which predictions belong to a version, and what is asked for where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contenders import keras_model, log_predictions, manifest, predictions, register
from tracking_stores import tracking_in

from wellai_exp.errors import DataError, StoreError
from wellai_exp.evaluation import Evaluation
from wellai_exp.promotion import Evidence, gather, keep_predictions
from wellai_exp.tracking import EVALUATED_TAG, Registry, Tracker
from wellai_exp.tracking._models import SHA_TAG

DATA = "experiment=poses 'data.root=my photos' seed=3"


@pytest.fixture(scope="module")
def models() -> list[Any]:
    return [keras_model(seed) for seed in range(2)]


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    manifest().save(tmp_path / "store" / "manifests" / manifest().digest)
    return Tracker(tracking_in(tmp_path / "store"))


def asked(tracker: Tracker, version: int, champion: int | None = None) -> Evidence:
    return gather(tracker, "demo", version, champion, tracker.tracking.store / "manifests")


def evaluated(tracker: Tracker, version: int, evaluation: Evaluation) -> str:
    """Log what ``wellai-exp evaluate`` logs."""
    sha256 = Registry(tracker.tracking).resolve(f"demo/{version}").sha256
    return log_predictions(tracker, evaluation, **{EVALUATED_TAG: sha256})


def elsewhere(evaluation: Evaluation) -> Evaluation:
    """Give the same predictions of other images."""
    return replace(evaluation, sha256=tuple(f"other {sha256}" for sha256 in evaluation.sha256))


def test_a_version_is_judged_by_what_its_own_run_kept(tracker: Tracker, models: list[Any]) -> None:
    own = predictions(3.0)
    register(tracker, models[0], own)
    evaluated(tracker, 1, predictions(1.0))
    found = asked(tracker, 1)
    np.testing.assert_array_equal(found.challenger.evaluation.probabilities, own.probabilities)
    assert (found.champion, found.challenger.title) == (None, "demo/1")
    assert found.challenger.evaluated_in == found.challenger.model.run_id
    assert found.challenger.tags[SHA_TAG] == found.challenger.model.sha256
    assert 0 < found.challenger.size_mb < 1
    assert found.manifest is not None
    assert found.manifest.digest == found.challenger.data_digest


def test_a_student_is_not_judged_by_its_teacher(tracker: Tracker, models: list[Any]) -> None:
    student = predictions(1.0)
    register(tracker, models[0], student, part="student")
    found = asked(tracker, 1)
    assert found.challenger.evaluation.aggregates == student.aggregates


def test_both_are_judged_on_images_that_both_were_evaluated_on(tracker: Tracker, models: list[Any]) -> None:
    old, new = predictions(1.0), elsewhere(predictions(3.0))
    register(tracker, models[0], old)
    register(tracker, models[1], new)
    with pytest.raises(DataError) as refused:
        asked(tracker, 2, 1)
    for words in (
        "demo/2 was evaluated on 240 images and the champion demo/1 on 240, of which 0 are the same",
        f"`wellai-exp evaluate demo/1 {DATA}` and `wellai-exp evaluate demo/2 {DATA}`",
    ):
        assert words in str(refused.value)
    run_id = evaluated(tracker, 1, elsewhere(old))
    found = asked(tracker, 2, 1)
    assert found.champion is not None
    assert (found.champion.evaluated_in, found.champion.title) == (run_id, "demo/1")
    assert found.challenger.evaluated_in == found.challenger.model.run_id
    assert found.champion.evaluation.sha256 == found.challenger.evaluation.sha256


def test_a_version_without_predictions_is_to_be_evaluated_first(tracker: Tracker, models: list[Any]) -> None:
    register(tracker, models[0], None)
    with pytest.raises(StoreError, match=f"demo/1 has no predictions .*type `wellai-exp evaluate demo/1 {DATA}`"):
        asked(tracker, 1)
    evaluated(tracker, 1, predictions(2.0))
    assert asked(tracker, 1).challenger.evaluation.aggregates == predictions(2.0).aggregates


def test_predictions_that_are_not_those_of_the_registration_are_not_used(tracker: Tracker, models: list[Any]) -> None:
    register(tracker, models[0], predictions(1.0))
    run_id = Registry(tracker.tracking).describe("demo").versions[0].run_id
    with tracker.run("sweep", resume=run_id) as run:
        keep_predictions(run, predictions(5.0), "test")
    with pytest.raises(StoreError, match="no predictions to judge it by") as refused:
        asked(tracker, 1)
    assert "with which their model was registered" in str(refused.value.__cause__)


def test_another_runs_predictions_in_their_place_are_not_used(tracker: Tracker, models: list[Any]) -> None:
    register(tracker, models[0], predictions(1.0))
    mine = Registry(tracker.tracking).describe("demo").versions[0].run_id
    other = log_predictions(tracker, predictions(1.0, seed=9))
    tracker.fetch(str(mine), "test/predictions.parquet").write_bytes(
        tracker.fetch(other, "test/predictions.parquet").read_bytes()
    )
    with pytest.raises(StoreError, match="no predictions to judge it by") as refused:
        asked(tracker, 1)
    assert "are not those that the run" in str(refused.value.__cause__)


def test_changed_files_are_no_evidence(tracker: Tracker, models: list[Any]) -> None:
    register(tracker, models[0], predictions())
    path = Registry(tracker.tracking).resolve("demo/1").path
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError, match="was changed after it was kept"):
        asked(tracker, 1)


def test_data_that_are_lost_or_damaged_are_told(tracker: Tracker, models: list[Any]) -> None:
    register(tracker, models[0], predictions())
    (file,) = (tracker.tracking.store / "manifests").glob("*/*.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    assert "is damaged" in asked(tracker, 1).manifest_problem
    file.unlink()
    found = asked(tracker, 1)
    assert found.manifest is None
    assert "There is no manifest" in found.manifest_problem
