"""Predictions written and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import StoreError
from wellai_exp.evaluation import Evaluation, load_evaluation, save_evaluation

NAMES = ("나무", "Upward_Bow_(Wheel)", "plank's")


def drawn(seed: int, rows: int, kind: str = "float32") -> Evaluation:
    """Random predictions with everything that can be known of rows and classes."""
    rng = np.random.default_rng(seed)
    return Evaluation(
        rng.integers(0, 3, rows),
        rng.dirichlet(np.ones(3), rows).astype(kind),
        NAMES,
        groups=rng.integers(0, 4, rows),
        paths=tuple(f"a/{row}.jpg" for row in range(rows)),
        sha256=tuple(f"{row:064x}" for row in range(rows)),
        root="/photographs",
        train_support=np.array([5, 0, 30]),
        levels={"level_1": ("up", "down", "down")},
        leaked=rng.integers(0, 2, rows).astype(bool),
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), kind=st.sampled_from(["float32", "float64"]))
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int, kind: str
) -> None:
    written = drawn(seed, rows, kind)
    path = tmp_path_factory.mktemp("stored") / "predictions.parquet"
    save_evaluation(written, path)
    read = load_evaluation(path)
    for name in ("labels", "probabilities", "groups", "train_support", "leaked"):
        expected, found = getattr(written, name), getattr(read, name)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    for name in ("class_names", "paths", "sha256", "root", "levels"):
        assert getattr(read, name) == getattr(written, name)
    assert read.aggregates == pytest.approx(written.aggregates, abs=0, rel=0, nan_ok=True)


def test_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    save_evaluation(Evaluation(np.array([0, 1]), np.eye(2), ("a", "b")), tmp_path / "p.parquet")
    read = load_evaluation(tmp_path / "p.parquet")
    assert (read.paths, read.sha256, read.train_support, dict(read.levels)) == ((), (), None, {})
    assert read.leaked is None
    assert read.groups.tolist() == [0, 1]


def test_any_reader_of_parquet_can_ask(tmp_path: Path) -> None:
    evaluation = drawn(1, 30)
    save_evaluation(evaluation, tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert (table["label"] == table["predicted"]).mean() == pytest.approx(evaluation.aggregates["accuracy"])


def test_other_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    pd.DataFrame({"label": ["a"]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    for name in ("other", "broken", "missing"):
        with pytest.raises(StoreError, match="evaluate the model again"):
            load_evaluation(tmp_path / f"{name}.parquet")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"groups": [0]}, "2 rows but 1 groups"),
        ({"paths": ("a",)}, "2 rows but 1 paths"),
        ({"sha256": ("a", "b", "c")}, "2 rows but 3 sha256"),
        ({"train_support": [1, 2, 3]}, "2 classes but train_support has 3"),
        ({"train_support": [1, -2]}, "-2 is among them"),
        ({"levels": {"level_1": ("up",)}}, "2 classes but level_1 has 1"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Evaluation(np.array([0, 1]), np.eye(2), ("a", "b"), **changed)  # type: ignore[arg-type]
