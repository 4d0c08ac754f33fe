"""Challengers and champions for the tests: predictions of chosen skill, their data, and versions in a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.data import Manifest
from wellai_exp.evaluation import Evaluation
from wellai_exp.promotion import Contender, Evidence, keep_predictions
from wellai_exp.tracking import ModelRef, Registry, Tracker

NAMES = ("Boat [Navasana]", "Upward_Bow_(Wheel)_Pose_or_Urdhva_Dhanurasana_", "plank's", "나무 자세")
ROWS = 240
SIDE = 8


def predictions(skill: float = 2.0, seed: int = 0, *, skills: npt.ArrayLike | None = None) -> Evaluation:
    """Predict ROWS images, well calibrated.

    Parameters
    ----------
    skill : float
        How many standard deviations of the noise the true class stands out by.
    skills : array_like of float, optional
        The same for each class.
    """
    labels = np.arange(ROWS) % len(NAMES)
    logits = np.random.default_rng(seed).normal(size=(ROWS, len(NAMES)))
    more = np.full(len(NAMES), skill) if skills is None else np.asarray(skills, float)
    logits[np.arange(ROWS), labels] += more[labels]
    # Of normal noise, the calibrated logits are the measurement times the skill.
    exponents = np.exp(more.mean() * logits)
    return Evaluation(
        labels,
        exponents / exponents.sum(axis=1, keepdims=True),
        NAMES,
        groups=np.arange(ROWS) // 2 * 4 + labels,
        paths=tuple(f"{row}.jpg" for row in range(ROWS)),
        sha256=tuple(f"{row:064x}" for row in range(ROWS)),
        train_support=np.full(len(NAMES), 20),
    )


def manifest(**changed: Any) -> Manifest:
    """Give data whose test part is what `predictions` predicts, with 20 training images of each class."""
    test, train = np.arange(ROWS), np.arange(20 * len(NAMES))
    frame = pd.DataFrame(
        {
            "path": [f"{row}.jpg" for row in test] + [f"train/{row}.jpg" for row in train],
            "label": [NAMES[row % len(NAMES)] for row in (*test, *train)],
            "split": ["test"] * len(test) + ["train"] * len(train),
            "fold": [-1] * len(test) + [int(row) // len(NAMES) % 2 for row in train],
            "group": [*test, *(train + ROWS)],
            "twin": [*test, *(train + ROWS)],
            "sha256": [f"{row:064x}" for row in (*test, *(train + ROWS))],
            "hash": [f"{row:0128x}" for row in (*test, *(train + ROWS))],
            "width": 8,
            "height": 8,
            "bytes": 100,
        }
    )
    for cell, value in changed.items():
        column, _, row = cell.partition("_")
        frame.loc[int(row), column] = value
    return Manifest(frame, Path("/photographs"), tuple(sorted(NAMES)), "poses")


def contender(evaluation: Evaluation, folder: Path, version: int = 2, **tags: str) -> Contender:
    """Give a version of `demo` whose file has two million bytes."""
    path = folder / f"{version}.keras"
    path.write_bytes(b"0" * 2_000_000)
    metadata = {"data_digest": manifest().digest}
    ref = ModelRef(path, "0" * 64, "demo", version, f"{version:032x}", evaluation.class_names, SIDE, metadata)
    return Contender(ref, evaluation, tags, ref.run_id or "")


def evidence(folder: Path, own: Evaluation, champion: Evaluation | None = None, **known: Any) -> Evidence:
    """Give the evidence on predictions; `known` are further fields of `Evidence`."""
    rival = None if champion is None else contender(champion, folder, 1)
    return Evidence(contender(own, folder), rival, **{"manifest": manifest(), **known})


def keras_model(seed: int = 0) -> Any:
    """Give the smallest classifier of NAMES."""
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(NAMES), activation="softmax"),
        ]
    )


def log_predictions(tracker: Tracker, evaluation: Evaluation, part: str = "test", **tags: str) -> str:
    """Log predictions as a run of its own; gives its id."""
    with tracker.run("evaluate", tags=tags) as run:
        keep_predictions(run, evaluation, part)
    return run.id


def register(
    tracker: Tracker, model: Any, evaluation: Evaluation | None, name: str = "demo", part: str = "test"
) -> int:
    """Make a version as a sweep does: a run with predictions, the model, and the metrics as the version's tags."""
    if evaluation is None:
        with tracker.run("train") as run:
            run_id = run.id
    else:
        run_id = log_predictions(tracker, evaluation, part)
    metadata = {
        "data_digest": manifest().digest,
        "reproduce": "wellai-exp train experiment=poses 'data.root=my photos' backbone=small_conv seed=3",
        "part": part,
    }
    uri = tracker.log_model(run_id, model, class_names=NAMES, size=SIDE, metadata=metadata)
    scores = {} if evaluation is None else evaluation.aggregates
    tags = {f"test/{metric}": f"{value:.6f}" for metric, value in scores.items()}
    version = Registry(tracker.tracking).register(uri, name, tags=tags)
    assert version is not None  # As it would be where a server is away.
    return version
