"""Each gate lets through what it should, and refuses the rest with a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contenders import NAMES, ROWS, contender, evidence, manifest, predictions
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import DataError, SettingError, TrialFailed
from wellai_exp.evaluation import Evaluation
from wellai_exp.promotion import (
    Absolute,
    Calibration,
    DataDigest,
    Evidence,
    ExportParity,
    Latency,
    Manifest,
    NoClassWorse,
    PairedImprovement,
    Size,
)

FEW: Any = {"n_resamples": 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@settings(max_examples=6, deadline=None)
@given(skill=st.floats(0, 5), seed=st.integers(0, 99), metric=st.sampled_from(["auc_pr_macro", "accuracy", "log_loss"]))
def test_an_equal_challenger_is_refused_by_no_margin_and_let_through_by_a_negative_one(
    folder: Path, skill: float, seed: int, metric: str
) -> None:
    same = predictions(skill, seed)
    found = evidence(folder, same, same)
    verdict = PairedImprovement(metric, **FEW).judge(found)
    assert not verdict.passed
    assert verdict.figures["gain"] == 0
    assert PairedImprovement(metric, margin=-0.01, **FEW).judge(found).passed
    assert NoClassWorse(tolerance=0.0, **FEW).judge(found).passed


@pytest.mark.parametrize("metric", ["auc_pr_macro", "balanced_accuracy", "log_loss"])
def test_a_surely_better_challenger_passes_and_a_surely_worse_one_does_not(folder: Path, metric: str) -> None:
    good, bad = predictions(4.0), predictions(1.0, 1)
    gate = PairedImprovement(metric, **FEW)
    passed, refused = gate.judge(evidence(folder, good, bad)), gate.judge(evidence(folder, bad, good))
    assert passed.passed
    assert not refused.passed
    assert passed.figures["gain"] == pytest.approx(-refused.figures["gain"])
    assert passed.figures["gain"] == pytest.approx(abs(good.aggregates[metric] - bad.aggregates[metric]))
    assert passed.figures["low"] == pytest.approx(-refused.figures["high"])
    assert "demo/1" in passed.sentence
    assert not PairedImprovement(metric, margin=passed.figures["gain"], **FEW).judge(evidence(folder, good, bad)).passed


def test_a_lead_that_may_be_luck_is_refused(folder: Path) -> None:
    base = predictions(2.0)
    flipped = base.probabilities.copy()
    row = int(np.flatnonzero(base.predictions != base.labels)[0])
    flipped[row] = np.eye(len(NAMES))[base.labels[row]]
    better = replace(base, probabilities=flipped)
    verdict = PairedImprovement("accuracy", **FEW).judge(evidence(folder, better, base))
    assert verdict.figures["gain"] == pytest.approx(1 / ROWS)
    assert not verdict.passed
    assert "not surely" in verdict.sentence


@settings(max_examples=4, deadline=None)
@given(st.permutations(range(ROWS)))
def test_the_champions_rows_may_come_in_any_order(folder: Path, order: list[int]) -> None:
    own, champion = predictions(3.0), predictions(1.0, 1)
    mixed = Evaluation(
        champion.labels[order],
        champion.probabilities[order],
        NAMES,
        sha256=tuple(champion.sha256[row] for row in order),
    )
    gate = PairedImprovement(**FEW)
    assert gate.judge(evidence(folder, own, mixed)) == gate.judge(evidence(folder, own, champion))


def test_other_images_are_no_evidence(folder: Path) -> None:
    own = predictions()
    other = replace(own, sha256=(*own.sha256[:-1], "f" * 64))
    with pytest.raises(DataError, match=f"share {ROWS - 1}.*evaluate both models on the same data"):
        evidence(folder, own, other)


def test_a_class_that_pays_for_the_mean_is_found(folder: Path) -> None:
    champion = predictions(skills=[2.0, 2.0, 4.0, 2.0])
    traded = predictions(skills=[4.0, 4.0, 0.0, 4.0], seed=1)
    found = evidence(folder, traded, champion)
    verdict = NoClassWorse(**FEW).judge(found)
    assert not verdict.passed
    assert "plank's" in verdict.sentence
    assert verdict.figures["worse"] == 1
    assert verdict.figures["loss/plank's"] == pytest.approx(champion.auc_pr[2] - traded.auc_pr[2])
    assert NoClassWorse(tolerance=1.0, **FEW).judge(found).passed
    assert NoClassWorse(**FEW).judge(evidence(folder, predictions(4.0), champion)).passed


def test_a_loss_that_may_be_luck_is_no_loss(folder: Path) -> None:
    verdict = NoClassWorse(tolerance=0.0, **FEW).judge(evidence(folder, predictions(2.0, 2), predictions(2.0, 1)))
    assert verdict.passed
    assert verdict.figures["greatest_loss"] > 0
    assert verdict.figures["tested"] == len(NAMES)


def test_a_class_without_images_is_not_compared(folder: Path) -> None:
    def cut(whole: Evaluation) -> Evaluation:
        kept = np.flatnonzero(whole.labels != 1)
        return Evaluation(
            whole.labels[kept], whole.probabilities[kept], NAMES, sha256=tuple(whole.sha256[row] for row in kept)
        )

    verdict = NoClassWorse(**FEW).judge(evidence(folder, cut(predictions(1.0)), cut(predictions(5.0, 1))))
    assert not verdict.passed
    assert verdict.figures["tested"] == verdict.figures["worse"] == len(NAMES) - 1
    assert "2 other classes" in verdict.sentence


@pytest.mark.parametrize("gate", [PairedImprovement(), NoClassWorse()])
def test_the_first_champion_has_nobody_to_be_compared_with(folder: Path, gate: Any) -> None:
    verdict = gate.judge(evidence(folder, predictions(0.0)))
    assert verdict.passed
    assert "not asked" in verdict.sentence


def test_bounds_are_for_the_first_champion_unless_always(folder: Path) -> None:
    bad = predictions(0.0)
    gate = Absolute(at_least={"accuracy": 0.9}, at_most={"log_loss": 99.0})
    alone = gate.judge(evidence(folder, bad))
    assert not alone.passed
    assert "not at least 0.9" in alone.sentence
    assert alone.figures["accuracy"] == bad.aggregates["accuracy"]
    assert gate.judge(evidence(folder, bad, bad)).passed
    assert not replace(gate, always=True).judge(evidence(folder, bad, bad)).passed
    assert not Absolute(at_most={"log_loss": 0.1}).judge(evidence(folder, bad)).passed
    assert gate.judge(evidence(folder, predictions(6.0))).passed
    with pytest.raises(SettingError, match=r"promotion\.absolute\.at_least=acuracy: .*choose among accuracy, "):
        Absolute(at_least={"acuracy": 0.9}).judge(evidence(folder, bad))


@given(st.floats(0, 1), st.floats(0, 6))
@settings(max_examples=20, deadline=None)
def test_calibration_and_size_pass_up_to_their_limits(folder: Path, most: float, skill: float) -> None:
    own = predictions(skill)
    found = evidence(folder, own)
    error = own.aggregates["expected_calibration_error"]
    assert Calibration(most=most).judge(found).passed == (error <= most)
    assert Calibration(most=error).judge(found).passed
    assert Size(most=4 * most).judge(found).passed == (4 * most >= 2.0)
    assert Size(most=2.0).judge(found).figures["size_mb"] == 2.0


def test_latency_is_measured_only_where_it_is_asked_for(folder: Path) -> None:
    calls: list[int] = []

    def measure() -> float:
        calls.append(1)
        return 12.5

    found = evidence(folder, predictions(), runtime="litert", latency_ms=measure)
    Size().judge(found)
    assert not calls
    assert Latency(most=12.5).judge(found).passed
    slow = Latency(most=12.4).judge(found)
    assert (slow.passed, slow.sentence) == (False, "a frame takes 12.5 ms in litert, more than 12.4")
    assert not Latency().judge(evidence(folder, predictions())).passed


def test_a_model_that_its_runtime_cannot_run_is_refused(folder: Path) -> None:
    def measure() -> float:
        raise TrialFailed("the converter knows no such layer")

    verdict = Latency().judge(evidence(folder, predictions(), runtime="litert", latency_ms=measure))
    assert (verdict.passed, verdict.figures) == (False, {})
    assert "no such layer" in verdict.sentence


@pytest.mark.parametrize(
    ("tag", "passed", "words"),
    [
        (None, False, "no tag export/parity"),
        ("0.0", True, "within 0.001"),
        ("1e-3", True, "within"),
        ("0.0011", False, "more than 0.001"),
        ("nan", False, "no difference"),
        ("-1", False, "no difference"),
        ("small", False, "'small'"),
    ],
)
def test_the_exported_form_must_say_the_same(folder: Path, tag: str | None, passed: bool, words: str) -> None:
    tags: Any = {} if tag is None else {"export/parity": tag}
    verdict = ExportParity().judge(Evidence(contender(predictions(), folder, **tags)))
    assert verdict.passed == passed
    assert words in verdict.sentence


def test_a_form_that_is_unfit_is_named_and_refused(folder: Path) -> None:
    tags: Any = {"export/parity": "1e-6", "export/unfit": "tflite_int8"}
    verdict = ExportParity().judge(Evidence(contender(predictions(), folder, **tags)))
    assert not verdict.passed
    assert "tflite_int8 differs too much from Keras" in verdict.sentence
    assert ExportParity().judge(Evidence(contender(predictions(), folder, **{**tags, "export/unfit": ""}))).passed


def test_the_data_must_be_known_and_be_those_of_the_model(folder: Path) -> None:
    own = predictions()
    known = DataDigest().judge(evidence(folder, own))
    assert known.passed
    assert manifest().digest in known.sentence
    lost = DataDigest().judge(evidence(folder, own, manifest=None, manifest_problem="the file is damaged"))
    assert not lost.passed
    assert "the file is damaged" in lost.sentence
    others = DataDigest().judge(evidence(folder, own, manifest=manifest(label_0=NAMES[1])))
    assert not others.passed
    nameless = contender(own, folder)
    nameless = replace(nameless, model=replace(nameless.model, metadata={}))
    assert "what data" in DataDigest().judge(Evidence(nameless)).sentence


TRAIN = ROWS  # the first training row of the manifest


@pytest.mark.parametrize(
    ("changed", "gate", "passed", "words"),
    [
        ({}, Manifest(min_train=20, min_test=60), True, "20 images to train on and 60 to be"),
        ({}, Manifest(min_train=21), False, "20 images to train on, fewer than 21 (and 3 other"),
        ({}, Manifest(min_test=61), False, "60 images to be tested on, fewer than 61"),
        ({"label_0": NAMES[1]}, Manifest(min_test=60), False, "'Boat [Navasana]' has 59 images"),
        ({f"twin_{TRAIN}": 3}, Manifest(), False, "1 of 240 test images have near-duplicates"),
        ({f"twin_{TRAIN}": 3}, Manifest(overlap=1), True, "kept apart"),
        ({f"sha256_{TRAIN}": f"{3:064x}"}, Manifest(), False, "1 of 240 evaluated images are training images"),
    ],
)
def test_the_data_are_tested(folder: Path, changed: dict[str, Any], gate: Manifest, passed: bool, words: str) -> None:
    verdict = gate.judge(evidence(folder, predictions(), manifest=manifest(**changed)))
    assert words in verdict.sentence
    assert verdict.passed == passed


def test_data_of_other_classes_are_not_the_models(folder: Path) -> None:
    own = replace(predictions(), class_names=(*NAMES[:3], "Tree"))
    assert "'Tree'" in Manifest().judge(evidence(folder, own)).sentence
    assert not Manifest().judge(evidence(folder, own, manifest=None)).passed
