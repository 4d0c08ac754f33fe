"""Faults at random and at named places, and the invariants after each; a table of them is printed at the end.

Fast: some of them once. Slow: each as often as ``WELLAI_FAULTS`` says, 20 times unless it is set.
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
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import struck
from sweeps import check, completed, make_sweep, runs_of, start, trials_of

from wellai_exp import milestones
from wellai_exp.compute import Crew
from wellai_exp.compute._crew import Member
from wellai_exp.compute._local import LocalPost
from wellai_exp.errors import WellaiError
from wellai_exp.search._underway import Underway
from wellai_exp.stopping import Terminated
from wellai_exp.verbs._instant import InstantSweep

FAULTS = int(os.environ.get("WELLAI_FAULTS", "20"))
# Of the time that recovery may take beyond the grace period.
SECONDS_TO_RECOVER = 10.0
Injected = Callable[..., None]

slow = [pytest.mark.slow, pytest.mark.timeout(7200)]


def process_of(member: Member) -> int:
    """Give a local worker's process."""
    assert isinstance(member.post, LocalPost)
    return member.post.pid


class Attacker(threading.Thread):
    """Does something to random workers of a crew, one after another."""

    def __init__(self, times: int, seed: int, attack: Callable[[Crew, int], bool]) -> None:
        super().__init__(daemon=True)
        self.times = times
        self._chance = random.Random(seed)
        self._attack = attack
        self._crew: Crew | None = None
        self._over = threading.Event()
        self.done = 0

    def watch(self, crew: Crew) -> None:
        """Begin."""
        self._crew = crew
        self.start()

    def stop(self) -> int:
        """End; gives how often it has struck."""
        self._over.set()
        self.join()
        return self.done

    def run(self) -> None:
        assert self._crew is not None
        while self.done < self.times and not self._over.wait(self._chance.uniform(0.05, 0.5)):
            at_work = [member for member in list(self._crew.members) if member.underway is not None]
            if len(at_work) < 2:
                continue  # so that the sweep goes on and no trial is hit three times
            self.done += self._attack(self._crew, process_of(self._chance.choice(at_work)))


class Killer:
    """Kills workers, each once: one that was killed stays a member until its parent looks."""

    def __init__(self) -> None:
        self._killed: set[int] = set()

    def __call__(self, _crew: Crew, process: int) -> bool:
        fresh = process not in self._killed
        if fresh:
            os.kill(process, signal.SIGKILL)
            self._killed.add(process)
        return fresh


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_workers_are_killed_at_random(tmp_path: Path, injected: Injected) -> None:
    left, seed = FAULTS, 0
    while left > 0:
        attacker = Attacker(min(left, 10), seed, Killer())
        sweep = make_sweep(tmp_path / str(seed), 16 + 8 * attacker.times, workers=4, seconds=0.1)
        sweep.run(lambda: None, attacker.watch)
        struck_now = attacker.stop()
        check(sweep)
        assert struck_now > 0
        left -= struck_now
        seed += 1
    injected("kill -9 of a random worker among 4", FAULTS)


PLACES = (milestones.BEFORE_RUN, struck.COMMITTING, milestones.TOLD)
EARLY = (milestones.BEFORE_FIRST_BEAT, milestones.LOCK_HELD)


def run_to_its_end(sweep: InstantSweep, blows: int) -> None:
    """Run it again, as its sentence says, where blows fell on so many starting workers in a row that it gave up."""
    for _ in range(blows):
        try:
            sweep.run(lambda: None)
        except WellaiError as error:
            assert "workers in a row ended before they were ready" in str(error)
        else:
            return
    sweep.run(lambda: None)


