"""The manifest: what its digest depends on, and that a damaged one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.data import Manifest
from wellai_exp.errors import StoreError

CLASSES = ("Crane, (Crow)", "bow\nof two lines", "나무자세")


def _frame(n: int = 30) -> pd.DataFrame:
    rows = np.arange(n)
    test = rows % 5 == 0
    return pd.DataFrame(
        {
            "path": [f"c{row % 3}/{row:03d}.jpg" for row in rows],
            "label": [CLASSES[row % 3] for row in rows],
            "level_1": rows % 3 // 2,
            "split": np.where(test, "test", "train"),
            "fold": np.where(test, -1, rows % 5 - 1),
            "group": rows % 15,
            "twin": rows % 15,
            "sha256": [f"{row * 7919:064x}" for row in rows],
            "hash": [f"{row * 7919:0128x}" for row in rows],
            "width": rows + 10,
            "height": rows + 20,
            "bytes": rows + 1000,
        }
    )


def _put(frame: pd.DataFrame, row: int, **cells: Any) -> None:
    for column, value in cells.items():
        values = frame[column].tolist()
        values[row] = value
        frame[column] = values


def _manifest(frame: pd.DataFrame | None = None, root: str = "/photos") -> Manifest:
    return Manifest(_frame() if frame is None else frame, Path(root), CLASSES, "test", notes=("said",))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_digest_does_not_depend_on_order_root_paths_or_group_numbers(seed: int) -> None:
    frame = _frame()
    rng = np.random.default_rng(seed)
    other = frame.iloc[rng.permutation(len(frame))].copy()
    other["group"] = rng.permutation(100)[other["group"]]
    other["path"] = [f"elsewhere/{path}" for path in other["path"]]
    digest = _manifest(frame).digest
    assert _manifest(other, "/elsewhere").digest == digest
    assert len(digest) <= 32


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, 29), column=st.sampled_from(["sha256", "label", "split", "fold", "group"]))
def test_the_digest_depends_on_every_content_label_part_fold_and_group(row: int, column: str) -> None:
    frame = _frame()
    side = frame.loc[row, "split"]
    if column == "split":
        _put(frame, row, split="train" if side == "test" else "test", fold=0 if side == "test" else -1, group=99)
        before = _frame()
        _put(before, row, group=99)
    else:
        before = _frame()
        change: dict[str, Any] = {"sha256": "f" * 64, "label": CLASSES[(row + 1) % 3], "group": 99, "fold": 7}
        if column == "fold":
            row = 1 if side == "test" else row
            _put(before, row, group=99)
            _put(frame, row, group=99)
        _put(frame, row, **{column: change[column]})
    assert _manifest(frame).digest != _manifest(before).digest


def test_rows_of_folds_part_the_training_part() -> None:
    manifest = _manifest()
    assert manifest.n_folds == 4
    for fold in range(4):
        train, validation = manifest.fold_rows(fold)
        assert sorted([*train, *validation]) == manifest.train.tolist()
        assert set(manifest.frame["fold"].iloc[validation]) == {fold}
    assert sorted([*manifest.train, *manifest.test]) == list(range(30))
    for fold in (-1, 4):
        with pytest.raises(ValueError, match="There is no fold"):
            manifest.fold_rows(fold)


def test_labels_counts_files_and_parents() -> None:
    manifest = _manifest()
    assert [manifest.classes[label] for label in manifest.labels] == manifest.frame["label"].tolist()
    assert manifest.counts.sum().to_dict() == {"train": 24, "test": 6}
    assert manifest.counts.index.tolist() == list(CLASSES)
    assert manifest.files([1]) == [Path("/photos/c1/001.jpg")]
    assert len(manifest.files()) == 30
    assert manifest.parents(1).tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="no level_2"):
        manifest.parents(2)


def test_levels_come_coarse_to_fine_whatever_the_order_of_their_columns() -> None:
    frame = _frame()
    tens = [8 + CLASSES.index(label) for label in frame["label"]]
    manifest = _manifest(frame.assign(level_10=tens, level_2=frame["level_1"] + 4, level_note="none"))
    assert [level.tolist() for level in manifest.levels] == [[0, 0, 1], [4, 4, 5], [8, 9, 10]]
    assert _manifest(frame.drop(columns="level_1")).levels == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"split": "dev"}, "train or test"),
        ({"fold": -1}, "fold is -1"),
        ({"label": "unknown"}, "classes are its labels"),
        ({"fold": 3}, "two folds"),
        ({"path": "c1/001.jpg"}, "path twice"),
    ],
)
def test_a_table_that_contradicts_itself_is_no_manifest(change: dict[str, Any], sentence: str) -> None:
    frame = _frame()
    _put(frame, 17, group=frame["group"].tolist()[16], fold=frame["fold"].tolist()[16])
    _manifest(frame)
    _put(frame, 17, **change)
    with pytest.raises(ValueError, match=sentence):
        _manifest(frame)
    with pytest.raises(ValueError, match="lacks the columns sha256"):
        _manifest(_frame().drop(columns="sha256"))


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    manifest = _manifest()
    path = manifest.save(tmp_path / "new" / "folder")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    for where in (path, path.parent):
        loaded = Manifest.load(where)
        pd.testing.assert_frame_equal(loaded.frame, manifest.frame)
        assert (loaded.digest, loaded.root, loaded.classes, loaded.name, loaded.notes, loaded.parent) == (
            manifest.digest,
            manifest.root,
            manifest.classes,
            "test",
            ("said",),
            None,
        )


def test_a_damaged_manifest_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = _manifest().save(tmp_path)
    whole = path.read_bytes()
    digest = _manifest().digest
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        try:
            loaded = Manifest.load(path)
        except StoreError as error:
            assert "delete it and type the same command" in str(error)
        else:
            # A flipped bit in padding or in a remark of the writer changes nothing that is kept.
            assert loaded.digest == digest
            pd.testing.assert_frame_equal(loaded.frame, _manifest().frame)
    for rest in (whole[: len(whole) // 2], b"", b"PAR1 and nothing"):
        path.write_bytes(rest)
        with pytest.raises(StoreError, match="is damaged"):
            Manifest.load(path)


def test_an_edited_cell_is_noticed_even_where_the_digest_does_not_see_it(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = _manifest().save(tmp_path)
    table = pq.read_table(path)
    paths = table["path"].to_pylist()
    edited = table.set_column(0, "path", [["../../etc/passwd", *paths[1:]]])
    pq.write_table(edited.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(StoreError, match="not as it was written"):
        Manifest.load(path)


def test_no_manifest_at_all(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no manifest"):
        Manifest.load(tmp_path / "gone")
