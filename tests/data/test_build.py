"""From a folder of pictures to a manifest."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.data import ImageFolder, ImageTable, Manifest, Split, build_manifest, nearest_twins
from wellai_exp.data._build import tail_profile
from wellai_exp.errors import DataError, SettingError

SIZES = {"나무자세": 40, "crow, [bow]": 24, "Bharadvaja's": 16, "tail": 8}


def _jpeg(seed: int, width: int = 32, mirrored: bool = False) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    image = cv2.resize(coarse, (width, width), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(image[:, ::-1]) if mirrored else image)[1])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of four classes in which every fourth picture has a mirrored, larger twin."""
    root = tmp_path_factory.mktemp("photos")
    seed = 0
    for label, size in SIZES.items():
        (root / label).mkdir()
        for number in range(size):
            twin = number % 4 == 1
            seed += not twin
            (root / label / f"{number:02d}.jpg").write_bytes(_jpeg(seed, 64 if twin else 32, mirrored=twin))
    return root


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def _build(photos: Path, store: Path, split: Split | None = None, long_tail: float | None = None) -> Manifest:
    return build_manifest(ImageFolder(photos, long_tail=long_tail), split or Split(folds=3), store)


def _sides(manifest: Manifest) -> pd.Series[int]:
    return manifest.frame.groupby("group")["split"].nunique()


def test_twins_stay_together_and_every_row_is_there(photos: Path, store: Path) -> None:
    manifest = _build(photos, store)
    assert manifest.counts.sum(axis=1).to_dict() == SIZES
    assert manifest.frame["group"].nunique() == sum(SIZES.values()) * 3 // 4
    assert (_sides(manifest) == 1).all()
    assert manifest.notes == ()
    assert manifest.digest == _build(photos, store).digest
    assert all(file.is_file() for file in manifest.files())
    assert 0.15 < len(manifest.test) / len(manifest.frame) < 0.25


def test_a_split_is_dealt_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = _build(photos, tmp_path).digest

    def not_again(*_: object) -> None:
        raise AssertionError("it is known already")

    for step in ("test_part", "fold_of"):
        with monkeypatch.context() as patch:
            patch.setattr(Split, step, not_again)
            assert _build(photos, tmp_path).digest == digest
            for other in (Split(folds=3, seed=1), Split(folds=3, near_duplicates=False)):
                with pytest.raises(AssertionError, match="known already"):
                    _build(photos, tmp_path, other)
    with monkeypatch.context() as patch:
        patch.setattr("wellai_exp.data._build.version", lambda package: f"another {package}")
        patch.setattr(Split, "test_part", not_again)
        with pytest.raises(AssertionError, match="known already"):
            _build(photos, tmp_path)


def test_without_near_duplicates_only_equal_bytes_are_grouped(photos: Path, store: Path) -> None:
    manifest = _build(photos, store, Split(folds=3, near_duplicates=False))
    assert manifest.frame["group"].nunique() == sum(SIZES.values())


def test_the_digest_is_the_same_wherever_the_folder_lies(photos: Path, store: Path, tmp_path: Path) -> None:
    for label in SIZES:
        (tmp_path / "moved" / label).mkdir(parents=True)
        for file in (photos / label).iterdir():
            (tmp_path / "moved" / label / file.name).write_bytes(file.read_bytes())
    assert _build(tmp_path / "moved", store).digest == _build(photos, store).digest


@pytest.mark.parametrize("ratio", [1, 3, 5])
def test_a_long_tail_cuts_the_training_part_alone(ratio: float, photos: Path, store: Path) -> None:
    whole, cut = _build(photos, store), _build(photos, store, long_tail=ratio)
    pd.testing.assert_frame_equal(
        whole.frame.iloc[whole.test].reset_index(drop=True), cut.frame.iloc[cut.test].reset_index(drop=True)
    )
    assert set(cut.frame["sha256"]) <= set(whole.frame["sha256"])
    sizes = cut.counts["train"]
    assert abs(sizes.max() - ratio * sizes.min()) < ratio
    assert (_sides(cut) == 1).all()
    assert cut.digest == _build(photos, store, long_tail=ratio).digest
    assert cut.digest != whole.digest


