"""`wellai-exp compare` over real stores: runs, registered versions, whole sweeps."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tracking_stores import tracking_in, write_run

from wellai_exp.cli import main
from wellai_exp.cli._verbs import to_overrides
from wellai_exp.errors import SettingError, WellaiError
from wellai_exp.evaluation import Evaluation
from wellai_exp.promotion import keep_predictions
from wellai_exp.tracking import EVALUATED_TAG, Registry, RunRecord, Tracker
from wellai_exp.verbs._compare_sweeps import SweepComparison, SweepTrials
from wellai_exp.verbs._subjects import ModelSubject, SweepSubject, find_subjects, paired

NAMES = ("Boat [Navasana]", "Upward_Bow_(Wheel)", "나무 자세")
STRATEGIES = {"none": 0.0, "smote": 0.04, "focal": -0.02}
AUGMENTATIONS = {"none": 0.0, "flip": 0.01}


def predicted(skill: float = 1.5, seed: int = 0, rows: int = 90, first: int = 0) -> Evaluation:
    """Predict images `first`, `first` + 1, …, whatever the seed, which decides the noise."""
    images = np.arange(first, first + rows)
    labels = images % len(NAMES)
    logits = np.random.default_rng(seed).normal(size=(rows, len(NAMES)))
    logits[np.arange(rows), labels] += skill
    exponents = np.exp(logits)
    return Evaluation(
        labels,
        exponents / exponents.sum(axis=1, keepdims=True),
        NAMES,
        sha256=tuple(f"{image:064x}" for image in images),
        train_support=np.array([60, 20, 5]),
    )


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    return Tracker(tracking_in(tmp_path / "mlruns", "poses"))


def run_with(tracker: Tracker, evaluation: Evaluation, part: str = "test", **tags: str) -> str:
    """Keep predictions in a run of their own, as an evaluation leaves them."""
    with tracker.run("run", tags=tags) as run:
        keep_predictions(run, evaluation, part)
    return run.id


def sweep_in(tracker: Tracker, lift: float = 0.0, repeats: int = 2) -> str:
    """Write a sweep over strategies and augmentations, whose metrics are sums of what they are worth."""
    rng = np.random.default_rng(0)
    with tracker.run("sweep", tags={"wellai.kind": "sweep"}) as parent:
        parent.log_params({"search.maximize": "auc_pr_macro"})
        parent.log_metrics({"test/accuracy": 0.8 + lift})
        for number, (strategy, augmentation) in enumerate(list(product(STRATEGIES, AUGMENTATIONS)) * repeats):
            value = 0.7 + lift + STRATEGIES[strategy] + AUGMENTATIONS[augmentation] + rng.normal(0, 0.001)
            tail = value + 5 * STRATEGIES[strategy]
            trial(tracker, parent.id, number, strategy, augmentation, auc_pr_macro=value, auc_pr_tail=tail)
        trial(tracker, parent.id, 90, "smote", "none", status="FAILED")
        trial(tracker, parent.id, 91, "smote", "none", status="KILLED", pruned="True")
        trial(tracker, parent.id, 92, "smote", "none", status="KILLED", auc_pr_macro=0.99)
    return parent.id


def trial(
    tracker: Tracker,
    parent: str,
    number: int,
    strategy: str,
    augmentation: str,
    status: str = "FINISHED",
    pruned: str = "",
    **metrics: float,
) -> None:
    tags = {"wellai.kind": "trial", "wellai.trial": number, **({"wellai.pruned": pruned} if pruned else {})}
    params = {"imbalance": strategy, "augmentation": augmentation, "backbone": "small_conv", "head": "linear"}
    means = {f"cv/{name}_mean": value for name, value in metrics.items()}
    write_run(tracker, f"{number}", parent=parent, tags=tags, params=params, metrics=means, status=status)


def compare(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(sys, "argv", ["wellai-exp", "compare", *arguments])
    main()


def comparison_in(tracker: Tracker) -> RunRecord:
    found = tracker.find_run({"wellai.kind": "comparison"}, status="FINISHED")
    assert found is not None
    return tracker.get(found)


def table_of(tracker: Tracker, run: RunRecord, path: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(tracker.fetch(run.id, path).read_bytes()))


@pytest.mark.filterwarnings("ignore:Glyph")
def test_runs_are_compared_row_by_row(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    better = predicted(3.0, seed=1)
    backwards = replace(
        better,
        labels=better.labels[::-1],
        probabilities=better.probabilities[::-1],
        groups=better.groups[::-1],
        sha256=better.sha256[::-1],
    )
    reference, other = run_with(tracker, predicted()), run_with(tracker, backwards)
    compare(monkeypatch, reference, other, "n_resamples=100")
    shown = capsys.readouterr().out
    assert "auc_pr_tail" in shown
    assert "McNemar" in shown
    run = comparison_in(tracker)
    assert run.tags["wellai.compared"] == f"{reference}, {other}"
    metrics = table_of(tracker, run, "metrics.csv").set_index("metric")
    assert metrics["reference"].loc["accuracy"] == pytest.approx(predicted().aggregates["accuracy"])
    assert metrics["candidate"].loc["accuracy"] == pytest.approx(better.aggregates["accuracy"])
    folder = f"2_{other}"
    assert run.metrics[f"{folder}/delta_accuracy"] == pytest.approx(metrics["delta"].loc["accuracy"])
    assert list(table_of(tracker, run, f"{folder}/classes.csv")["class"]) == list(NAMES)
    for path in ("metric_deltas.png", f"{folder}/class_deltas.png", f"{folder}/confusion_difference.png"):
        assert tracker.fetch(run.id, path).read_bytes().startswith(b"\x89PNG")
    rights = table_of(tracker, run, "mcnemar.csv").iloc[0]
    assert rights[["both", "only_reference", "only_model", "neither"]].sum() == 90
    # The store has no experiment more than it had.
    assert sorted(tracker.experiments().values()) == ["Default", "poses", "template"]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_versions_are_found_by_name_and_a_student_by_its_own_part(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, model = Registry(tracker.tracking), tiny_model()
    sweep = run_with(tracker, predicted(), **{"wellai.kind": "sweep"})
    with tracker.run("sweep", resume=sweep) as run:
        keep_predictions(run, predicted(0.5, seed=2), "student")
        for name, part in (("poses", "test"), ("poses-student", "student")):
            uri = tracker.log_model(run, model, class_names=NAMES, size=8, metadata={"part": part})
            registry.register(uri, name, run_id=run.id)
    compare(monkeypatch, "poses@challenger", "poses-student/1", "n_resamples=100")
    metrics = table_of(tracker, comparison_in(tracker), "metrics.csv").set_index("metric")
    assert metrics["candidate"].loc["accuracy"] == pytest.approx(predicted(0.5, seed=2).aggregates["accuracy"])
    assert "poses@challenger alone" in " ".join(capsys.readouterr().out.split())


def tiny_model() -> Any:
    import keras

    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs)))


def test_predictions_of_a_later_winner_of_the_same_sweep_do_not_stand_in_for_an_earlier_one(tracker: Tracker) -> None:
    registry, first, second = Registry(tracker.tracking), predicted(), predicted(3.0, seed=1)
    sweep = run_with(tracker, first, **{"wellai.kind": "sweep"})
    for evaluation in (first, second):
        with tracker.run("sweep", resume=sweep) as run:
            keep_predictions(run, evaluation, "test")
            uri = tracker.log_model(run, tiny_model(), class_names=NAMES, size=8)
            tags = {f"test/{name}": f"{value:.6f}" for name, value in evaluation.aggregates.items()}
            registry.register(uri, "poses", run_id=run.id, tags=tags)
    models = [each for each in find_subjects(tracker, ["poses/1", "poses/2"]) if isinstance(each, ModelSubject)]
    assert models[1].evaluations(tracker)[0].aggregates == pytest.approx(second.aggregates)
    with pytest.raises(WellaiError, match="poses/1: no predictions of it are kept; type wellai-exp evaluate poses/1"):
        models[0].evaluations(tracker)


@pytest.mark.parametrize(("metric", "words"), [("log_loss", "falls as a model improves"), ("seconds", "none of them")])
def test_sweeps_are_compared_by_scores_that_rise(tracker: Tracker, metric: str, words: str) -> None:
    (subject,) = (each for each in find_subjects(tracker, [sweep_in(tracker)]) if isinstance(each, SweepSubject))
    with pytest.raises(SettingError, match=words):
        SweepComparison([SweepTrials.read(tracker, subject)], [metric], {})


@pytest.mark.filterwarnings("ignore:Glyph")
def test_an_evaluation_on_the_same_images_stands_in(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = run_with(tracker, predicted())
    with tracker.run("train") as trained:
        tracker.log_model(trained, tiny_model(), class_names=NAMES, size=8)
    sha256 = Registry(tracker.tracking).resolve(trained.id).sha256
    elsewhere = tracker.within(next(key for key, name in tracker.experiments().items() if name == "template"))
    run_with(elsewhere, predicted(2.0, seed=3), **{EVALUATED_TAG: sha256})
    run_with(elsewhere, predicted(2.0, seed=3, first=500), **{EVALUATED_TAG: sha256})
    compare(monkeypatch, reference, trained.id, "n_resamples=100")
    metrics = table_of(tracker, comparison_in(tracker), "metrics.csv").set_index("metric")
    assert metrics["candidate"].loc["accuracy"] == pytest.approx(predicted(2.0, seed=3).aggregates["accuracy"])


def test_what_cannot_be_compared_is_refused(tracker: Tracker) -> None:
    one, other = run_with(tracker, predicted()), run_with(tracker, predicted(first=60))
    empty = write_run(tracker, "empty")
    sweep_in(tracker, repeats=1)
    cases = {
        (): "a comparison needs two models, or one sweep; type wellai-exp compare",
        (one,): "needs two models",
        (one, one): "named twice",
        (one, "poses"): f"poses is a sweep and {one} a model",
        (one, other): r"not evaluated on the same images \(90 and 90 of them\); type wellai-exp evaluate",
        (one, empty): f"models={empty}: no predictions of it are kept; type wellai-exp evaluate {empty}",
        (one, "nobody/3"): "No registered model is called 'nobody'",
        (one, "0" * 32): "not found",
    }
    for names, words in cases.items():
        with pytest.raises(WellaiError, match=words):
            paired(tracker, [each for each in find_subjects(tracker, names) if isinstance(each, ModelSubject)])


@pytest.mark.parametrize(
    ("setting", "words"),
    [("n_resamples=5", "n_resamples=5: .*at least 100"), ("n_resamples=many", "n_resamples=many: .*whole number")],
)
def test_a_bad_setting_gets_a_sentence(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, words: str
) -> None:
    names = [write_run(tracker, "a"), write_run(tracker, "b")]
    with pytest.raises(SystemExit) as stopped:
        compare(monkeypatch, *names, setting)
    assert stopped.value.code == 1
    assert re.search(f"error: {words}", capsys.readouterr().err)
    assert tracker.find_run({"wellai.kind": "comparison"}) is None


def test_a_sweep_says_what_each_option_was_worth(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_in(tracker)
    compare(monkeypatch, "poses")
    shown = capsys.readouterr().out
    assert "What each option of imbalance was worth" in shown
    assert "backbone" not in shown
    run = comparison_in(tracker)
    worth = table_of(tracker, run, "worth_imbalance.csv")
    assert set(worth["metric"]) == {"auc_pr_macro", "auc_pr_tail"}
    gains = {(row["metric"], row["option"]): row for row in worth.to_dict("records")}
    for strategy, gain in STRATEGIES.items():
        for metric, times in (("auc_pr_macro", 1), ("auc_pr_tail", 6)):
            assert gains[metric, strategy]["adjusted_gain"] == pytest.approx(times * gain, abs=0.01)
    smote = gains["auc_pr_macro", "smote"]
    assert 0 < smote["adjusted_gain_low"] < smote["adjusted_gain_high"]
    # 4 that finished, one failed, one pruned; what was cut off with its process is none.
    assert (smote["trials"], smote["failed"]) == (6, 1)
    line = table_of(tracker, run, "sweeps.csv").iloc[0]
    assert (line["trials"], line["pruned"], line["failed"]) == (14, 1, 1)
    assert line["test/accuracy"] == pytest.approx(0.8)
    assert tracker.fetch(run.id, "worth_augmentation.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_that_no_trial_has_are_refused(tracker: Tracker) -> None:
    (sweep,) = find_subjects(tracker, [sweep_in(tracker, repeats=1)])
    assert isinstance(sweep, SweepSubject)
    with pytest.raises(SettingError, match=r"metrics=\[bleu\]: .* metrics=\[auc_pr_macro\]"):
        SweepComparison([SweepTrials.read(tracker, sweep)], ["bleu"], {})


def test_without_a_named_baseline_the_most_tried_option_is_it(tracker: Tracker) -> None:
    (sweep,) = find_subjects(tracker, [sweep_in(tracker, repeats=1)])
    assert isinstance(sweep, SweepSubject)
    read = SweepTrials.read(tracker, sweep)
    more = read.trials[read.trials["imbalance"] == "focal"].assign(number=[500, 501])
    grown = replace(read, trials=pd.concat([read.trials, more], ignore_index=True))
    assert SweepComparison([grown, read], ["auc_pr_macro"], {"imbalance": "absent"}).baseline_of("imbalance") == "focal"
    assert SweepComparison([grown], ["auc_pr_macro"], {"imbalance": "none"}).baseline_of("imbalance") == "none"


def test_sweeps_stand_side_by_side(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sweep_in(tracker, repeats=1)
    elsewhere = Tracker(replace(tracker.tracking, experiment="more [poses]"))
    sweep_in(elsewhere, lift=0.1, repeats=1)
    compare(monkeypatch, first, "more [poses]")
    shown = capsys.readouterr().out
    assert shown.count("more [poses]") >= 3
    run = comparison_in(tracker)
    assert list(table_of(tracker, run, "sweeps.csv")["sweep"]) == [first, "more [poses]"]
    worth = table_of(tracker, run, "worth_imbalance.csv")
    smote = worth[(worth["option"] == "smote") & (worth["metric"] == "auc_pr_macro")]
    np.testing.assert_allclose(smote["adjusted_gain"], 0.04, atol=0.01)
    assert smote["best"].diff().iloc[-1] == pytest.approx(0.1, abs=0.01)


def test_many_plain_arguments_become_a_list() -> None:
    assert to_overrides("compare", ["demo/3", "seed=1", "it's"]) == ["models=['demo/3','it\\'s']", "seed=1"]
    assert to_overrides("compare", []) == []
