"""The clean copy is whole or not there, goes on where it stopped, and the originals stay as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_files import encoded, folder_of_scenes, scene
from PIL import Image as Pillow

from wellai_exp import cleaning
from wellai_exp.cleaning import Files, Limits, plan_copy, read_overrides, write_copy
from wellai_exp.cleaning import _apply as apply_module
from wellai_exp.data import ImageFolder, decode, read_image
from wellai_exp.errors import DataError, SettingError

LIMITS = Limits(workers=1)


def snapshot(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(file): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }


def decided(root: Path, verdicts: dict[str, str]) -> tuple[Files, pd.DataFrame, list[str]]:
    files = Files.gather([(root, ImageFolder(root).listing())])
    looks = [cleaning.look(path) for path in files.paths]
    table = pd.DataFrame(
        {
            "path": files.names,
            "label": files.labels,
            "verdict": [verdicts.get(name, "kept") for name in files.names],
            "sha256": [found.sha256 for found in looks],
        }
    )
    return files, table, [found.kind for found in looks]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = folder_of_scenes(tmp_path / "photos", 2, 3)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    (root / "pose 0" / "turned.jpg").write_bytes(encoded(scene(70), "JPEG", exif=exif))
    (root / "pose 0" / "deep" / "x").mkdir(parents=True)
    (root / "pose 0" / "deep" / "x" / "000.jpg").write_bytes(encoded(scene(71), "JPEG"))
    (root / "pose 1" / "나무자세 (1).gif").write_bytes(encoded(scene(72), "GIF"))
    (root / "pose 1" / "rubbish.jpg").write_bytes(b"rubbish")
    return root


VERDICTS = {
    "pose 0/turned.jpg": "converted",
    "pose 1/나무자세 (1).gif": "converted",
    "pose 1/rubbish.jpg": "set aside",
}


def test_the_copy_holds_kept_files_as_they_are_and_converted_ones_upright(photos: Path, tmp_path: Path) -> None:
    before = snapshot(photos)
    files, table, kinds = decided(photos, VERDICTS)
    out = tmp_path / "clean"
    assert write_copy(out, plan_copy(files, table, kinds), table, LIMITS) == 9
    assert snapshot(photos) == before
    listing = ImageFolder(out).listing()
    (twice,) = [name for name in listing.paths if name.startswith("pose 0/000-")]
    assert set(listing.paths) == {
        *(f"pose {label}/{index:03d}.jpg" for label in range(2) for index in range(3)),
        "pose 0/turned.jpg",
        "pose 1/나무자세 (1).png",
        twice,
    }
    assert (out / "pose 1/001.jpg").read_bytes() == (photos / "pose 1/001.jpg").read_bytes()
    upright = Pillow.open(out / "pose 0/turned.jpg")
    assert (upright.size, upright.mode, upright.getexif().get(0x0112)) == ((150, 200), "RGB", None)
    np.testing.assert_array_equal(
        read_image(out / "pose 1/나무자세 (1).png"), decode((photos / "pose 1/나무자세 (1).gif").read_bytes())
    )
    assert pd.read_csv(out / "decisions.csv")["verdict"].tolist() == table["verdict"].tolist()
    assert not (tmp_path / "clean.partial").exists()
    # The same once more changes nothing; other decisions want another folder.
    made = snapshot(out)
    assert write_copy(out, plan_copy(files, table, kinds), table, LIMITS) == 0
    assert snapshot(out) == made
    other = table.assign(verdict="set aside").assign(verdict=["kept", *["set aside"] * (len(table) - 1)])
    with pytest.raises(SettingError, match=r"out=.*something else"):
        write_copy(out, plan_copy(files, other, kinds), other, LIMITS)


def test_an_interrupted_copy_goes_on(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, table, kinds = decided(photos, VERDICTS)
    jobs, out = plan_copy(files, table, kinds), tmp_path / "clean"
    whole, written = apply_module._write_whole, list[Path]()

    def dying(path: Path, content: bytes) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        whole(path, content)

    monkeypatch.setattr(apply_module, "_write_whole", dying)
    with pytest.raises(KeyboardInterrupt):
        write_copy(out, jobs, table, LIMITS)
    assert not out.exists()
    monkeypatch.setattr(apply_module, "_write_whole", whole)
    # One of the four is the plan; a file that is not as it should be is written again.
    damaged = next(file for file in sorted((tmp_path / "clean.partial").rglob("*.jpg")))
    damaged.write_bytes(b"half")
    assert write_copy(out, jobs, table, LIMITS) == 9 - 3 + 1
    assert len(ImageFolder(out).listing()) == 9
    for job in jobs:
        if not job.convert:
            assert (out / job.target).read_bytes() == job.source.read_bytes()


def test_an_original_that_has_changed_since_is_not_copied(photos: Path, tmp_path: Path) -> None:
    files, table, kinds = decided(photos, VERDICTS)
    (photos / "pose 0" / "001.jpg").write_bytes(encoded(scene(5), "JPEG"))
    with pytest.raises(DataError, match="has changed since"):
        write_copy(tmp_path / "clean", plan_copy(files, table, kinds), table, LIMITS)
    assert not (tmp_path / "clean").exists()


@pytest.mark.parametrize("label", ["a/b", ".hidden", "decisions.csv"])
def test_a_label_that_is_no_folder_is_refused(label: str, photos: Path) -> None:
    files, table, kinds = decided(photos, VERDICTS)
    with pytest.raises(DataError, match="cannot be a folder's name"):
        plan_copy(files, table.assign(label=label), kinds)


def test_overrides_are_read_as_the_decisions_table_has_them(photos: Path, tmp_path: Path) -> None:
    files, _, _ = decided(photos, {})
    mine = tmp_path / "mine.csv"
    mine.write_text(
        "path,verdict,label\npose 0/001.jpg,set_aside,\n"
        f"{photos.absolute()}/pose 1/나무자세 (1).gif,keep,pose 0\npose 0/002.jpg,,pose 1\npose 0/000.jpg,kept,\n",
        encoding="utf-8",
    )
    found = {files.names[row]: (each.verdict, each.label) for row, each in read_overrides(mine, files).items()}
    assert found == {
        "pose 0/001.jpg": ("set_aside", ""),
        "pose 1/나무자세 (1).gif": ("keep", "pose 0"),
        "pose 0/002.jpg": ("", "pose 1"),
        "pose 0/000.jpg": ("keep", ""),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\na,b\n", "no column verdict"),
        ("path,verdict\nnone.jpg,keep\n", r"line 2 .*names 'none\.jpg', which is no file here"),
        ("path,verdict\npose 0/000.jpg,perhaps\n", "verdict 'perhaps'; write keep or set_aside"),
        ("path,verdict\npose 0/000.jpg,keep\npose 0/000.jpg,keep\n", "line 3 .*second time"),
        ("path,verdict\npose 0/000.jpg,\n", "says nothing"),
    ],
)
def test_an_override_that_cannot_be_used_is_refused(text: str, words: str, photos: Path, tmp_path: Path) -> None:
    files, _, _ = decided(photos, {})
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_overrides(tmp_path / "mine.csv", files)
    with pytest.raises(SettingError, match="no such file"):
        read_overrides(tmp_path / "none.csv", files)
