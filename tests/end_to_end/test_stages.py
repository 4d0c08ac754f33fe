"""Fine-tuning as a user meets it: stages that hand on, a kill in mid-epoch, a winner that keeps a bound."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from mlflow.entities import Run
from place import Place

staged_worker = pytest.mark.xdist_group("staged")

STAGED = """# @package _global_
defaults:
  - override /data: demo
  - override /backbone: mobilenet_v1
  - override /search: random
name: staged
data: {n_images: 150, ratio: 5.0, size: 48}
backbone: {size: 32, alpha: 0.25, weights: random.weights.h5}
split: {folds: 3}
head: {steps: 20}
evidence: {resamples: 100, robustness: 0, explanations: 0}
stages:
  probe:
    wins: false
    search:
      n_trials: 3
      space: {imbalance: "choice(none, class_weight, logit_adjustment)"}
  finetune:
    overrides: [regime=finetune, regime.epochs=3, augmentation=light]
    start: {stage: probe, top: 2, take: [imbalance]}
    search:
      n_trials: 4
      conditional: []
      pruner: {_target_: optuna.pruners.PercentilePruner, percentile: 25.0, n_startup_trials: 1, n_warmup_steps: 1}
      space:
        optimizer.learning_rate: tag(log, interval(0.00001, 0.003))
        regime.unfrozen: choice(2, 14)
  decoupled:
    overrides: [regime=decoupled, regime.epochs=3]
    start: {stage: finetune, top: 1, take: [backbone, augmentation, optimizer, regime]}
    search:
      n_trials: 2
      space: {imbalance: "choice(none, balanced_softmax)"}
confirm: {candidates: 2, seeds: 2}
final: {seeds: 2, soup: true, overrides: [regime.epochs=4]}
distill:
  student: [regime=finetune, regime.unfrozen=null, backbone=small_conv, backbone.size=32, backbone.width=8,
    backbone.depth=1, backbone.pooling=avg, "~backbone.alpha", "~backbone.weights"]
"""


def lay_out(place: Place) -> Place:
    (place.folder / "experiments" / "staged.yaml").write_text(STAGED)
    return place


@dataclass(frozen=True)
class Staged:
    """A finished sweep in stages."""

    place: Place
    output: str

    def trials(self, stage: str) -> list[Run]:
        return [run for run in self.place.runs("trial", "staged") if run.data.tags["wellai.stage"] == stage]

    def artifacts(self, run: Run, folder: str) -> set[str]:
        return {Path(file.path).name for file in self.place.client.list_artifacts(run.info.run_id, folder)}


@pytest.fixture(scope="session")
def staged(new_place: Callable[[], Place]) -> Staged:
    """Run the staged sweep."""
    place = lay_out(new_place())
    return Staged(place, place.type("sweep", "experiment=staged").stdout)


@staged_worker
def test_every_stage_leaves_its_trials_and_hands_its_best_on(staged: Staged) -> None:
    assert [len(staged.trials(stage)) for stage in ("probe", "finetune", "decoupled")] == [3, 4, 2]
    best = sorted(staged.trials("probe"), key=lambda run: -run.data.metrics["cv/auc_pr_macro_mean"])[:2]
    handed = {run.data.params["imbalance"] for run in staged.trials("finetune")}
    assert handed <= {run.data.params["imbalance"] for run in best}
    complete = [run for run in staged.trials("finetune") if run.info.status == "FINISHED"]
    winner = max(complete, key=lambda run: run.data.metrics["cv/auc_pr_macro_mean"])
    for run in staged.trials("decoupled"):
        assert run.data.params["optimizer.learning_rate"] == winner.data.params["optimizer.learning_rate"]
        assert run.data.params["regime.unfrozen"] == winner.data.params["regime.unfrozen"]


@staged_worker
def test_every_epoch_is_in_mlflow_and_so_is_a_pruned_trials_model(staged: Staged) -> None:
    client = staged.place.client
    for run in staged.trials("finetune"):
        for name in ("auc_pr_macro", "loss", "learning_rate", "images_per_second"):
            history = client.get_metric_history(run.info.run_id, f"epoch/{name}")
            assert [point.step for point in history] == list(range(1, len(history) + 1))
            assert (len(history) == 3) == (run.info.status == "FINISHED")
    pruned = [run for run in staged.trials("finetune") if run.info.status == "KILLED"]
    assert pruned
    assert "stopped after epoch" in pruned[0].data.tags["wellai.pruned"]
    said = staged.place.type("evaluate", pruned[0].info.run_id, "experiment=staged").stdout
    assert "test/auc_pr_macro" in said


@staged_worker
def test_the_report_compares_stages_seeds_and_the_student(staged: Staged) -> None:
    (parent,) = staged.place.runs("sweep", "staged")
    assert staged.artifacts(parent, "search/finetune") >= {"learning_curves.png", "learning_curves.csv", "history.png"}
    assert staged.artifacts(parent, "confirm") == {"seeds.csv", "seeds.png"}
    assert {"seeds.csv", "seeds.png"} <= staged.artifacts(parent, "test")
    assert len(staged.place.runs("confirmation", "staged")) == 4
    finals = staged.place.runs("final", "staged")
    assert len(finals) == 2
    values = [run.data.metrics["test/accuracy"] for run in finals]
    assert parent.data.metrics["test_mean/accuracy"] == pytest.approx(sum(values) / 2)
    (soup,) = staged.place.runs("soup", "staged")
    assert parent.data.metrics["test/log_loss"] == pytest.approx(soup.data.metrics["test/log_loss"], abs=1e-6)
    assert parent.data.metrics["test/log_loss"] not in [run.data.metrics["test/log_loss"] for run in finals]
    models = {model.name for model in staged.place.client.search_registered_models()}
    assert models == {"staged", "staged-student"}
    assert "stages.csv" in staged.artifacts(parent, "search")
    for words in ("probe (hands", "finetune", "decoupled", "mean ± sd", "student"):
        assert words in staged.output


@staged_worker
def test_the_staged_command_again_does_nothing_twice(staged: Staged) -> None:
    again = staged.place.type("sweep", "experiment=staged").stdout
    assert "features computed in this run: 0" in again
    assert [len(staged.trials(stage)) for stage in ("probe", "finetune", "decoupled")] == [3, 4, 2]
    assert len(staged.place.runs("final", "staged")) == 2
    assert len(staged.place.client.search_model_versions("name = 'staged'")) == 1


@staged_worker
def test_a_fine_tuning_trials_line_gives_the_same_metrics(staged: Staged) -> None:
    child = next(run for run in staged.trials("finetune") if run.info.status == "FINISHED")
    store = "paths.store=elsewhere"  # so that no checkpoint can help
    line = shlex.split(child.data.tags["wellai.reproduce"])[1:]
    staged.place.type(*line, store)
    (again,) = staged.place.runs("train", "staged", store="elsewhere")
    for name in ("auc_pr_macro", "accuracy", "log_loss"):
        key = f"cv/{name}_mean"
        assert again.data.metrics[key] == pytest.approx(child.data.metrics[key], abs=1e-6)


def epochs_done(place: Place) -> int:
    """Count the epochs that the only training's checkpoint holds."""
    cards = list((place.folder / "mlruns" / "trainings").glob("*/checkpoint.json"))
    return max((len(json.loads(card.read_text())["records"]) for card in cards), default=0)


