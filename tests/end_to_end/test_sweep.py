"""The main job: sweep, browse, evaluate, promote; and what a stopped sweep leaves."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import optuna
import pytest
from place import Place, Swept

from wellai_exp.data._figures import render
from wellai_exp.metrics import Scorer

one_worker = pytest.mark.xdist_group("swept")
AGGREGATES = ("accuracy", "balanced_accuracy", "auc_pr_macro", "auc_pr_micro", "auc_pr_weighted", "f1_macro")


def trials(place: Place) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{place.folder / 'mlruns' / 'study.db'}"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


def counted(place: Place) -> list[optuna.trial.FrozenTrial]:
    """Give the trials that count: an interrupted one has no reason."""
    complete = optuna.trial.TrialState.COMPLETE
    return [trial for trial in trials(place) if trial.state == complete or "reason" in trial.user_attrs]


@one_worker
def test_every_trial_is_a_child_run_with_all_that_makes_it_again(swept: Swept) -> None:
    (parent,) = swept.place.runs("sweep")
    children = swept.place.runs("trial")
    assert parent.info.status == "FINISHED"
    assert len(children) == 6
    assert len({child.data.metrics["cv/auc_pr_macro_mean"] for child in children}) > 2
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["wellai.reproduce"].startswith("wellai-exp train experiment=tiny ")
        for tag in ("wellai.git_commit", "wellai.seed", "wellai.versions", "wellai.data_digest"):
            assert child.data.tags[tag]
        assert child.data.params["backbone"] == "mobilenet_v1"
        assert {"backbone", "imbalance", "augmentation", "head.l2", "backbone.alpha"} <= set(child.data.params)
        for name in AGGREGATES:
            assert {f"cv/{name}_mean", f"cv/{name}_std", f"cv/{name}"} <= set(child.data.metrics)
            assert len(swept.place.client.get_metric_history(child.info.run_id, f"cv/{name}")) == 3
        assert [file.path for file in swept.place.client.list_artifacts(child.info.run_id)].count("config.yaml") == 1
        assert child.inputs is not None
        (data,) = child.inputs.dataset_inputs
        assert data.dataset.digest == child.data.tags["wellai.data_digest"]


@one_worker
def test_the_parent_carries_tables_plots_and_the_test_evaluation(swept: Swept) -> None:
    (parent,) = swept.place.runs("sweep")
    client = swept.place.client
    search = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "search")}
    assert search >= {"leaderboard.csv", "leaderboard.png", "history.png", "worth_imbalance.csv", "worth_imbalance.png"}
    test = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "test")}
    assert test >= {
        "predictions.parquet",
        "per_class.csv",
        "intervals.csv",
        "thresholds.csv",
        "pr_curves.json",
        "confused_pairs.csv",
        "likely_mislabelled.csv",
        "robustness.csv",
        "classification_report.txt",
        "confusion_matrix.png",
        "pr_curves.png",
        "per_class_auc_pr.png",
        "robustness.png",
        "explanations.png",
        "the_worst_mistakes.png",
        "explore.html",
        "report.html",
    }
    for name in AGGREGATES:
        low, value, high = (parent.data.metrics[f"{part}/{name}"] for part in ("test_low", "test", "test_high"))
        assert low <= value <= high


@one_worker
def test_the_report_is_found_and_copied_with_its_pictures(swept: Swept) -> None:
    said = swept.place.type("report", "tiny", "browser=false").stdout
    assert "report.html" in said
    swept.place.type("report", "tiny@challenger", "out=sent")
    sent = swept.place.folder / "sent"
    assert {file.name for file in sent.iterdir()} == {
        "report.html",
        "leaderboard.png",
        "pr_curves.png",
        "confusion_matrix.png",
    }
    page = (sent / "report.html").read_text(encoding="utf-8")
    for words in ("tiny 1", "How to reproduce", "wellai-exp train experiment=tiny", "Robustness", "Leaderboard"):
        assert words in page
    assert "it left no report" in swept.place.type("report", "f" * 32, check=False).stderr


@one_worker
def test_models_and_the_sweep_can_be_compared(swept: Swept) -> None:
    swept.place.type("train", "experiment=tiny", "name=rival", "imbalance=none", "head.l2=0.5")
    (rival,) = swept.place.runs("train", "rival")
    said = swept.place.type("compare", "tiny@challenger", rival.info.run_id, "n_resamples=200").stdout
    assert "auc_pr_macro" in said
    assert "McNemar" in said
    (compared,) = swept.place.runs("comparison")
    assert compared.info.status == "FINISHED"
    assert "imbalance" in swept.place.type("compare", "tiny").stdout


@one_worker
def test_the_winner_is_registered_as_challenger_and_the_screen_says_what_to_type(swept: Swept) -> None:
    model = swept.place.client.get_registered_model("tiny")
    assert {alias: int(version) for alias, version in model.aliases.items()} == {"challenger": 1}
    commands = ("wellai-exp export models:/tiny@challenger", "wellai-exp promote tiny", "wellai-exp ui")
    for words in ("Registered: tiny version 1", *commands, "propose", "Leaderboard"):
        assert words in swept.output


@one_worker
def test_the_same_command_again_does_nothing_twice(swept: Swept) -> None:
    again = swept.place.type("sweep", "experiment=tiny")
    assert "features computed in this run: 0" in again.stdout
    assert len(swept.place.runs("trial")) == 6
    assert len(swept.place.client.search_model_versions("name = 'tiny'")) == 1


@one_worker
def test_a_trials_line_gives_the_same_metrics(swept: Swept) -> None:
    child = next(run for run in swept.place.runs("trial") if run.data.params["imbalance"] == "smote")
    swept.place.type(*shlex.split(child.data.tags["wellai.reproduce"])[1:])
    (again,) = swept.place.runs("train")
    names = [f"cv/{name}_{part}" for name in AGGREGATES for part in ("mean", "std")]
    for name in names:
        assert again.data.metrics[name] == pytest.approx(child.data.metrics[name], abs=1e-6)
    for key in ("imbalance.k_neighbors", "head.l2", "augmentation"):
        assert again.data.params[key] == child.data.params[key]


@one_worker
def test_evaluate_promote_and_rollback(swept: Swept) -> None:
    place = swept.place
    assert "near-duplicate" not in place.type("evaluate", "tiny@challenger", "experiment=tiny").stdout
    (parent,), (evaluated,) = place.runs("sweep"), place.runs("evaluation")
    for name in AGGREGATES:
        # From pixels through the registered model, against features through the head.
        assert evaluated.data.metrics[f"test/{name}"] == pytest.approx(parent.data.metrics[f"test/{name}"], abs=1e-3)
    warned = place.type("evaluate", "tiny@challenger", "experiment=tiny", "name=other", "split.seed=5").stdout
    assert "test images have a near-duplicate among those that the model was trained on" in " ".join(warned.split())
    # An untrained network's features on thirty test images promise little: only what they must be is asked of them.
    modest = ["promotion.calibration.most=1", "promotion.absolute.at_least.cohen_kappa=-1"]
    refused = place.type("promote", "tiny", *modest, "+promotion.absolute.at_least.accuracy=1.01", check=False)
    assert refused.returncode == 1
    assert "1 of 8 gates refuse it (absolute)" in refused.stderr
    assert "champion" not in place.client.get_registered_model("tiny").aliases
    said = place.type("promote", "tiny", *modest, "--reason", "the first [one], it's fine").stdout
    assert "tiny version 1 is now champion (before: none)" in said
    version = place.client.get_model_version_by_alias("tiny", "champion")
    assert version.tags["promotion_reason"] == "the first [one], it's fine"
    assert (version.tags["gate/manifest"], version.tags["promotion_verdict"]) == ("passed", "passed")
    assert "type --version 1" in place.type("promote", "tiny", "--version", "one", check=False).stderr
    place.type("rollback", "tiny")
    assert "champion" not in place.client.get_registered_model("tiny").aliases
    assert place.type("rollback", "tiny", check=False).returncode == 1


def test_a_pinned_strategy_is_not_searched_and_the_screen_still_closes(new_place: Callable[[], Place]) -> None:
    place = new_place()
    said = place.type("sweep", "experiment=tiny", "imbalance=smote", "search.n_trials=2").stdout
    assert {run.data.params["imbalance"] for run in place.runs("trial")} == {"smote"}
    assert "What each imbalance strategy was worth" not in said
    assert "Registered: tiny version 1" in said


@pytest.mark.slow
def test_names_that_hydra_would_trip_over(new_place: Callable[[], Place]) -> None:
    place = new_place()
    root = place.folder / "사진 모음"
    names = ["Crane_(Crow)_Pose", "Bharadvaja's_Twist", "나무 자세, [둘]"]
    for index in range(36):
        (root / names[index % 3]).mkdir(parents=True, exist_ok=True)
        pixels = render(("tree", "boat", "cobra")[index % 3], seed=index, size=48)
        (root / names[index % 3] / f"{index}번.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    command = ["sweep", "data=folder", f"data.root={root}", "name=나무", "search.n_trials=2", "split.folds=2"]
    backbone = ["backbone=mobilenet_v1", "backbone.size=32", "backbone.alpha=0.25"]
    space = "+search.space.imbalance='choice(none, smote)'"
    place.type(*command, *backbone, "backbone.weights=random.weights.h5", space)
    model = place.client.get_registered_model("나무")
    assert {alias: int(version) for alias, version in model.aliases.items()} == {"challenger": 1}


def wait_for_trials(place: Place, count: int, process: object) -> None:
    """Wait until some trials have ended, or fail after two minutes."""
    for _ in range(1200):
        try:
            if len(counted(place)) >= count:
                return
        except Exception:
            pass
        time.sleep(0.1)
    raise AssertionError(process)


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_stopped_sweep_goes_on_to_its_exact_total(
    new_place: Callable[[], Place], stop: signal.Signals, status: int
) -> None:
    place = new_place()
    command = ("sweep", "experiment=tiny", "search.n_trials=6", "register=false")
    process = place.start(*command)
    wait_for_trials(place, 2, process)
    process.send_signal(stop)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == status, said
    if stop != signal.SIGKILL:
        assert "the same command goes on from there" in said
        assert not [run for kind in ("sweep", "trial") for run in place.runs(kind) if run.info.status == "RUNNING"]
    before = {trial.number: trial.value for trial in counted(place)}
    place.type(*command)
    done = counted(place)
    assert len(done) == 6
    assert {trial.number: trial.value for trial in done if trial.number in before} == before
    assert all(trial.state.is_finished() for trial in trials(place))
    runs = place.runs("trial")
    assert sorted(int(run.data.tags["wellai.trial"]) for run in runs if run.info.status == "FINISHED") == [
        trial.number for trial in done
    ]
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    (parent,) = place.runs("sweep")
    assert parent.info.status == "FINISHED"


def test_aggregates_are_the_ones_that_are_logged() -> None:
    assert set(AGGREGATES) <= set(Scorer([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]).scores())
