"""Faults at random and at named places, and the invariants after each; a table of them is printed at the end.

Fast: each kind once or a few times. Slow: as often as ``WELLAI_FAULTS`` says, 20 unless it is set.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import struck
from sweeps import check, completed, make_sweep, start, trials_of

from wellai_exp import milestones
from wellai_exp.compute import Crew

FAULTS = int(os.environ.get("WELLAI_FAULTS", "20"))
# Of the time that recovery may take beyond the grace period.
SECONDS_TO_RECOVER = 10.0
Record = Callable[[str, object], None]

often = pytest.mark.parametrize("times", [2, pytest.param(FAULTS, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
slow = [pytest.mark.slow, pytest.mark.timeout(3600)]


def note(record: Record, fault: str, times: int, seconds: float | None = None) -> None:
    """Have a line in the table; it is written where the test has passed."""
    record("fault", [fault, times, seconds])


class Attacker(threading.Thread):
    """Does something to random workers of a crew, one after another."""

    def __init__(self, times: int, seed: int, attack: Callable[[Crew, int], None]) -> None:
        super().__init__(daemon=True)
        self._times = times
        self._chance = random.Random(seed)
        self._attack = attack
        self._crew: Crew | None = None
        self.done = 0

    def watch(self, crew: Crew) -> None:
        """Begin."""
        self._crew = crew
        self.start()

    def run(self) -> None:
        assert self._crew is not None
        while self.done < self._times:
            time.sleep(self._chance.uniform(0.05, 0.5))
            at_work = [member for member in list(self._crew.members) if member.underway is not None]
            if len(at_work) < 2:
                continue  # so that the sweep goes on and no trial is hit three times
            self._attack(self._crew, self._chance.choice(at_work).post.pid)
            self.done += 1


def kill(_crew: Crew, process: int) -> None:
    os.kill(process, signal.SIGKILL)


@often
def test_workers_are_killed_at_random(tmp_path: Path, times: int, record_property: Record) -> None:
    left, seed = times, 0
    while left > 0:
        attacker = Attacker(min(left, 10), seed, kill)
        sweep = make_sweep(tmp_path / str(seed), 16 + 8 * attacker._times, workers=2 if times < 10 else 4, seconds=0.1)
        sweep.run(lambda: None, attacker.watch)
        check(sweep)
        assert attacker.done > 0
        left -= attacker.done
        seed += 1
    note(record_property, "kill -9 of a random worker", times)


PLACES = (milestones.BEFORE_RUN, struck.COMMITTING, milestones.TOLD)


@pytest.mark.parametrize(
    ("place", "times"),
    [*((place, 1) for place in PLACES), *(pytest.param(place, FAULTS, marks=slow) for place in PLACES)],
)
def test_workers_are_killed_at_a_named_place(
    tmp_path: Path, place: str, times: int, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, seed = times, 0
    while left > 0:
        blows, folder = min(left, 5), tmp_path / f"blows-{seed}"
        for name, value in struck.prepare(folder, place, blows, seed).items():
            monkeypatch.setenv(name, value)
        sweep = make_sweep(tmp_path / str(seed), 6 + 6 * blows)
        sweep.run(lambda: None)
        check(sweep)
        assert struck.left(folder) == 0
        left -= blows
        seed += 1
    note(record_property, f"kill -9 {place}", times)


@pytest.mark.parametrize(
    ("place", "times"),
    [
        *((place, 1) for place in (milestones.BEFORE_FIRST_BEAT, milestones.LOCK_HELD)),
        *(pytest.param(place, FAULTS, marks=slow) for place in (milestones.BEFORE_FIRST_BEAT, milestones.LOCK_HELD)),
    ],
)
def test_workers_are_killed_before_they_are_ready(
    tmp_path: Path, place: str, times: int, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(times):
        folder = tmp_path / f"blows-{seed}"
        for name, value in struck.prepare(folder, place, 1, seed, apart=1).items():
            monkeypatch.setenv(name, value)
        sweep = make_sweep(tmp_path / str(seed), 6)
        sweep.run(lambda: None)
        check(sweep)
        assert struck.left(folder) == 0
    note(record_property, f"kill -9 {place}", times)


@often
def test_workers_are_stopped_beyond_the_grace_period_and_woken(
    tmp_path: Path, times: int, record_property: Record
) -> None:
    grace, slowest = 2.0, [0.0]

    def freeze(crew: Crew, process: int) -> None:
        os.kill(process, signal.SIGSTOP)
        begun = time.monotonic()
        member = next(member for member in crew.members if member.post.pid == process)
        while not member.given_up and time.monotonic() - begun < grace + SECONDS_TO_RECOVER:
            time.sleep(0.02)
        slowest[0] = max(slowest[0], time.monotonic() - begun)
        time.sleep(1.0)
        os.kill(process, signal.SIGCONT)
        while member.given_up and time.monotonic() - begun < 60:
            time.sleep(0.02)
        lived.append(psutil.pid_exists(process) and member in crew.members)

    left, seed = times, 0
    while left > 0:
        lived: list[bool] = []
        attacker = Attacker(min(left, 4), seed, freeze)
        sweep = make_sweep(tmp_path / str(seed), 60 * attacker._times, seconds=0.2, grace=grace)
        sweep.run(lambda: None, attacker.watch)
        check(sweep)
        assert lived
        assert all(lived)
        assert slowest[0] <= grace + SECONDS_TO_RECOVER
        left -= len(lived)
        seed += 1
    note(record_property, "SIGSTOP beyond the grace period, then SIGCONT", times, slowest[0])


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def complete_in(database: Path) -> int:
    """Count complete trials without Optuna, which would want a moment to open the file."""
    if not database.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGKILL, 1),
        (signal.SIGTERM, 1),
        *(pytest.param(number, FAULTS, marks=slow) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)),
    ],
)
def test_the_parent_is_killed_or_told_to_stop_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, times: int, record_property: Record
) -> None:
    chance, done, seed, slowest = random.Random(number), 0, 0, 0.0
    while done < times:
        store = tmp_path / str(seed)
        stops = min(times - done, 5)
        sweep = make_sweep(store, 8 + 8 * stops, seconds=0.1)
        before: dict[int, float] = {}
        for _ in range(stops):
            process = start(store, sweep.search.n_trials, 2, 0.1, {})
            wait_for(lambda: complete_in(store / "study.db") > len(before) or process.poll() is not None)  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.3))
            workers = psutil.Process(process.pid).children()
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
            slowest = max(slowest, time.monotonic() - begun)
            assert len(psutil.wait_procs(workers, timeout=SECONDS_TO_RECOVER)[1]) == 0
            if number != signal.SIGKILL:
                assert all(trial.state.name != "RUNNING" for trial in trials_of(sweep))
            assert before.items() <= completed(sweep).items()
            before = completed(sweep)
            done += 1
        process = start(store, sweep.search.n_trials, 2, 0.0, {})
        assert process.wait(300) == 0, process.stderr
        check(sweep, before)
        seed += 1
    if number != signal.SIGKILL:
        assert slowest <= SECONDS_TO_RECOVER
    note(record_property, f"{number.name} to the parent", times, slowest)


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, 4, 2, 60.0, {})
    wait_for(lambda: bool(trials_of_running(tmp_path)))
    process.send_signal(signal.SIGTERM)
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert process.stderr is not None


def trials_of_running(store: Path) -> int:
    """Count running trials."""
    if not (store / "study.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{store / 'study.db'}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def begin_in(folder: Path, index: int) -> int:
    """Open study and tracking in a folder that others open at the same moment, and do a trial."""
    from dataclasses import replace

    from wellai_exp.search import Study

    sweep = make_sweep(folder, 1, workers=1)
    sweep = replace(sweep, name=f"instant-{index}")
    study: Study = sweep.run(lambda: None)
    return 0 if study.finished == 1 else 1


@pytest.mark.parametrize("times", [1, pytest.param(max(FAULTS, 50), marks=slow)])
def test_eight_processes_start_in_an_empty_folder(tmp_path: Path, times: int, record_property: Record) -> None:
    # Forked, so that all come to the fresh files at the same moment and not as their imports end.
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    for repeat in range(times):
        folder = tmp_path / str(repeat)
        processes = []
        for index in range(8):
            process = os.fork()
            if process == 0:
                try:
                    os._exit(begin_in(folder, index))
                except BaseException as error:
                    sys.stderr.write(f"{type(error).__name__}: {error}\n")
                    os._exit(2)
            processes.append(process)
        assert [os.waitpid(process, 0)[1] for process in processes] == [0] * 8
    note(record_property, "8 processes start in an empty folder", times)
