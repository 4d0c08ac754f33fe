"""A process that is killed between writing a file and renaming it leaves the one before whole."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellai_exp import milestones
from wellai_exp.data._feature_store import FeatureStore
from wellai_exp.training._checkpoint import Checkpoint, EpochRecord, Standing


def dying(work: Callable[[], object], arrivals: int) -> None:
    """Do it in a process that is killed when it comes so often to that place."""
    process = os.fork()
    if process == 0:
        left = [arrivals]

        def strike(place: str) -> None:
            left[0] -= place == milestones.SAVED
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        milestones.passed = strike
        try:
            work()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def standing(epochs: int) -> Standing:
    records = tuple(EpochRecord(e + 1, 9, {"accuracy": 0.5}, 1.0, 0.1, 9.0, 1.0, 32) for e in range(epochs))
    return Standing([np.full(5_000, epochs, np.float32)], records, epochs)


@pytest.mark.parametrize("seed", range(20))
def test_a_checkpoint(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, injected: Callable[..., None]
) -> None:
    chance, checkpoint = random.Random(seed), Checkpoint(tmp_path / "one")
    epochs = chance.randint(1, 3)
    checkpoint.save(standing(epochs))
    # The archive is written first, then the card that names it.
    dying(lambda: checkpoint.save(standing(epochs + 1)), chance.randint(1, 2))
    found = checkpoint.load()
    assert found is not None
    assert len(found.records) == epochs
    np.testing.assert_array_equal(found.arrays[0], standing(epochs).arrays[0])
    checkpoint.save(standing(epochs + 1))
    again = checkpoint.load()
    assert again is not None
    assert len(again.records) == epochs + 1
    assert not caplog.records
    injected(f"kill -9 {milestones.SAVED}")


@pytest.mark.parametrize("seed", range(20))
def test_features(seed: int, tmp_path: Path, injected: Callable[..., None]) -> None:
    keys = [f"{image:064d}" for image in range(400)]

    def rows(wanted: Sequence[int]) -> Iterator[Any]:
        for part in np.array_split(np.array(wanted, np.float32), 4):
            yield np.repeat(part[:, None], 8, axis=1)

    def features() -> Any:
        store = FeatureStore(tmp_path, shard_rows=64, progress=False)
        return store.get("space", keys, rows, 8, "toy").gather(np.arange(400))

    # Rows whose card was not written yet are computed again, and said to be.
    dying(features, random.Random(seed).randint(1, 7))
    np.testing.assert_array_equal(features()[:, 0], np.arange(400))
    injected(f"kill -9 {milestones.SAVED}")