def test_another_seed_keeps_other_images_of_the_tail(photos: Path, store: Path) -> None:
    one, two = (_build(photos, store, Split(folds=3, seed=seed), long_tail=5) for seed in (1, 2))
    assert set(one.frame["sha256"]) != set(two.frame["sha256"])


def test_a_tail_too_long_for_the_data_names_the_ratio_that_fits(photos: Path, store: Path) -> None:
    with pytest.raises(SettingError, match=r"data.long_tail=500: .*; set data.long_tail=\d+\.") as caught:
        _build(photos, store, long_tail=500)
    fits = float(str(caught.value).rstrip(".").rpartition("=")[2])
    assert _build(photos, store, long_tail=fits).counts["train"].min() == 2


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 500), min_size=2, max_size=40), ratio=st.floats(1, 300))
def test_a_profile_fits_below_the_sizes_and_reaches_its_ratio(sizes: list[int], ratio: float) -> None:
    have = np.array(sizes)
    keep = tail_profile(have, ratio)
    assert (keep >= 1).all()
    assert (keep <= have).all()
    order = np.argsort(-have, kind="stable")
    assert (np.diff(keep[order]) <= 0).all()
    assert abs(keep.max() - ratio * keep.min()) <= ratio
    # No larger head would do: some class gives all that it has.
    shrink = ratio ** (-np.arange(len(have)) / (len(have) - 1))
    assert ((keep.max() + 1) * shrink > have[order]).any()