def test_a_kill_in_mid_epoch_loses_no_epoch_and_changes_no_metric(new_place: Callable[[], Place]) -> None:
    command = [
        *("sweep", "experiment=tiny", "regime=finetune", "regime.epochs=12", "search.n_trials=1", "register=false"),
        *("augmentation=light", "imbalance=none", "+search.space.regime.label_smoothing='choice(0.0, 0.1)'"),
        "data.n_images=600",
    ]
    whole, cut = new_place(), new_place()
    whole.type(*command)
    process = cut.start(*command)
    for _ in range(1200):
        if epochs_done(cut) >= 4:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = epochs_done(cut)
    assert 4 <= done < 12
    cut.type(*command)
    (expected,) = whole.runs("trial")
    finished = [run for run in cut.runs("trial") if run.info.status == "FINISHED"]
    (result,) = finished
    for name in ("auc_pr_macro", "accuracy", "log_loss"):
        key = f"cv/{name}_mean"
        assert result.data.metrics[key] == pytest.approx(expected.data.metrics[key], abs=1e-3)
    first = cut.client.get_metric_history(result.info.run_id, "epoch/images_per_second")
    before = cut.client.get_metric_history(
        next(run.info.run_id for run in cut.runs("trial") if run.info.status == "KILLED"), "epoch/images_per_second"
    )
    # What was measured before the kill is told again, not trained again.
    assert [point.value for point in first][: len(before)] == [point.value for point in before]
    assert len(before) >= done - 1


@pytest.mark.slow
def test_a_bound_on_frames_per_second_changes_the_winner(new_place: Callable[[], Place]) -> None:
    place = new_place()
    command = ["sweep", "experiment=tiny", "search.n_trials=2", "register=false", "imbalance=none", "augmentation=none"]
    sizes = "+search.space.backbone.size='choice(32, 128)'"
    free = [*command, sizes, "search.conditional=[]", "name=free", "search.minimize=latency_ms"]
    place.type(*free)
    (parent,) = place.runs("sweep", "free")
    runs = {int(run.data.params["backbone.size"]): run for run in place.runs("trial", "free")}
    best = max(runs.values(), key=lambda run: run.data.metrics["cv/auc_pr_macro_mean"])
    other = next(run for run in runs.values() if run is not best)
    speeds = [run.data.metrics["cost/fps"] for run in (best, other)]
    assert max(speeds) > 1.5 * min(speeds)
    bound = f"'{'>' if speeds[1] > speeds[0] else '<'} {sum(speeds) / 2:.1f}'"
    bounded = [*command, sizes, "search.conditional=[]", "name=bounded", f"+search.subject_to.fps={bound}"]
    said = place.type(*bounded).stdout
    assert f"backbone.size={other.data.params['backbone.size']}" in said
    (parent,) = place.runs("sweep", "bounded")
    files = {Path(file.path).name for file in place.client.list_artifacts(parent.info.run_id, "search")}
    assert "trade_off_fps.png" in files
    impossible = place.type(*bounded[:-2], "name=never", "+search.subject_to.fps='> 1e9'", check=False)
    assert impossible.returncode == 1
    assert "Nearest to fps > 1e+09:" in impossible.stdout
    assert "comes nearest with fps" in impossible.stderr
    assert "nothing is registered" in impossible.stderr


@pytest.mark.slow
def test_two_objectives_give_a_front(new_place: Callable[[], Place]) -> None:
    place = new_place()
    place.type(
        *("sweep", "experiment=tiny", "search.n_trials=3", "register=false", "search.minimize=log_loss"),
        *("search.maximize=[auc_pr_macro,accuracy]",),
    )
    storage = f"sqlite:///{place.folder / 'mlruns' / 'study.db'}"
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert [len(trial.values) for trial in complete] == [3, 3, 3]
    (parent,) = place.runs("sweep")
    files = {Path(file.path).name for file in place.client.list_artifacts(parent.info.run_id, "search")}
    assert {"trade_off_accuracy.png", "trade_off_log_loss.png"} <= files
