"""Objectives, constraints, and who dominates whom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_study import measure, nothing, run, value

from wellai_exp.errors import SettingError
from wellai_exp.search import (
    Choice,
    Constraint,
    DominancePruner,
    Integers,
    Interval,
    NothingFeasible,
    Proposal,
    Report,
    Search,
    Space,
    Study,
)
from wellai_exp.search._goals import dominators, ranks

SPACE = Space({"a": Choice(("x", "y", "z")), "b": Interval(0.0, 1.0)}, nothing, {})
LATENCY = {"x": 10.0, "y": 20.0, "z": 40.0}
MULTI: dict[str, Callable[..., Any]] = {
    "tpe": partial(optuna.samplers.TPESampler, multivariate=True, group=True, n_startup_trials=4),
    "nsga2": partial(optuna.samplers.NSGAIISampler, population_size=4),
    "random": optuna.samplers.RandomSampler,
    "qmc": partial(optuna.samplers.QMCSampler, warn_asynchronous_seeding=False),
}


def trade_off(proposal: Proposal, report: Report) -> dict[str, float]:
    """Slower is more accurate."""
    latency = LATENCY[proposal.overrides[0].removeprefix("a=")]
    return {"accuracy": value(proposal) * latency / 40, "latency_ms": latency, "fps": 1000 / latency}


def make(store: Path, sampler: str = "tpe", n_trials: int = 12, **settings: Any) -> Study:
    search = Search(sampler=MULTI[sampler], n_trials=n_trials, **{"maximize": "accuracy", **settings})
    return Study(search, SPACE, search.study or "s", store, seed=1)


@pytest.mark.parametrize("sampler", MULTI)
def test_two_objectives_give_the_front_that_brute_force_gives(tmp_path: Path, sampler: str) -> None:
    study = make(tmp_path, sampler, minimize="latency_ms")
    run(study, trade_off)
    table = study.trials()
    assert list(table["state"].unique()) == ["COMPLETE"]
    points = list(zip(table["accuracy"], table["latency_ms"], strict=True))
    best = [
        number
        for number, (accuracy, latency) in zip(table["number"], points, strict=True)
        if not any(a >= accuracy and ms <= latency and (a, ms) != (accuracy, latency) for a, ms in points)
    ]
    assert study.front() == best
    assert study.best().value == table["accuracy"].max()
    assert study.top(1)[0].number in study.front()
    assert set(study.importances()) <= {"a", "b"}


def test_the_winner_keeps_the_constraints_and_the_other_need_not(tmp_path: Path) -> None:
    study = make(tmp_path, subject_to={"fps": "> 25"}, n_trials=20)
    run(study, trade_off)
    table = study.trials()
    assert (table["feasible"] == (table["a"] != "z")).all()
    assert study.best().value == table[table["feasible"]]["value"].max()
    assert study.best(unconstrained=True).value == table["value"].max()
    at_bound = table[table["fps"] == 25]
    assert len(at_bound) == 0 or (at_bound["violation"] > 0).all()
    assert set(study.front()) <= set(table[table["feasible"]]["number"])


def test_the_sampler_learns_what_is_feasible(tmp_path: Path) -> None:
    share = {}
    for bound in (">= 30", ">= 0"):
        study = make(tmp_path, subject_to={"fps": bound}, n_trials=30, study=bound)
        run(study, trade_off)
        share[bound] = (study.trials().iloc[15:]["fps"] >= 30).mean()
    assert share[">= 30"] >= share[">= 0"] + 0.3


def test_nothing_feasible_names_the_constraint_the_nearest_and_what_to_do(tmp_path: Path) -> None:
    study = make(tmp_path, subject_to={"fps": ">= 200", "latency_ms": "<= 50"})
    run(study, trade_off)
    with pytest.raises(NothingFeasible, match=r"fps >= 200.*nearest with fps 100 \(a=x .*search\.subject_to\.fps"):
        study.best()
    assert study.front() == []
    assert study.top(3) == []
    near = study.nearest()
    assert [each.metrics["fps"] for each in near] == [100.0] * 3
    assert near[0].violation == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"maximize": "acuracy"}, r"search\.maximize=acuracy: .*accuracy, fps, latency_ms"),
        ({"minimize": "size_mb"}, r"search\.minimize=size_mb"),
        ({"subject_to": {"size_mb": "<= 10"}}, r"search\.subject_to\.size_mb=size_mb"),
    ],
)
def test_a_metric_that_no_trial_has_ends_the_sweep_at_once(tmp_path: Path, settings: dict[str, Any], name: str) -> None:
    study = make(tmp_path, **settings)
    with pytest.raises(SettingError, match=name):
        run(study, trade_off)
    assert study.trials().empty


@pytest.mark.parametrize("text", ["30", ">= thirty", "=> 30", ">= nan", ">= inf", 30, None, ""])
def test_an_unsound_bound_is_refused(text: object) -> None:
    with pytest.raises(SettingError, match=r"search\.subject_to\.fps="):
        Search(sampler=optuna.samplers.TPESampler, subject_to={"fps": text})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"maximize": []}, r"search\.maximize"),
        ({"maximize": None, "minimize": "loss"}, r"search\.maximize"),
        ({"maximize": ["a", 3]}, r"search\.maximize"),
        ({"maximize": ["a", "a"]}, r"search\.maximize=a"),
        ({"maximize": "a", "minimize": ["b", "a"]}, r"search\.minimize=a"),
        ({"sampler": optuna.samplers.CmaEsSampler, "minimize": "b"}, r"search\.sampler=CmaEsSampler"),
        ({"sampler": partial(optuna.samplers.CmaEsSampler), "subject_to": {"b": "< 1"}}, r"search\.sampler"),
        ({"pruner": optuna.pruners.MedianPruner(), "minimize": "b"}, r"search\.pruner=MedianPruner: .* 2 objectives"),
        ({"pruner": optuna.pruners.HyperbandPruner(), "subject_to": {"b": "< 1"}}, r"search\.pruner=HyperbandPruner"),
        ({"pruner": "median"}, r"search\.pruner=str"),
        ({"subject_to": ">= 3"}, r"search\.subject_to="),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingError, match=name):
        Search(**{"sampler": optuna.samplers.TPESampler} | settings)


@pytest.mark.parametrize("field", ["startup_trials", "warm_up_epochs", "dominators"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_an_unsound_pruner_is_refused(field: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"search\.pruner\.{field}="):
        DominancePruner(**{field: value})  # type: ignore[arg-type]


def test_a_study_begun_with_other_goals_is_refused(tmp_path: Path) -> None:
    run(make(tmp_path), trade_off)
    with pytest.raises(SettingError, match=r"search\.study=s: it was begun to maximise accuracy, and now"):
        run(make(tmp_path, minimize="latency_ms"), trade_off)


def test_a_point_dominates_where_it_is_nowhere_worse() -> None:
    assert dominators([1.0, 1.0], [[1.0, 1.0], [0.0, 1.0], [0.0, 2.0], [0.5, 0.5]]) == 2
    assert dominators([1.0, 1.0], []) == 0


POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 2), min_size=1, max_size=12)


@given(POINTS)
def test_ranks_are_one_more_than_the_worst_that_dominates(points: list[tuple[int, int]]) -> None:
    found = ranks(points)
    for point, rank in zip(points, found, strict=True):
        above = [other for q, other in zip(points, found, strict=True) if dominators(point, [q])]
        assert rank == max(above, default=-1) + 1


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_with_one_objective_the_ranks_are_those_of_the_distinct_values(values: list[int]) -> None:
    order = sorted(set(values))
    assert ranks([[each] for each in values]) == [order.index(each) for each in values]


@given(st.sampled_from([">=", "<=", ">", "<"]), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.01, 100))
def test_a_violation_is_relative_and_its_sign_says_whether_the_bound_is_kept(
    sign: str, bound: float, number: float, unit: float
) -> None:
    kept = {">=": number >= bound, "<=": number <= bound, ">": number > bound, "<": number < bound}[sign]
    excess = Constraint("q", sign, bound).excess(number)
    assert (excess <= 0) == kept
    if abs(bound) > 1e-3:
        assert np.isclose(Constraint("q", sign, bound * unit).excess(number * unit), excess, atol=1e-9)


def test_a_group_with_probe_trials_reports_nothing(tmp_path: Path) -> None:
    search = Search(sampler=MULTI["random"], n_trials=3, pruner=optuna.pruners.MedianPruner())
    study = Study(search, Space({"a": Integers(0, 9), "b": Interval(0.0, 1.0)}, nothing, {}), "p", tmp_path, 0)
    run(study, measure)
    table = study.trials()
    assert (table["epochs"] == 0).all()
    assert table["last"].isna().all()