def test_an_unreadable_file_stops_or_is_left_out_and_said(
    photos: Path, store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "dirty"
    for label in SIZES:
        (root / label).mkdir(parents=True)
        for file in (photos / label).iterdir():
            (root / label / file.name).symlink_to(file)
    (root / "tail" / "page.jpg").write_text("<html>")
    (root / "tail" / "caf\udce9.jpg").write_bytes(_jpeg(1))
    (root / "broken").mkdir()
    (root / "broken" / "0.jpg").write_bytes(b"")
    source = ImageFolder(root)
    with pytest.raises(DataError, match=r"3 of 91 files .* broken/0.jpg: it is empty; .*data.unreadable=skip"):
        build_manifest(source, Split(folds=3), store)
    with caplog.at_level(logging.WARNING, "wellai_exp.data"):
        manifest = build_manifest(replace(source, unreadable="skip", name="dirty"), Split(folds=3), store)
    assert manifest.digest == _build(photos, store).digest
    assert manifest.notes == tuple(caplog.messages)
    assert "3 of 91 files cannot be read and are left out" in manifest.notes[0]
    assert "broken (0)" in manifest.notes[1]


def test_small_classes_are_left_out_and_said(photos: Path, store: Path) -> None:
    manifest = build_manifest(ImageFolder(photos, min_per_class=20), Split(folds=3), store)
    assert set(manifest.classes) == {"나무자세", "crow, [bow]"}
    assert "2 classes with fewer than data.min_per_class=20" in manifest.notes[0]
    with pytest.raises(DataError, match="only one class"):
        build_manifest(ImageFolder(photos, min_per_class=30), Split(folds=3), store)
    with pytest.raises(DataError, match="No class"):
        build_manifest(ImageFolder(photos, min_per_class=300), Split(folds=3), store)


def test_a_class_with_one_image_is_named(photos: Path, store: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [f"나무자세/{number:02d}.jpg,tree" for number in range(20)]
    table.write_text("\n".join(["path,label", *rows, "tail/00.jpg,lonely"]))
    with pytest.raises(SettingError, match=r"'lonely' has 1 different photographs in 1 images.*data.min_per_class=2"):
        build_manifest(ImageTable(photos, table), Split(folds=3), store)


def test_a_table_that_names_a_missing_file(photos: Path, store: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,label\n나무자세/00.jpg,tree\ntail/99.jpg,tail\n")
    with pytest.raises(DataError, match=r"1 of 2 files .* tail/99.jpg: there is no such file"):
        build_manifest(ImageTable(photos, table), Split(), store)


def _official(photos: Path, table: Path, test_of: int) -> ImageTable:
    rows = ["path,label,part"]
    for label, size in SIZES.items():
        for number in range(size):
            part = "test" if number % 8 == test_of else "train"
            rows.append(
                f'{label}/{number:02d}.jpg,"{label}",{part}'.replace(
                    f"{label}/{number:02d}.jpg", f'"{label}/{number:02d}.jpg"'
                )
            )
    table.write_text("\n".join(rows))
    return ImageTable(photos, table, split_column="part")


@pytest.mark.parametrize(("test_of", "torn"), [(2, False), (1, True)])
def test_an_official_split_is_kept_and_what_it_tears_is_counted(
    test_of: int, torn: bool, photos: Path, store: Path, tmp_path: Path
) -> None:
    source = _official(photos, tmp_path / "t.csv", test_of)
    manifest = build_manifest(source, Split(folds=3), store)
    listing = source.listing()
    assert manifest.frame["split"].tolist() == list(listing.sides or ())
    assert ((_sides(manifest) > 1).sum() == 11) == torn
    assert any("11 groups of near-duplicates lie on both sides" in note for note in manifest.notes) == torn


def test_an_official_split_that_forgets_a_class(photos: Path, store: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [f"나무자세/{n:02d}.jpg,tree,{'test' if n > 15 else 'train'}" for n in range(20)]
    table.write_text("\n".join(["path,label,part", *rows, *(f"tail/{n:02d}.jpg,tail,train" for n in range(8))]))
    with pytest.raises(DataError, match=r"no image of the class 'tail' in its test part"):
        build_manifest(ImageTable(photos, table, split_column="part"), Split(folds=3), store)


def test_equal_bytes_under_two_labels_are_said_and_stay_together(photos: Path, store: Path, tmp_path: Path) -> None:
    root = tmp_path / "p"
    for label, first in (("a", 0), ("b", 50)):
        (root / label).mkdir(parents=True)
        for number in range(20):
            (root / label / f"{number}.jpg").write_bytes(_jpeg(first + number))
    (root / "b" / "copy.jpg").write_bytes(_jpeg(3))
    manifest = build_manifest(ImageFolder(root), Split(near_duplicates=False), store)
    assert "under two labels: 1, the first is a/3.jpg" in manifest.notes[0]
    assert (_sides(manifest) == 1).all()


def test_a_class_with_fewer_photographs_than_folds_is_said(photos: Path, store: Path) -> None:
    manifest = _build(photos, store, Split(folds=8))
    assert "'tail' is in" in manifest.notes[-1]
    assert "split.folds=" in manifest.notes[-1]


def test_naming_the_room_imports_nothing_heavy() -> None:
    code = (
        "import sys, wellai_exp.data as d; d.Split(); "
        "heavy = 'tensorflow keras sklearn scipy matplotlib mlflow PIL rich'.split(); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_real_photographs(tmp_path: Path) -> None:
    assets = os.environ.get("WELLAI_ASSETS")
    if not assets:
        pytest.skip("WELLAI_ASSETS names no folder of photographs")
    source = ImageFolder(Path(assets) / "data" / "yoga62")
    manifest = build_manifest(source, Split(), tmp_path)
    assert (len(manifest.frame), len(manifest.classes)) == (3138, 62)
    assert (_sides(manifest) == 1).all()
    start = time.perf_counter()
    assert build_manifest(source, Split(), tmp_path).digest == manifest.digest
    # Opening 3,138 photographs again would take longer than this on any machine at hand.
    assert time.perf_counter() - start < 10


def test_a_split_that_does_not_heed_twins_says_which_test_images_are_leaked(photos: Path, store: Path) -> None:
    apart, careless = _build(photos, store), _build(photos, store, Split(folds=3, near_duplicates=False))
    assert not apart.leaked.any()
    assert careless.leaked.any()
    assert not careless.leaked.all()
    twin = careless.frame["twin"]
    trained = set(twin.iloc[careless.train])
    assert careless.leaked.tolist() == [each in trained for each in twin.iloc[careless.test]]
    # The careless split's own groups hold no two files, so only the twins can tell.
    assert not set(careless.frame["group"].iloc[careless.test]) & set(careless.frame["group"].iloc[careless.train])
    (note,) = careless.notes
    assert f"({careless.leaked.sum()} test images)" in note
    nearest = nearest_twins(careless.hashes(careless.test), careless.hashes(careless.train), 40)
    assert (nearest >= 0).tolist() == careless.leaked.tolist()
    found = nearest[careless.leaked]
    assert twin.iloc[careless.train].iloc[found].tolist() == twin.iloc[careless.test][careless.leaked].tolist()
