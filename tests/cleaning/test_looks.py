"""Files are read in processes that may die, each file once, and what was seen is remembered."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from drawn_files import folder_of_scenes, save, scene

from wellai_exp.cleaning import Failure, Files, Limits, Looks, LookStore, isolated, look
from wellai_exp.data import ImageFolder
from wellai_exp.errors import DataError, StoreError

QUICK = Limits(seconds=3.0, workers=2)


def misbehave(what: str) -> str:
    """Do what a decoder may do to its process."""
    if what == "hang":
        time.sleep(60)
    if what == "exit":
        os._exit(3)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "memory":
        np.ones((4, 2**30), np.uint8)
    if what == "raise":
        raise RuntimeError("odd bytes")
    return what.upper()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's address space")
def test_a_file_that_ends_its_process_costs_the_others_nothing() -> None:
    items = ["a", "hang", "b", "exit", "c", "segfault", "d", "memory", "e", "raise", "f"]
    found = list(isolated(misbehave, items, QUICK))
    assert [place for place, _ in found] == list(range(len(items)))
    results = dict(zip(items, (result for _, result in found), strict=True))
    for good in "abcdef":
        assert results[good] == good.upper()
    failures = {name: result for name, result in results.items() if isinstance(result, Failure)}
    kinds = {name: failure.kind for name, failure in failures.items()}
    assert kinds == {"hang": "hang", "exit": "crash", "segfault": "crash", "memory": "memory", "raise": "crash"}
    assert "RuntimeError: odd bytes" in failures["raise"].reason
    assert "longer than 3 s" in failures["hang"].reason


def looked(root: Path, store: Path) -> Looks:
    return LookStore(store).look_at(Files.gather([(root, ImageFolder(root).listing())]), QUICK)


def test_a_second_run_reads_only_what_has_changed(tmp_path: Path) -> None:
    root, store = folder_of_scenes(tmp_path / "photos", 2, 3), tmp_path / "store"
    (root / "pose 0" / "notes.txt").write_text("by hand")
    (root / "pose 1" / "나무자세.png").write_bytes((root / "pose 0" / "000.jpg").read_bytes())
    first = looked(root, store)
    assert first.taken == 8
    second = looked(root, store)
    assert second.taken == 0
    assert second.frame.equals(first.frame)
    np.testing.assert_array_equal(second.hashes, first.hashes)
    save(root / "pose 0" / "001.jpg", scene(99))
    third = looked(root, store)
    assert third.taken == 1
    assert (third.frame["sha256"] != first.frame["sha256"]).sum() == 1


def test_the_pictures_of_a_look_are_kept_small(tmp_path: Path) -> None:
    root = folder_of_scenes(tmp_path / "photos", 2, 1)
    save(root / "pose 0" / "000.jpg", scene(0, 1000, 500))
    looks = looked(root, tmp_path / "store")
    (thumbnail,) = looks.thumbnails([0])
    assert thumbnail.shape == (128, 256, 3)
    assert looks.smalls([0, 1]).shape == (2, 64, 64)
    assert looks.frame["width"].tolist() == [1000, 200]
    direct = look(root / "pose 0" / "000.jpg")
    np.testing.assert_array_equal(looks.smalls([0])[0], direct.small)


def test_a_damaged_memory_is_noticed(tmp_path: Path) -> None:
    root, store = folder_of_scenes(tmp_path / "photos", 2, 2), tmp_path / "store"
    first = looked(root, store)
    (database,) = store.glob("*.db")
    with sqlite3.connect(database) as opened:
        opened.execute("UPDATE looks SET facts = replace(facts, '200', '900') WHERE path LIKE '%pose 0/000.jpg'")
    opened.close()
    again = looked(root, store)
    assert again.taken == 1
    assert again.frame.equals(first.frame)
    for file in store.glob("*.db*"):
        file.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="delete that file"):
        looked(root, store)


def test_files_of_several_folders_have_names_of_their_own(tmp_path: Path) -> None:
    one, other = folder_of_scenes(tmp_path / "a" / "photos", 2, 1), folder_of_scenes(tmp_path / "b" / "photos", 2, 1)
    listings = [(root, ImageFolder(root).listing()) for root in (one, other)]
    files = Files.gather(listings)
    assert files.names[0] == "photos/pose 0/000.jpg"
    assert files.names[2] == "photos-2/pose 0/000.jpg"
    assert files.labels == ("pose 0", "pose 1") * 2
    assert Files.gather(listings[:1]).names[0] == "pose 0/000.jpg"
    with pytest.raises(DataError, match="listed twice"):
        Files.gather([listings[0], listings[0]])
