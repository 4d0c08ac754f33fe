"""The pixel store: what the reader decodes, decoded once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from wellai_exp.data import ImageReader
from wellai_exp.data._pixel_store import PixelStore, PixelTable
from wellai_exp.errors import DataError, SettingError


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for index in range(7):
        path = tmp_path / "photos" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (20 + index, 30, 3)).astype(np.uint8))
        paths.append(path)
    return paths


def ask(root: Path, paths: list[Path], size: int = 16, resize: str = "stretch") -> PixelTable:
    keys = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return PixelStore(root, progress=False).get(paths, keys, size, resize)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_pixels_are_the_readers_and_decoded_once(photos: list[Path], resize: str, tmp_path: Path) -> None:
    expected = np.concatenate(list(ImageReader(photos, 16, resize)))
    table = ask(tmp_path / "store", photos, resize=resize)
    assert (len(table), table.size, table.computed) == (7, 16, 7)
    rows = np.array([5, 0, 0, 6])
    pixels = table.gather(rows)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected[rows])
    assert table.gather([]).shape == (0, 16, 16, 3)
    again = ask(tmp_path / "store", photos[::-1], resize=resize)
    assert again.computed == 0
    np.testing.assert_array_equal(again.gather(np.arange(7)), expected[::-1])


def test_each_size_and_fit_is_kept_by_itself_and_only_new_images_are_decoded(
    photos: list[Path], tmp_path: Path
) -> None:
    ask(tmp_path / "store", photos[:4])
    assert ask(tmp_path / "store", photos).computed == 3
    assert ask(tmp_path / "store", photos, size=8).computed == 7
    assert ask(tmp_path / "store", photos, resize="pad").computed == 7
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [
        "pixels-16-pad",
        "pixels-16-stretch",
        "pixels-8-stretch",
    ]


def test_a_damaged_shard_is_decoded_again(photos: list[Path], tmp_path: Path) -> None:
    ask(tmp_path / "store", photos)
    shard = tmp_path / "store" / "pixels-16-stretch" / "000000.npy"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    table = ask(tmp_path / "store", photos)
    assert table.computed == 7
    np.testing.assert_array_equal(table.gather(np.arange(7)), np.concatenate(list(ImageReader(photos, 16))))


def test_an_image_that_cannot_be_read_is_named(photos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "photos" / "broken.png"
    broken.write_bytes(photos[0].read_bytes()[:40])
    with pytest.raises(DataError, match=r"broken\.png"):
        ask(tmp_path / "store", [*photos, broken])
    assert ask(tmp_path / "store", photos).computed == 7


def test_settings_that_cannot_work_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    store = PixelStore(tmp_path / "store", progress=False)
    missing = [tmp_path / "missing.jpg"]
    with pytest.raises(SettingError, match="resize=squash"):
        store.get(missing, ["0"], 16, "squash")
    with pytest.raises(SettingError, match="size=0"):
        store.get(missing, ["0"], 0, "stretch")
    with pytest.raises(ValueError, match="1 paths came with 2 keys"):
        store.get(missing, ["0", "1"], 16, "stretch")
    assert not (tmp_path / "store").exists()