def strike_a_sweep(
    folder: Path, blows: Mapping[str, int], seed: int, apart: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a sweep whose workers die at named places, and hold it to the invariants."""
    total = sum(blows.values())
    for place, times in blows.items():
        for name, value in struck.prepare(folder / "blows", place, times, seed, apart).items():
            monkeypatch.setenv(name, value)
    # All blows may fall on one trial, and that it is then set aside is tested elsewhere.
    sweep = make_sweep(folder / "store", 6 + 6 * total, retries=total)
    run_to_its_end(sweep, total)
    check(sweep)
    assert struck.left(folder / "blows") == 0


def test_workers_are_killed_once_at_each_named_place(
    tmp_path: Path, injected: Injected, monkeypatch: pytest.MonkeyPatch
) -> None:
    blows = dict.fromkeys((*PLACES, milestones.LOCK_HELD), 1)
    strike_a_sweep(tmp_path, blows, 0, 1, monkeypatch)
    injected("kill -9 at named places", len(blows))


def test_a_stop_between_the_tell_and_the_end_of_the_run_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(tmp_path, 4, workers=1)

    tell = Underway.finished

    def stop(self: Underway, metrics: Mapping[str, float]) -> None:
        tell(self, metrics)
        monkeypatch.undo()
        raise Terminated

    monkeypatch.setattr(Underway, "finished", stop)
    with pytest.raises(Terminated):
        sweep.run(lambda: None)
    assert [run.info.status for run in runs_of(sweep)] == ["KILLED"]
    before = completed(sweep)
    assert len(before) == 1
    sweep.run(lambda: None)
    check(sweep, before)


@pytest.mark.parametrize("place", [pytest.param(place, marks=slow) for place in PLACES])
def test_workers_are_killed_at_a_named_place(
    tmp_path: Path, place: str, injected: Injected, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, begun in enumerate(range(0, FAULTS, 5)):
        strike_a_sweep(tmp_path / str(seed), {place: min(5, FAULTS - begun)}, seed, 4, monkeypatch)
    injected(f"kill -9 {place}", FAULTS)


@pytest.mark.parametrize("place", [pytest.param(place, marks=slow) for place in EARLY])
def test_workers_are_killed_before_they_are_ready(
    tmp_path: Path, place: str, injected: Injected, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(FAULTS):
        strike_a_sweep(tmp_path / str(seed), {place: 1}, seed, 1, monkeypatch)
    injected(f"kill -9 {place}", FAULTS)


class Freezer:
    """Stops workers until their trial is another's, wakes them, and sees whether they live on."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.slowest = 0.0
        self.lived: list[bool] = []

    def __call__(self, crew: Crew, process: int) -> bool:
        member = next((member for member in list(crew.members) if process_of(member) == process), None)
        if member is None:
            return False
        os.kill(process, signal.SIGSTOP)
        begun = time.monotonic()
        while not member.given_up and time.monotonic() - begun < self._grace + SECONDS_TO_RECOVER:
            time.sleep(0.02)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        time.sleep(1.0)
        os.kill(process, signal.SIGCONT)
        while member.given_up and time.monotonic() - begun < 60:
            time.sleep(0.02)
        self.lived.append(not member.given_up and psutil.pid_exists(process))
        return True


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_workers_are_stopped_beyond_the_grace_period_and_woken(tmp_path: Path, injected: Injected) -> None:
    grace = 2.0
    freezer = Freezer(grace)
    seed = 0
    while len(freezer.lived) < FAULTS:
        attacker = Attacker(min(FAULTS - len(freezer.lived), 4), seed, freezer)
        sweep = make_sweep(tmp_path / str(seed), 60 * attacker.times, seconds=0.2, grace=grace)
        sweep.run(lambda: None, attacker.watch)
        assert attacker.stop() > 0
        check(sweep)
        seed += 1
    assert all(freezer.lived)
    assert freezer.slowest <= grace + SECONDS_TO_RECOVER
    injected("SIGSTOP beyond the grace period, then SIGCONT", FAULTS, freezer.slowest)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def count_in(store: Path, state: str) -> int:
    """Count a study's trials without Optuna, which would make the file where there is none yet."""
    if not (store / "study.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{store / 'study.db'}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM trials WHERE state = ?", [state]).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGKILL, 1),
        *(pytest.param(number, FAULTS, marks=slow) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)),
    ],
)
def test_the_parent_is_killed_or_told_to_stop_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, times: int, injected: Injected
) -> None:
    chance, done, seed, slowest = random.Random(number), 0, 0, 0.0
    while done < times:
        store = tmp_path / str(seed)
        stops = min(times - done, 5)
        sweep = make_sweep(store, 8 + 8 * stops, seconds=0.1)
        before: dict[int, float] = {}
        for _ in range(stops):
            process = start(store, sweep.search.n_trials, 2, 0.1, {})
            wait_for(lambda: count_in(store, "COMPLETE") > len(before) or process.poll() is not None)  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.3))
            workers = psutil.Process(process.pid).children()
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
            slowest = max(slowest, time.monotonic() - begun)
            assert len(psutil.wait_procs(workers, timeout=SECONDS_TO_RECOVER)[1]) == 0
            if number != signal.SIGKILL:
                assert all(trial.state.name != "RUNNING" for trial in trials_of(sweep))
                assert all(run.info.status != "RUNNING" for run in runs_of(sweep))
            assert before.items() <= completed(sweep).items()
            before = completed(sweep)
            done += 1
        process = start(store, sweep.search.n_trials, 2, 0.0, {})
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
        check(sweep, before)
        seed += 1
    if number != signal.SIGKILL:
        assert slowest <= SECONDS_TO_RECOVER
    injected(f"{number.name} to the parent", times, slowest)


@pytest.mark.slow
def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, 4, 2, 60.0, {})
    wait_for(lambda: count_in(tmp_path, "RUNNING") > 0)
    # Somebody writes, so that the runs cannot be ended yet.
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"stopped at once" in said


def begin_in(folder: Path, index: int) -> int:
    """Open study and tracking in a folder that others open at the same moment, and do a trial."""
    sweep = replace(make_sweep(folder, 1, workers=1), name=f"instant-{index}")
    return 0 if sweep.run(lambda: None).finished == 1 else 1


@pytest.mark.parametrize("times", [1, pytest.param(max(FAULTS, 50), marks=slow)])
def test_eight_processes_start_in_an_empty_folder(tmp_path: Path, times: int, injected: Injected) -> None:
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
    injected("8 processes start in an empty folder", times)
