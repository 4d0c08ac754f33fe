"""The same search over real photographs with and without pruning: what it saves, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from place import Place

SEARCH = """# @package _global_
# Question   How much of a search's epochs does pruning save, and how much of its best model does it cost?
defaults:
  - override /data: yoga62
  - override /backbone: mobilenet_v2_035_local
  - override /search: random
  - override /regime: finetune
name: pruning
backbone: {size: 96}
regime: {epochs: 8}
evidence: {resamples: 100, robustness: 0, explanations: 0}
search:
  n_trials: 16
  conditional: []
  space:
    augmentation: choice(none, flip, light, pose_safe)
    imbalance: choice(none, balanced_softmax, logit_adjustment)
    optimizer.learning_rate: tag(log, interval(0.0001, 0.003))
    optimizer.layer_decay: choice(1.0, 0.8)
    regime.unfrozen: choice(4, 8, 14)
    regime.label_smoothing: choice(0.0, 0.1)
"""
# ASHA: of those that reach epochs 1, 2 and 4 the better half goes on.
PRUNER = "search.pruner={_target_: optuna.pruners.SuccessiveHalvingPruner, min_resource: 1, reduction_factor: 2}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_pruning_costs_half_the_epochs_and_half_a_point(
    new_place: Callable[[], Place], assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = new_place()
    (place.folder / "experiments" / "pruning.yaml").write_text(SEARCH)
    best, epochs, proposed = {}, {}, {}
    for name, pruner in (("whole", []), ("pruned", [PRUNER])):
        command = ["sweep", "experiment=pruning", f"name={name}", "register=false", *pruner]
        place.type(*command, environment={"WELLAI_ASSETS": str(assets)})
        trials = place.runs("trial", name)
        assert len(trials) == 16
        best[name] = max(run.data.metrics["cv/auc_pr_macro_mean"] for run in trials if run.info.status == "FINISHED")
        histories = [place.client.get_metric_history(run.info.run_id, "epoch/auc_pr_macro") for run in trials]
        epochs[name] = sum(len(history) for history in histories)
        proposed[name] = {(run.data.tags["wellai.trial"], run.data.params["optimizer.learning_rate"]) for run in trials}
    with capsys.disabled():
        share = epochs["pruned"] / epochs["whole"]
        print(f"\nbest macro AUC-PR {best['whole']:.4f} in {epochs['whole']} epochs; pruned {best['pruned']:.4f} in "
              f"{epochs['pruned']} ({share:.0%})")  # fmt: skip
    assert proposed["pruned"] == proposed["whole"]
    assert epochs["whole"] == 16 * 8
    assert epochs["pruned"] <= epochs["whole"] / 2
    assert best["pruned"] >= best["whole"] - 0.005
