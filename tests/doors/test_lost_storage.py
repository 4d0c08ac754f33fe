"""A whole sweep, typed as a user types it, on a disk that fills or goes away under one of its stores.

It ends at once with one sentence and status 1; when there is room again, the same command goes on to the very results
that an undisturbed sweep has.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import optuna
import pytest
from place import Place
from small_disk import Disk, mounted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COMMAND = (
    "sweep",
    "experiment=tiny",
    "search.n_trials=3",
    "evidence.resamples=100",
    "evidence.robustness=0",
    "evidence.explanations=0",
    "final.baseline=false",
)
FINE_TUNING = (
    "regime=finetune",
    "regime.epochs=2",
    "regime.mirror=false",
    "+search.space.head.l2='interval(0.001,0.1)'",
    "search.space.imbalance='choice(none,class_weight)'",
)
# Which part of the store lies on the small disk, and what is typed beside the command.
STORES: dict[str, tuple[str, tuple[str, ...]]] = {
    "study": ("mlruns", ("tracking.store=elsewhere", "data.root=drawn")),
    "tracking": ("tracked", ("tracking.store=tracked",)),
    "features": ("mlruns/features", ()),
    "checkpoint": ("mlruns/trainings", FINE_TUNING),
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def values(place: Place) -> list[tuple[str, float | None]]:
    """Give each complete trial's parameters and value."""
    storage = f"sqlite:///{place.folder / 'mlruns' / 'study.db'}"
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    done = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    return sorted((str(sorted(trial.params.items())), trial.value) for trial in done)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command ended with one sentence; gives it."""
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert "Logging error" not in said
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return sentence


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", STORES)
def test_a_disk_that_fills(
    name: str, seed: int, new_place: Callable[[], Place], stack: ExitStack, injected: Callable[..., None]
) -> None:
    where, more = STORES[name]
    place = new_place()
    root = place.folder / where
    size = 64 * 2**20
    disk: Disk = stack.enter_context(mounted(root, size))
    # What is written needs at least so much; less is free each time.
    needed = {"study": 400_000, "tracking": 4_000_000, "features": 900_000, "checkpoint": 1_500_000}[name]
    disk.leave(int(np.random.default_rng(seed).integers(0, needed)))
    done = place.type(*COMMAND, *more, check=False)
    # The largest levels may suffice.
    assert done.returncode == 0 or where in refused(done), done.stderr
    disk.clear()
    again = place.type(*COMMAND, *more)
    assert "Registered: tiny version 1" in again.stdout
    assert "damaged" not in again.stderr
    assert len(values(place)) == 3
    injected(f"a disk that fills in a sweep: {name}")


@pytest.mark.parametrize("seed", range(10))
def test_storage_that_is_taken_away(
    seed: int, new_place: Callable[[], Place], stack: ExitStack, injected: Callable[..., None]
) -> None:
    """Unmounted, made read-only, or moved, at some moment of the sweep."""
    place = new_place()
    disk: Disk = stack.enter_context(mounted(place.folder / "mlruns", 256 * 2**20))
    process = place.start(*COMMAND)
    rng = np.random.default_rng(seed)
    wait_for(disk.root / "study.db", process)
    time.sleep(float(rng.random() * 8))
    how = ("unmounted", "read-only", "moved")[seed % 3]
    kept = place.folder / "kept"
    if how == "unmounted":
        # The files that are open stay so; what is opened anew is not there.
        shutil.copytree(disk.root, kept)
        subprocess.run(["umount", "-l", str(disk.root)], check=True)
    elif how == "read-only":
        # A disk that is written to cannot become so as a whole: what is opened anew cannot be written.
        subprocess.run(["mount", "--bind", str(disk.root), str(disk.root)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk.root)], check=True)
    else:
        for each in disk.root.iterdir():
            kept.mkdir(exist_ok=True)
            shutil.move(each, kept / each.name)
    said = process.communicate(timeout=600)[0]
    # It may have ended just before; it never ends well without having written its results where they belong.
    assert process.returncode in (0, 1), said
    assert "Traceback" not in said
    assert process.returncode == 0 or said.count("error: ") == 1
    if how == "read-only":
        subprocess.run(["umount", "-l", str(disk.root)], check=True)
    else:
        shutil.rmtree(disk.root, ignore_errors=True)
        if how == "unmounted":
            shutil.copytree(kept, disk.root, dirs_exist_ok=True)
        else:
            shutil.copytree(kept, disk.root, dirs_exist_ok=True)
    place.type(*COMMAND)
    assert len(values(place)) == 3
    injected("storage taken away in a sweep")


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(3000):
        if file.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError(file)
