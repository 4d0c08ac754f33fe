"""A disk that fills at any byte: one error at once, nothing half-written taken for whole, and on it goes afterwards."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from small_disk import Disk, mounted
from tracking_stores import tracking_in

from wellai_exp.data._feature_store import FeatureStore
from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.search import Interval, Proposal, Report, Search, Space, Study
from wellai_exp.tracking import Tracker, Tracking
from wellai_exp.training._checkpoint import Checkpoint, EpochRecord, Standing

LEVELS = range(10)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk") as made:
        yield made


def level(seed: int, most: int) -> int:
    """Draw how many bytes are free."""
    return int(np.random.default_rng(seed).integers(0, most))


def rows(wanted: Sequence[int]) -> Iterator[Any]:
    for start in range(0, len(wanted), 50):
        part = np.array(wanted[start : start + 50], np.float32)
        yield np.repeat(part[:, None], 256, axis=1)


def features(root: Path) -> Any:
    keys = [f"{image:064d}" for image in range(400)]
    store = FeatureStore(root / "features", shard_rows=64, progress=False)
    return store.get("space", keys, rows, 256, "toy").gather(np.arange(400))


@pytest.mark.parametrize("seed", LEVELS)
def test_features(seed: int, disk: Disk, caplog: pytest.LogCaptureFixture, injected: Callable[..., None]) -> None:
    disk.leave(level(seed, 400 * 256 * 4))
    with pytest.raises(StoreError, match=r"free|locked|lost|written"):
        features(disk.root)
    disk.clear()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(features(disk.root)[:, 0], np.arange(400))
    assert not caplog.records, "what was half-written was taken for a shard"
    injected("a disk that fills: features")


def standing(epoch: int) -> Standing:
    records = tuple(EpochRecord(e + 1, 9, {"accuracy": 0.5}, 1.0, 0.1, 9.0, 1.0, 32) for e in range(epoch))
    return Standing([np.full(50_000, epoch, np.float32)], records, epoch, [np.full(9, epoch, np.float32)])


@pytest.mark.parametrize("seed", LEVELS)
def test_checkpoints(seed: int, disk: Disk, caplog: pytest.LogCaptureFixture, injected: Callable[..., None]) -> None:
    checkpoint, saved = Checkpoint(disk.root / "trainings" / "one"), 0
    # The new one is written beside the old one, so this never suffices for both.
    disk.leave(level(seed, 390_000))
    with pytest.raises(StoreError, match="free the disk"):
        for epoch in range(1, 4):
            checkpoint.save(standing(epoch))
            saved = epoch
    found = checkpoint.load()
    assert (0 if found is None else len(found.records)) == saved
    disk.clear()
    checkpoint.save(standing(saved + 1))
    again = checkpoint.load()
    assert again is not None
    np.testing.assert_array_equal(again.arrays[0], standing(saved + 1).arrays[0])
    assert not caplog.records
    assert len(list(checkpoint.folder.iterdir())) == 2
    injected("a disk that fills: checkpoints")


def study_on(root: Path, n_trials: int = 25) -> Study:
    space = Space({"b": Interval(0.0, 1.0)}, lambda *_: {}, {})
    return Study(Search(sampler=optuna.samplers.RandomSampler, n_trials=n_trials), space, "s", root, seed=3)


def measure(proposal: Proposal, _report: Report) -> dict[str, float]:
    (override,) = proposal.overrides
    return {"auc_pr_macro": float(override.removeprefix("b="))}


@pytest.mark.parametrize("seed", LEVELS)
def test_the_study(seed: int, disk: Disk, injected: Callable[..., None]) -> None:
    begun = study_on(disk.root, 2)
    with begun.opened():
        begun.run(measure, lambda: None)
    before = {trial.number: trial.value for trial in begun.study.trials}
    disk.leave(level(seed, 60_000))
    study = study_on(disk.root)
    with pytest.raises(StoreError, match=r"study\.db cannot be .*(full|I/O|unable|readonly)"), study.opened():
        # Each trial keeps something long, so that the disk fills whatever is free.
        study.run(lambda proposal, report: _long(study, proposal, report), lambda: None)
    disk.clear()
    again = study_on(disk.root)
    with again.opened():
        again.run(measure, lambda: None)
        trials = again.study.trials
        assert again.finished == 25
    assert all(trial.state.is_finished() for trial in trials)
    assert {trial.number: trial.value for trial in trials if trial.number in before} == before
    injected("a disk that fills: study")


def _long(study: Study, proposal: Proposal, report: Report) -> dict[str, float]:
    study.study.set_user_attr(f"note {proposal.number}", "x" * 20_000)
    return measure(proposal, report)


@pytest.mark.parametrize("seed", LEVELS)
def test_the_tracking_store(seed: int, disk: Disk, injected: Callable[..., None]) -> None:
    tracker = Tracker(tracking_in(disk.root / "mlruns"))
    with tracker.run("whole") as run:
        run.log_text("as it was", "note.txt")
    whole = run.id
    disk.leave(level(seed, 300_000))
    with pytest.raises(StoreError, match=r"^tracking\.uri=.*see that the disk has room"):
        for number in range(200):
            with tracker.run(f"run {number}", tags={"note": "x" * 5_000}) as run:
                run.log_params({f"p{index}": "y" * 500 for index in range(20)})
                run.log_text("z" * 20_000, "text.txt")
    disk.clear()
    again = Tracker(Tracking(disk.root / "mlruns", "demo"))
    with again.run("after") as run:
        run.log_params({"a": 1})
    assert again.get(run.id).status == "FINISHED"
    assert again.get(whole).status == "FINISHED"
    assert again.fetch(whole, "note.txt").read_text() == "as it was"
    injected("a disk that fills: tracking")


WRITERS: dict[str, Callable[[Path], object]] = {
    "features": features,
    "checkpoint": lambda root: Checkpoint(root / "one").save(standing(1)),
    "study": lambda root: _opened(study_on(root)),
    "tracking": lambda root: Tracking(root / "mlruns", "demo").prepare(),
}


def _opened(study: Study) -> None:
    with study.opened():
        pass


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_disk_is_one_sentence(name: str, disk: Disk) -> None:
    disk.remount("ro")
    with pytest.raises((WellaiError, OSError), match="Read-only") as refused:
        WRITERS[name](disk.root)
    # An error of the operating system that names its file is a sentence on the command line as well.
    assert isinstance(refused.value, WellaiError) or (isinstance(refused.value, OSError) and refused.value.filename)


def test_a_read_only_cache_that_holds_everything_serves(disk: Disk) -> None:
    expected = features(disk.root)
    disk.remount("ro")
    np.testing.assert_array_equal(features(disk.root), expected)


@pytest.mark.parametrize("seed", range(10))
def test_a_disk_that_is_taken_away_ends_the_search(seed: int, disk: Disk, injected: Callable[..., None]) -> None:
    """Nothing is said to be done that was written to a disk which is no longer there."""
    study, taken = study_on(disk.root, 10), int(np.random.default_rng(seed).integers(0, 10))

    def taken_away(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.number == taken and seed % 2:
            subprocess.run(["umount", "-l", str(disk.root)], check=True)
        elif proposal.number == taken:
            (disk.root / "study.db").rename(disk.root / "moved.db")
        return measure(proposal, report)

    with pytest.raises(StoreError, match=r"^paths\.store=.*study\.db"), study.opened():
        study.run(taken_away, lambda: None)
    injected("a disk taken away under a study")
