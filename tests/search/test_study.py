"""The search loop on real SQLite: totals, failures, interruptions, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest

from wellai_exp.errors import SettingError, StoreError, TrialFailed
from wellai_exp.search import (
    Choice,
    Distribution,
    Evaluate,
    Interval,
    Proposal,
    Report,
    Search,
    Space,
    Study,
    SweepFailed,
)


def nothing(_group: str, _option: str) -> Mapping[str, Distribution]:
    return {}


def make_study(store: Path, n_trials: int = 8, max_failures: int = 3, name: str = "s") -> Study:
    search = Search(sampler=optuna.samplers.TPESampler, n_trials=n_trials, max_failures=max_failures)
    space = Space({"a": Choice(("x", "y", "z")), "b": Interval(0.0, 1.0)}, nothing, {})
    return Study(search, space, name, store, seed=3)


def value(proposal: Proposal) -> float:
    return float(next(line for line in proposal.overrides if line.startswith("b=")).removeprefix("b="))


def measure(proposal: Proposal, _report: Report) -> dict[str, float]:
    return {"auc_pr_macro": value(proposal), "accuracy": 0.5}


def run(study: Study, evaluate: Evaluate = measure) -> None:
    with study.opened():
        study.run(evaluate, lambda: None)


def test_the_total_counts_earlier_starts(tmp_path: Path) -> None:
    run(make_study(tmp_path, 4))
    again = make_study(tmp_path, 7)
    run(again)
    trials = again.trials()
    assert len(trials) == 7
    assert set(trials["a"]) == {"x", "y", "z"}
    best = again.best()
    assert best.value == trials["value"].max()
    assert value(Proposal(best.number, best.overrides, 1, 0.0)) == best.value


def test_going_on_proposes_nothing_twice(tmp_path: Path) -> None:
    for total in (5, 10, 15):
        study = make_study(tmp_path, total)
        run(study)
    assert study.trials()["b"].is_unique


def test_a_failing_trial_is_kept_with_its_reason_and_does_not_end_the_sweep(tmp_path: Path) -> None:
    def sometimes(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.number in (1, 4):
            raise TrialFailed("the neighbours ran out")
        if proposal.number == 2:
            raise ZeroDivisionError
        return {"auc_pr_macro": float("nan")} if proposal.number == 6 else measure(proposal, report)

    study = make_study(tmp_path)
    run(study, sometimes)
    failed = study.trials().query("state == 'FAIL'")
    assert list(failed["number"]) == [1, 2, 4, 6]
    assert failed["reason"].iloc[0] == "the neighbours ran out"
    assert "nan" in failed["reason"].iloc[3]
    assert len(study.trials()) == 8


def test_repeated_failure_ends_the_sweep_with_the_reason(tmp_path: Path) -> None:
    def never(_: Proposal, _report: Report) -> dict[str, float]:
        raise TrialFailed("no weights")

    with pytest.raises(SweepFailed, match=r"search\.max_failures=3.*no weights"):
        run(make_study(tmp_path), never)
    with pytest.raises(SweepFailed, match="no trial has a value"), make_study(tmp_path).opened() as study:
        study.best()


def test_a_trial_that_was_cut_off_comes_before_those_that_wait(tmp_path: Path) -> None:
    def cut_off(_proposal: Proposal, _report: Report) -> dict[str, float]:
        raise KeyboardInterrupt

    tried: list[tuple[tuple[str, ...], int]] = []

    def remember(proposal: Proposal, report: Report) -> dict[str, float]:
        tried.append((proposal.overrides, proposal.attempt))
        return measure(proposal, report)

    first = make_study(tmp_path, 4)
    with pytest.raises(KeyboardInterrupt):
        run(first, cut_off)
    interrupted = first.study.trials[0].params
    run(make_study(tmp_path, 4), remember)
    assert tried[0] == ((f"a={interrupted['a']}", f"b={interrupted['b']!r}"), 2)
    assert [attempt for _, attempt in tried[1:]] == [1, 1, 1]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, StoreError("disk full")])
def test_an_interrupted_trial_is_done_again_with_the_same_parameters(
    tmp_path: Path, stop: type[BaseException] | BaseException
) -> None:
    seen: list[tuple[str, ...]] = []

    def stopped(proposal: Proposal, report: Report) -> dict[str, float]:
        seen.append(proposal.overrides)
        if len(seen) == 4:
            raise stop
        return measure(proposal, report)

    with pytest.raises((KeyboardInterrupt, StoreError)):
        run(make_study(tmp_path), stopped)
    study = make_study(tmp_path)
    run(study)
    trials = study.trials()
    assert len(trials) == 8
    assert list(trials["overrides"]).count(seen[3]) == 1
    assert trials["b"].is_unique


def test_a_study_is_held_by_one_process(tmp_path: Path) -> None:
    with (
        make_study(tmp_path).opened(),
        pytest.raises(StoreError, match=r"search\.study=s: another process"),
        make_study(tmp_path).opened(),
    ):
        pass


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from test_study import make_study, measure, run
    count = 0
    def dies(proposal, report):
        global count
        count += 1
        if count == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return measure(proposal, report)
    run(make_study(Path({store!r})), dies)
    """
)


