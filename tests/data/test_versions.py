"""Versions of data: which one is meant, what each followed, what changed, what they share."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.data import (
    Difference,
    ImageFolder,
    Manifest,
    Split,
    build_manifest,
    class_table,
    describe,
    keep_manifest,
    kept_manifest,
    manifests_folder,
    twins_between,
)
from wellai_exp.data._difference import CHANGES
from wellai_exp.errors import SettingError

LABELS = ("나무", "crow", "tail")


def drawn(contents: list[int], seed: int, name: str = "poses") -> Manifest:
    """Make a manifest of these contents, some of them twice; label, part and path are drawn anew from the seed."""
    rng = np.random.default_rng(seed)
    n = len(contents)
    labels = [*LABELS, *rng.choice(LABELS, n - len(LABELS))]
    test = np.r_[np.zeros(len(LABELS), bool), rng.random(n - len(LABELS)) < 0.3]
    frame = pd.DataFrame(
        {
            "path": [f"{label}/{row}-{rng.integers(2)}.jpg" for row, label in enumerate(labels)],
            "label": labels,
            "split": np.where(test, "test", "train"),
            "fold": np.where(test, -1, 0),
            "group": np.arange(n),
            "twin": contents,
            "sha256": [f"{content:064x}" for content in contents],
            "hash": [f"{content * 2**90:0128x}" for content in contents],
            "width": rng.integers(1, 500, n),
            "height": rng.integers(1, 500, n),
            "bytes": rng.integers(1, 9999, n),
        }
    )
    return Manifest(frame, Path("/photos"), tuple(sorted(LABELS)), name)


contents = st.lists(st.integers(0, 12), min_size=3, max_size=25)


@settings(max_examples=60, deadline=None)
@given(one=contents, other=contents, seed=st.integers(0, 10**6))
def test_what_was_added_and_removed_leads_from_one_version_to_the_other(
    one: list[int], other: list[int], seed: int
) -> None:
    old, new = drawn(one, seed), drawn(other, seed + 1)
    there, back = Difference(old, new), Difference(new, old)
    assert len(one) - there.counts["removed"] + there.counts["added"] == len(other)
    assert there.counts == {
        **back.counts,
        "added": back.counts["removed"],
        "removed": back.counts["added"],
    }
    classes = there.classes
    grown = classes["before"] + classes["added"] - classes["removed"] + classes["came"] - classes["went"]
    assert grown.tolist() == classes["after"].tolist()
    for name, before, after in classes[["label", "before", "after"]].itertuples(index=False):
        assert before == (old.frame["label"] == name).sum()
        assert after == (new.frame["label"] == name).sum()
    unchanged = set(LABELS) - set(classes["label"])
    for name in unchanged:
        assert (old.frame["label"] == name).sum() == (new.frame["label"] == name).sum()


@settings(max_examples=20, deadline=None)
@given(one=contents, seed=st.integers(0, 10**6))
def test_a_version_does_not_differ_from_itself_in_another_order(one: list[int], seed: int) -> None:
    old = drawn(one, seed)
    shuffled = old.frame.sample(frac=1, random_state=seed)
    same = Difference(old, Manifest(shuffled, old.root, old.classes, old.name))
    assert same.rows.empty
    assert same.classes.empty
    assert set(same.counts.values()) == {0}


def test_each_image_is_listed_with_the_change_that_matters_most() -> None:
    old = drawn([1, 2, 3, 4, 5, 6], 0)
    label, other = old.frame["label"].tolist(), {"tail": "crow", "crow": "tail", "나무": "crow"}
    part, path, sha256 = (old.frame[name].tolist() for name in ("split", "path", "sha256"))
    sha256[0] = "f" * 64
    label[3], path[3] = other[label[3]], "moved.jpg"
    part[4] = "train" if part[4] == "test" else "test"
    path[5] = "renamed.jpg"
    fold = [-1 if each == "test" else 0 for each in part]
    frame = old.frame.assign(label=label, split=part, path=path, sha256=sha256, fold=fold)
    rows = Difference(old, Manifest(frame, old.root, old.classes, "poses")).rows
    assert rows["change"].tolist() == list(CHANGES)
    assert rows.loc[rows["change"] == "renamed", "path_new"].tolist() == ["renamed.jpg"]
    assert rows.loc[rows["change"] == "added", "label_old"].tolist() == [""]


def test_a_version_is_meant_by_digest_name_or_path(tmp_path: Path) -> None:
    first = keep_manifest(drawn([1, 2, 3, 4], 0), tmp_path)
    second = keep_manifest(drawn([1, 2, 3, 5], 0), tmp_path)
    other = keep_manifest(drawn([1, 2, 3, 6], 0, "other"), tmp_path)
    assert (first.parent, second.parent, other.parent) == (None, first.digest, None)
    # Seen again, a version keeps the parent that it had.
    assert keep_manifest(drawn([1, 2, 3, 4], 0), tmp_path).parent is None
    assert keep_manifest(drawn([1, 2, 3, 5], 0), tmp_path).parent == first.digest
    for text in (second.digest, second.digest[:8], "poses", str(manifests_folder(tmp_path) / second.digest)):
        assert kept_manifest(tmp_path, text).digest == second.digest
    with pytest.raises(SettingError, match=r"nonesuch.*kept: .*poses.*summary"):
        kept_manifest(tmp_path, "nonesuch")
    with pytest.raises(SettingError, match="no version of that digest"):
        kept_manifest(tmp_path, second.digest[:3])


@settings(max_examples=20, deadline=None)
@given(one=contents, seed=st.integers(0, 10**6))
def test_the_numbers_of_a_data_set_are_those_of_its_table(one: list[int], seed: int) -> None:
    manifest = drawn(one, seed)
    numbers, classes = describe(manifest), class_table(manifest)
    assert numbers["images"] == len(one) == classes["train"].sum() + classes["test"].sum()
    assert numbers["twins"] == sum(one.count(each) > 1 for each in one) == classes["twins"].sum()
    assert classes["share"].sum() == pytest.approx(1)
    assert 1 <= numbers["effective_classes"] <= numbers["classes"] + 1e-9
    trained = {content for content, split in zip(one, manifest.frame["split"], strict=True) if split == "train"}
    tested = [content for content, split in zip(one, manifest.frame["split"], strict=True) if split == "test"]
    assert numbers["leaked_images"] == sum(content in trained for content in tested)
    sizes = (classes["train"] + classes["test"]).tolist()
    assert sizes == sorted(sizes, reverse=True)
    assert numbers["imbalance_ratio"] == sizes[0] / sizes[-1]


def test_equal_classes_are_as_effective_as_they_are_many() -> None:
    assert describe(drawn([1, 2, 3], 0))["effective_classes"] == pytest.approx(3)


def test_twins_of_another_folder_are_found_though_mirrored_and_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC)
        twin = cv2.resize(np.ascontiguousarray(image[:, ::-1]), (64, 64), interpolation=cv2.INTER_AREA)
        for folder, picture in (("a", image), ("b", twin if number % 3 else 255 - image[::-1, ::-1])):
            file = tmp_path / folder / LABELS[number % 2] / f"{number:02d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(cv2.imencode(".jpg", picture)[1]))
    one, other = (build_manifest(ImageFolder(tmp_path / name), Split(folds=2), tmp_path) for name in "ab")
    found = twins_between(one, other, 40)
    assert found["path"].tolist() == [path for path in one.frame["path"] if int(Path(path).stem) % 3]
    assert found["path_twin"].tolist() == found["path"].tolist()
