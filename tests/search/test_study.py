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

from wellai_exp.errors import StoreError, TrialFailed
from wellai_exp.search import Choice, Distribution, Interval, Proposal, Search, Space, Study, SweepFailed


def nothing(_group: str, _option: str) -> Mapping[str, Distribution]:
    return {}


def make_study(store: Path, n_trials: int = 8, max_failures: int = 3, name: str = "s") -> Study:
    search = Search(sampler=optuna.samplers.TPESampler, n_trials=n_trials, max_failures=max_failures)
    space = Space({"a": Choice(("x", "y", "z")), "b": Interval(0.0, 1.0)}, nothing, {})
    return Study(search, space, name, store, seed=3)


def value(proposal: Proposal) -> float:
    return float(next(line for line in proposal.overrides if line.startswith("b=")).removeprefix("b="))


def run(study: Study, evaluate: object = value) -> None:
    with study.opened():
        study.run(evaluate, lambda: None)  # type: ignore[arg-type]


def test_the_total_counts_earlier_starts(tmp_path: Path) -> None:
    run(make_study(tmp_path, 4))
    again = make_study(tmp_path, 7)
    run(again)
    trials = again.trials()
    assert len(trials) == 7
    assert set(trials["a"]) == {"x", "y", "z"}
    number, overrides, best = again.best()
    assert best == trials["value"].max()
    assert value(Proposal(number, overrides, 1, 0.0)) == best


def test_going_on_proposes_nothing_twice(tmp_path: Path) -> None:
    for total in (5, 10, 15):
        study = make_study(tmp_path, total)
        run(study)
    assert study.trials()["b"].is_unique


def test_a_failing_trial_is_kept_with_its_reason_and_does_not_end_the_sweep(tmp_path: Path) -> None:
    def sometimes(proposal: Proposal) -> float:
        if proposal.number in (1, 4):
            raise TrialFailed("the neighbours ran out")
        if proposal.number == 2:
            raise ZeroDivisionError
        return float("nan") if proposal.number == 6 else value(proposal)

    study = make_study(tmp_path)
    run(study, sometimes)
    failed = study.trials().query("state == 'FAIL'")
    assert list(failed["number"]) == [1, 2, 4, 6]
    assert failed["reason"].iloc[0] == "the neighbours ran out"
    assert "nan" in failed["reason"].iloc[3]
    assert len(study.trials()) == 8


def test_repeated_failure_ends_the_sweep_with_the_reason(tmp_path: Path) -> None:
    def never(_: Proposal) -> float:
        raise TrialFailed("no weights")

    with pytest.raises(SweepFailed, match=r"search\.max_failures=3.*no weights"):
        run(make_study(tmp_path), never)
    with pytest.raises(SweepFailed, match="no trial has a value"), make_study(tmp_path).opened() as study:
        study.best()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, StoreError("disk full")])
def test_an_interrupted_trial_is_done_again_with_the_same_parameters(
    tmp_path: Path, stop: type[BaseException] | BaseException
) -> None:
    seen: list[tuple[str, ...]] = []

    def stopped(proposal: Proposal) -> float:
        seen.append(proposal.overrides)
        if len(seen) == 4:
            raise stop
        return value(proposal)

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
    from test_study import make_study, run, value
    count = 0
    def dies(proposal):
        global count
        count += 1
        if count == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return value(proposal)
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