@pytest.mark.parametrize("at", [1, 3])
def test_a_killed_sweep_goes_on_to_its_exact_total(tmp_path: Path, at: int) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent), store=str(tmp_path), at=at)
    done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    study = make_study(tmp_path)
    run(study)
    assert len(study.trials()) == 8
    assert study.trials()["b"].is_unique
    with study.opened():
        assert all(trial.state.is_finished() for trial in study.study.trials)


def test_a_damaged_study_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"paths\.store=.*study\.db"):
        run(make_study(tmp_path))


def test_a_grid_ends_when_every_combination_was_tried(tmp_path: Path) -> None:
    search = Search(sampler=optuna.samplers.BruteForceSampler, n_trials=9)
    space = Space({"a": Choice(("x", "y", "z")), "c": Choice(("1", "2"))}, nothing, {})

    def constant(_proposal: Proposal, _report: Report) -> dict[str, float]:
        return {"auc_pr_macro": 0.5}

    for _ in range(2):
        study = Study(search, space, "grid", tmp_path, seed=3)
        run(study, constant)
        table = study.trials()
        assert len(table) == len(set(table["overrides"])) == 6
        assert set(table["state"]) == {"COMPLETE"}


def test_points_to_try_first_come_before_the_design(tmp_path: Path) -> None:
    search = Search(sampler=optuna.samplers.RandomSampler, n_trials=4)
    points: list[dict[str, object]] = [{"a": "z", "b": 0.25}, {"a": "y"}]
    study = Study(search, make_study(tmp_path).space, "first", tmp_path, seed=3, enqueue=points)
    run(study)
    table = study.trials()
    assert (table["a"][0], table["b"][0], table["a"][1]) == ("z", 0.25, "y")
    run(Study(search, study.space, "first", tmp_path, seed=3, enqueue=points))
    assert len(study.trials()) == 4


@pytest.mark.parametrize(("point", "name"), [({"a": "w"}, r"search\.space\.a=w"), ({"c": 1}, r"search\.space\.c=1")])
def test_a_point_outside_the_space_is_refused(tmp_path: Path, point: dict[str, object], name: str) -> None:
    with pytest.raises(SettingError, match=name):
        Study(make_study(tmp_path).search, make_study(tmp_path).space, "s", tmp_path, 3, [point])


def test_the_best_few_are_distinct(tmp_path: Path) -> None:
    def rounded(proposal: Proposal, _report: Report) -> dict[str, float]:
        return {"auc_pr_macro": float("a=z" in proposal.overrides)}

    search = Search(sampler=optuna.samplers.RandomSampler, n_trials=12)
    study = Study(search, Space({"a": Choice(("x", "y", "z"))}, nothing, {}), "s", tmp_path, 3)
    run(study, rounded)
    top = study.top(5)
    assert top[0].overrides == ("a=z",)
    assert len({each.overrides for each in top}) == len(top) == 3
    assert top[0] == study.best()


def test_what_the_experiment_takes_unsearched_need_not_be_a_choice(tmp_path: Path) -> None:
    search = Search(sampler=optuna.samplers.RandomSampler, n_trials=3, baseline={"imbalance": "none"})
    dimensions: dict[str, Distribution] = {
        "backbone": Choice(("large", "small")),
        "imbalance": Choice(("smote", "adasyn")),
        "b": Interval(0.0, 1.0),
    }
    space = Space(dimensions, nothing, {"backbone": "middle", "imbalance": "none"})
    run(study := Study(search, space, "s", tmp_path, seed=3))
    assert set(study.trials()["backbone"]) == {"large", "small"}
    assert set(study.trials()["imbalance"]) == {"smote", "adasyn"}
