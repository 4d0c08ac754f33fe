"""Workers that work, fail, die, freeze and grow: real processes on a real study."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import pytest
from jobs import DiesAt, Epochs, FailsAt, FreezesAt, GrowsAt, NeverOpens, NoStore, Plain

from wellai_exp import stopping
from wellai_exp.compute import Crew, Local, Note, Place
from wellai_exp.errors import SettingError, StoreError, WellaiError
from wellai_exp.search import Attempt, DominancePruner, Integers, MissingMetric, Search, Space, Study


@dataclass
class Heard:
    """What a crew told its parent."""

    said: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    settled: list[Attempt] = field(default_factory=list)
    finished: int = 0

    def count(self) -> None:
        self.finished += 1


def make_study(store: Path, n: int = 6, **settings: object) -> Study:
    search = Search(
        sampler=optuna.samplers.RandomSampler,
        n_trials=n,
        first=[{"b": index} for index in range(n)],
        **settings,  # type: ignore[arg-type]
    )
    return Study(search, Space({"b": Integers(0, 99)}, lambda _group, _option: {}, {}), "s", store, seed=3)


def go(study: Study, job: Plain, place: Place, metric: str = "auc_pr_macro") -> Heard:
    heard = Heard()
    log = study._store / "workers.log"
    with study.opened(), Crew(place, job, log, heard.said.append, heard.notes.append) as crew:
        crew.run(study, metric, heard.settled.append, heard.count)
    return heard


def values(study: Study) -> list[float]:
    return sorted(study.trials()["value"].dropna())


def test_two_workers_do_each_trial_once(tmp_path: Path) -> None:
    study = make_study(tmp_path, 8)
    heard = go(study, Plain(tmp_path, 0.05), Local(workers=2))
    assert values(study) == list(range(8))
    assert heard.finished == 8
    assert len({note.value for note in heard.notes}) == 2
    assert len(heard.notes) == 8
    assert "at 7" in " ".join(heard.said)
    assert heard.settled == []
    # A finished study starts no worker.
    assert go(study, NeverOpens(tmp_path), Local(workers=2)).finished == 0


def test_failures_and_pruning_come_from_the_workers(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    go(study, FailsAt(tmp_path), Local(workers=2))
    failed = study.trials().query("state == 'FAIL'")
    assert sorted(failed["reason"]) == ["ZeroDivisionError: ", "the neighbours ran out"]
    pruned = make_study(tmp_path / "epochs", 8, pruner=DominancePruner(startup_trials=1, warm_up_epochs=1))
    go(pruned, Epochs(tmp_path), Local(workers=2))
    table = pruned.trials()
    assert set(table["state"]) == {"COMPLETE", "PRUNED"}
    assert table.loc[table["state"] == "COMPLETE", "value"].max() == 300


def test_a_worker_that_dies_costs_nothing_and_one_that_always_does_its_trial(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    heard = go(study, DiesAt(tmp_path, times=1), Local(workers=2))
    assert values(study) == list(range(6))
    assert [attempt.state for attempt in heard.settled] == ["CUT OFF"]
    (tmp_path / "again").mkdir()
    study = make_study(tmp_path / "again")
    heard = go(study, DiesAt(tmp_path / "again", times=9), Local(workers=2, retries=2))
    assert values(study) == [0, 1, 2, 4, 5]
    (reason,) = study.trials().query("state == 'FAIL'")["reason"]
    assert reason == "its worker was lost 3 times, the last because it was ended by SIGKILL"
    assert sorted(attempt.attempt for attempt in heard.settled) == [1, 2, 3]
    assert heard.finished == 6


def test_a_frozen_worker_loses_its_trial_and_lives_on(tmp_path: Path) -> None:
    study = make_study(tmp_path, 12)
    process = tmp_path / "process"

    def wake() -> None:
        # When its trial is another's: the attempts at it are two then.
        while not process.exists() or sum(trial.number > 11 for trial in study.study.trials) == 0:
            time.sleep(0.05)
        os.kill(int(process.read_text()), signal.SIGCONT)

    threading.Thread(target=wake, daemon=True).start()
    heard = go(study, FreezesAt(tmp_path, 0.2), Local(workers=2, grace_seconds=2))
    assert values(study) == list(range(12))
    frozen = int(process.read_text())
    assert (tmp_path / f"superseded-{frozen}").exists()
    assert [attempt.state for attempt in heard.settled] == ["CUT OFF"]
    assert len({note.value for note in heard.notes}) == 2


def test_a_worker_that_never_wakes_is_replaced(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    heard = go(study, FreezesAt(tmp_path), Local(workers=2, grace_seconds=1))
    assert values(study) == list(range(6))
    assert [attempt.attempt for attempt in heard.settled] == [1]


@pytest.mark.parametrize("repeat", [0, *(pytest.param(repeat, marks=pytest.mark.slow) for repeat in range(1, 20))])
def test_too_much_memory_costs_that_trial_alone(repeat: int, tmp_path: Path, injected: Callable[..., None]) -> None:
    study = make_study(tmp_path)
    go(study, GrowsAt(tmp_path), Local(workers=2, memory_mb=300, retries=1))
    assert values(study) == [0, 1, 3, 4, 5]
    (reason,) = study.trials().query("state == 'FAIL'")["reason"]
    assert "more than compute.memory_mb=300" in reason
    injected("memory limit hit")


@pytest.mark.parametrize(
    ("job", "metric", "error"),
    [
        (NoStore, "auc_pr_macro", StoreError),
        (Plain, "another", MissingMetric),
        (NeverOpens, "auc_pr_macro", WellaiError),
    ],
)
def test_what_no_trial_can_mend_ends_the_sweep_and_costs_no_trial(
    tmp_path: Path, job: Callable[[Path], Plain], metric: str, error: type[WellaiError]
) -> None:
    study = make_study(tmp_path)
    with pytest.raises(error):
        go(study, job(tmp_path), Local(workers=2), metric)
    with study.opened():
        assert {attempt.state for attempt in study.attempts()} <= {"COMPLETE", "CUT OFF"}
    go(study, Plain(tmp_path), Local(workers=2))
    assert values(study) == list(range(6))


def test_a_signal_has_the_workers_leave_and_their_trials_done_again(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopping.listen()
    study = make_study(tmp_path)
    heard = Heard()

    def stop_after_two() -> None:
        heard.count()
        if heard.finished == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        with (
            pytest.raises(stopping.Terminated),
            study.opened(),
            Crew(
                Local(workers=2), Plain(tmp_path, 0.5), tmp_path / "log", heard.said.append, heard.notes.append
            ) as crew,
        ):
            crew.run(study, "auc_pr_macro", heard.settled.append, stop_after_two)
    finally:
        stopping.listen()
        for number, handler in before.items():
            signal.signal(number, handler)
    with study.opened():
        states = [attempt.state for attempt in study.attempts()]
        assert "RUNNING" not in states
        assert study.finished == states.count("COMPLETE") < 6
    go(study, Plain(tmp_path), Local(workers=2))
    assert values(study) == list(range(6))


@pytest.mark.parametrize(
    "settings", [{"workers": 0}, {"workers": 1.5}, {"retries": -1}, {"grace_seconds": 0}, {"memory_mb": 5}]
)
def test_settings_that_cannot_work(settings: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=f"compute.{next(iter(settings))}="):
        Local(**settings)  # type: ignore[arg-type]
