"""What is in each file: the reasons why one cannot be read, and the memory of what was read."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from wellai_exp.data import _index
from wellai_exp.data._index import index_files
from wellai_exp.data._near_duplicates import near_duplicate_groups
from wellai_exp.paths import sha256_of


def _picture(seed: int = 0, size: int = 48) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))


def _encoded(seed: int = 0, kind: str = ".jpg", size: int = 48) -> bytes:
    return bytes(cv2.imencode(kind, _picture(seed, size))[1])


def _huge_png(side: int) -> bytes:
    """Give a valid PNG header of an enormous picture in a hundred bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    )


def test_the_reason_why_each_file_cannot_be_read(tmp_path: Path) -> None:
    contents = {
        "good.jpg": _encoded(),
        "나무자세 (1).jpg": _encoded(1, ".png"),
        "empty.jpg": b"",
        "page.jpg": b"<html>404</html>",
        "cut.jpg": _encoded(2, size=200)[:2000],
        "huge.png": _huge_png(20_000),
        "enormous.png": _huge_png(60_000),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    names = [*contents, "folder.jpg", "pipe.jpg", "gone.jpg", "nul\0.jpg", "caf\udce9.jpg"]
    index = index_files(tmp_path, names, tmp_path / "store")
    reason = dict(zip(names, index.reason, strict=True))
    assert reason["good.jpg"] == reason["나무자세 (1).jpg"] == ""
    expected = {
        "empty.jpg": "empty",
        "page.jpg": "no image",
        "cut.jpg": "cut short",
        "huge.png": "more than 50 megapixels",
        "enormous.png": "more than 50 megapixels",
        "folder.jpg": "not a regular file",
        "pipe.jpg": "not a regular file",
        "gone.jpg": "no such file",
        "nul\0.jpg": "cannot be opened",
        "caf\udce9.jpg": "not UTF-8",
    }
    assert {name for name, why in reason.items() if not why} == {"good.jpg", "나무자세 (1).jpg"}
    for name, part in expected.items():
        assert part in reason[name]
    assert index.sha256[0] == sha256_of(tmp_path / "good.jpg")
    assert (index.width[0], index.height[0], index.bytes[0]) == (48, 48, len(contents["good.jpg"]))


def test_exif_rotation_counts_in_width_and_height(tmp_path: Path) -> None:
    image = _picture()[:, :24]
    plain = bytes(cv2.imencode(".jpg", image)[1])
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    (tmp_path / "a.jpg").write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
    (tmp_path / "b.jpg").write_bytes(plain)
    index = index_files(tmp_path, ["a.jpg", "b.jpg"], tmp_path / "store")
    assert list(zip(index.width, index.height, strict=True)) == [(48, 24), (24, 48)]


@pytest.fixture
def _filled(tmp_path: Path) -> tuple[Path, list[str]]:
    names = [f"{seed}.jpg" for seed in range(12)]
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(_encoded(seed))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    return tmp_path, [*names, "bad.jpg"]


def _no_reading(file: Path) -> _index._Record:
    raise AssertionError(f"{file} was read again")


def test_a_second_run_opens_no_file(_filled: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    root, names = _filled
    first = index_files(root, names, root / "store")
    monkeypatch.setattr(_index, "_measure", _no_reading)
    second = index_files(root, names[::-1], root / "store")
    assert second.sha256 == first.sha256[::-1]
    assert second.reason == first.reason[::-1]
    np.testing.assert_array_equal(second.hashes, first.hashes[::-1])
    np.testing.assert_array_equal(second.mirrored, first.mirrored[::-1])


def test_a_changed_file_is_read_again(_filled: tuple[Path, list[str]]) -> None:
    root, names = _filled
    first = index_files(root, names, root / "store")
    (root / "3.jpg").write_bytes(_encoded(99))
    second = index_files(root, names, root / "store")
    changed = [name for name, old, new in zip(names, first.sha256, second.sha256, strict=True) if old != new]
    assert changed == ["3.jpg"]


def test_two_roots_do_not_share_a_memory(_filled: tuple[Path, list[str]]) -> None:
    root, names = _filled
    index_files(root, names, root / "store")
    other = root / "other"
    other.mkdir()
    (other / "3.jpg").write_bytes(_encoded(99))
    assert index_files(other, ["3.jpg"], root / "store").sha256 == (sha256_of(other / "3.jpg"),)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "version"])
def test_a_damaged_memory_is_made_anew(
    damage: str, _filled: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, names = _filled
    first = index_files(root, names, root / "store")
    (cache,) = (root / "store" / "index").iterdir()
    whole = cache.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    damaged = {"cut": whole[: len(whole) // 2], "flip": bytes(flipped), "empty": b"", "text": b"not a zip file"}
    cache.write_bytes(damaged.get(damage, whole))
    if damage == "version":
        monkeypatch.setattr(_index, "_VERSION", 10_000)
    second = index_files(root, names, root / "store")
    assert second.sha256 == first.sha256
    np.testing.assert_array_equal(second.hashes, first.hashes)
    monkeypatch.setattr(_index, "_measure", _no_reading)
    assert index_files(root, names, root / "store").sha256 == first.sha256


def test_an_interrupted_first_run_goes_on_from_where_it_was(
    _filled: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, names = _filled
    measure = _index._measure
    seen: list[str] = []

    def stopped(file: Path) -> _index._Record:
        if file.name == "9.jpg" and "9.jpg" not in seen:
            seen.append("9.jpg")
            raise KeyboardInterrupt
        seen.append(file.name)
        return measure(file)

    monkeypatch.setattr(_index, "_BATCH", 4)
    monkeypatch.setattr(_index, "_measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        index_files(root, names, root / "store")
    assert seen.count("0.jpg") == 1
    index_files(root, names, root / "store")
    assert seen.count("0.jpg") == 1


def test_twins_made_from_a_picture_share_its_group_and_others_do_not(tmp_path: Path) -> None:
    names = []
    for seed in range(20):
        image = cv2.resize(_picture(seed), (160, 120))
        twins = {
            "small": cv2.resize(image, (96, 72), interpolation=cv2.INTER_AREA),
            "mirror": np.ascontiguousarray(image[:, ::-1]),
            "grey": cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
            "bright": cv2.convertScaleAbs(image, alpha=0.8, beta=40),
        }
        for kind, pixels in {"plain": image, **twins}.items():
            name = f"{seed:02d}-{kind}.jpg"
            (tmp_path / name).write_bytes(bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]))
            names.append(name)
    index = index_files(tmp_path, names, tmp_path / "store")
    groups = near_duplicate_groups(index.hashes, index.mirrored, 40)
    assert groups.tolist() == [place // 5 for place in range(100)]
