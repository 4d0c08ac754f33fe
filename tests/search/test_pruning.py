"""Stopping trials early: what is told, what survives a kill, and what it saves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
from learning_curves import NOISE, Trainer, space
from test_study import nothing, run

from wellai_exp.search import (
    Candidate,
    DominancePruner,
    Interval,
    NothingFeasible,
    Proposal,
    Report,
    Search,
    Space,
    Study,
)
from wellai_exp.search import _study as study_module
from wellai_exp.search._goals import Direction
from wellai_exp.search._pruning import Pruner

ONE = Space({"b": Interval(0.0, 1.0)}, nothing, {})
PRUNERS: dict[str, Callable[[], Pruner]] = {
    "median": partial(optuna.pruners.MedianPruner, n_startup_trials=1, n_warmup_steps=2),
    "halving": partial(optuna.pruners.SuccessiveHalvingPruner, min_resource=2, reduction_factor=2),
    "hyperband": partial(optuna.pruners.HyperbandPruner, min_resource=1, max_resource=4, reduction_factor=2),
    "dominance": partial(DominancePruner, startup_trials=1, warm_up_epochs=2),
}


def make(store: Path, values: Sequence[float], **settings: object) -> Study:
    """Trial number n has the n-th value; all are at it from the first epoch."""
    search = Search(sampler=optuna.samplers.RandomSampler, n_trials=len(values), maximize="m", **settings)  # type: ignore[arg-type]
    return Study(search, ONE, "s", store, seed=0, enqueue=[{"b": each} for each in values])


def train(proposal: Proposal, report: Report, epochs: int = 4) -> dict[str, float]:
    reached = float(proposal.overrides[0].removeprefix("b="))
    for epoch in range(1, epochs + 1):
        report(epoch, {"m": reached, "size": 10 * reached}, last=epoch == epochs)
    return {"m": reached, "size": 10 * reached}


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_worse_trial_is_stopped_counts_and_never_wins(tmp_path: Path, pruner: str) -> None:
    study = make(tmp_path, [0.5, 0.9, 0.2, 0.8, 0.1, 0.3], pruner=PRUNERS[pruner]())
    run(study, train)
    table = study.trials()
    assert len(table) == study.finished == 6
    pruned = table[table["state"] == "PRUNED"]
    assert len(pruned) > 0
    assert (pruned["epochs"] < 4).all()
    assert pruned["value"].isna().all()
    assert list(pruned["last"]) == list(pruned["b"])
    assert (table[table["state"] == "COMPLETE"]["epochs"] == 4).all()
    assert study.best().value == 0.9
    curves = study.curves()
    assert curves.groupby("trial").size().to_dict() == table.set_index("number")["epochs"].to_dict()


def test_a_pruned_trial_is_not_a_failed_one(tmp_path: Path) -> None:
    pruner = PRUNERS["median"]()
    run(study := make(tmp_path, [0.9, *(0.1 * i for i in range(8))], pruner=pruner, max_failures=1), train)
    assert (study.trials()["state"] == "PRUNED").sum() == 8


def test_a_report_that_is_no_number_fails_the_trial(tmp_path: Path) -> None:
    def diverges(proposal: Proposal, report: Report) -> dict[str, float]:
        report(1, {"m": float("nan")})
        return {"m": 1.0}

    run(study := make(tmp_path, [0.1, 0.2], max_failures=3), diverges)
    assert list(study.trials()["reason"]) == ["its m was nan"] * 2


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband", "dominance"])
@pytest.mark.parametrize("again", [1, 4], ids=["reports all again", "reports new epochs only"])
def test_a_trial_that_goes_on_is_not_judged_again_where_it_survived(tmp_path: Path, pruner: str, again: int) -> None:
    values = [0.1, 0.2, 0.8, 0.9]

    def cut_off(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.number != 1:
            return train(proposal, report)
        report(1, {"m": 0.2})
        report(2, {"m": 0.2})
        report(3, {"m": 0.2})
        raise KeyboardInterrupt

    study = make(tmp_path, values, pruner=PRUNERS[pruner]())
    with pytest.raises(KeyboardInterrupt):
        run(study, cut_off)
    passed: list[int] = []

    def go_on(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.attempt == 1:
            return train(proposal, report)
        for epoch in range(again, 5):
            report(epoch, {"m": 0.2}, last=epoch == 4)
            passed.append(epoch)
        return {"m": 0.2}

    # The better trials, which wait in front of the second attempt, were not there when the first passed epochs 1 to 3.
    run(study := make(tmp_path, values, pruner=PRUNERS[pruner]()), go_on)
    assert set(range(again, 4)) <= set(passed)
    table = study.trials()
    assert len(table) == 4
    resumed = table[table["b"] == 0.2]
    assert list(resumed["epochs"]) == [4]


def test_successive_halving_does_not_ask_again_at_a_rung_that_was_passed(tmp_path: Path) -> None:
    def cut_off(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.attempt == 1 and proposal.number == 1:
            train(proposal, report, epochs=2)
            report(3, {"m": 0.2})
            raise KeyboardInterrupt
        return train(proposal, report, epochs=6)

    # Rungs at epochs 3 and 9: judged as at epoch 3 once more, the second attempt would lose to both better trials.
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3)
    with pytest.raises(KeyboardInterrupt):
        run(make(tmp_path, [0.1, 0.2, 0.8, 0.9], pruner=pruner), cut_off)
    run(study := make(tmp_path, [0.1, 0.2, 0.8, 0.9], pruner=pruner), cut_off)
    table = study.trials()
    assert list(table[table["b"] == 0.2]["state"]) == ["COMPLETE"]


def test_what_breaks_a_constraint_stops_no_trial_that_keeps_it(tmp_path: Path) -> None:
    values = [0.9, 0.95, 0.4, 0.5, 0.3]
    pruner = partial(optuna.pruners.MedianPruner, n_startup_trials=1, n_warmup_steps=1)
    study = make(tmp_path, values, pruner=pruner(), subject_to={"size": "<= 6"})
    run(study, train)
    table = study.trials()
    assert list(table["state"]) == ["COMPLETE"] * 4 + ["PRUNED"]
    assert list(table["feasible"]) == [False, False, True, True, True]
    assert study.best().value == 0.5
    assert study.best(unconstrained=True).value == 0.95


@pytest.mark.parametrize("prune_infeasible", [True, False])
def test_what_cannot_keep_a_constraint_stops_before_training_where_asked(
    tmp_path: Path, prune_infeasible: bool
) -> None:
    def known(proposal: Proposal, report: Report) -> dict[str, float]:
        report(0, {"size": 10 * float(proposal.overrides[0].removeprefix("b="))})
        return train(proposal, report)

    values = [0.9, 0.4]
    study = make(tmp_path, values, subject_to={"size": "<= 6"}, prune_infeasible=prune_infeasible)
    run(study, known)
    table = study.trials()
    assert list(table["epochs"]) == ([0, 4] if prune_infeasible else [4, 4])
    assert list(table["feasible"]) == [False, True]
    none = Study(study.search, ONE, "none", tmp_path, 0, [{"b": 0.9}, {"b": 0.8}])
    run(none, known)
    with pytest.raises(NothingFeasible, match="nearest with size 8"):
        none.best()


# What pruning promises. Optuna's storage in memory in place of SQLite: hundreds of trials, the same decisions.
SAMPLERS: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
    "random": optuna.samplers.RandomSampler,
    "tpe": partial(optuna.samplers.TPESampler, multivariate=True, group=True, n_startup_trials=10),
}
SEEDS, TRIALS = range(6), 24


@pytest.fixture
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_study(_store: Path, _storage: str | None, name: str, directions: list[Direction]) -> optuna.Study:
        return optuna.create_study(study_name=name, directions=directions)

    monkeypatch.setattr(study_module, "open_study", open_study)
    monkeypatch.setattr(study_module, "identity", lambda _store, _storage: None)


def finish(store: Path, seed: int, **settings: object) -> tuple[Trainer, Study]:
    trainer = Trainer()
    study = Study(Search(n_trials=TRIALS, maximize="accuracy", **settings), space(), "s", store, seed)  # type: ignore[arg-type]
    run(study, trainer)
    return trainer, study


@pytest.mark.usefixtures("_in_memory")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_objective_costs_half_the_epochs_and_half_a_point(tmp_path: Path, sampler: str) -> None:
    cost, lost = [], []
    for seed in SEEDS:
        whole, full = finish(tmp_path, seed, sampler=SAMPLERS[sampler])
        pruner = optuna.pruners.PercentilePruner(25.0, n_startup_trials=2, n_warmup_steps=2)
        part, pruned = finish(tmp_path, seed, sampler=SAMPLERS[sampler], pruner=pruner)
        cost.append(part.spent / whole.spent)
        lost.append(whole.truth[full.best().number] - part.truth[pruned.best().number])
    assert np.mean(cost) <= 0.5
    assert np.mean(lost) <= 0.005
    assert max(lost) <= 0.015


@pytest.mark.usefixtures("_in_memory")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_two_objectives_cost_half_the_epochs_and_keep_the_front(tmp_path: Path, sampler: str) -> None:
    def front(study: Study) -> list[Candidate]:
        return [each for each in study.top(TRIALS) if each.number in study.front()]

    cost, lost = [], []
    for seed in SEEDS:
        whole, full = finish(tmp_path, seed, sampler=SAMPLERS[sampler], minimize="latency_ms")
        pruner = DominancePruner(startup_trials=2, warm_up_epochs=2, dominators=1)
        part, pruned = finish(tmp_path, seed, sampler=SAMPLERS[sampler], minimize="latency_ms", pruner=pruner)
        cost.append(part.spent / whole.spent)
        lost += [
            whole.truth[each.number]
            - max(part.truth[q.number] for q in front(pruned) if q.metrics["latency_ms"] <= each.metrics["latency_ms"])
            for each in front(full)
        ]
    assert np.mean(cost) <= 0.5
    assert np.mean(lost) <= NOISE
    assert np.mean(np.array(lost) <= 3 * NOISE) >= 0.9
