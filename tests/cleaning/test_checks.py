"""Each check sets aside the picture that it is for, and lets the others pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn_files import Image, encoded, folder_of_scenes, save, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from wellai_exp import cleaning
from wellai_exp.cleaning import (
    MEASURES,
    Check,
    Decisions,
    Evidence,
    ExactDuplicate,
    Files,
    Mislabelled,
    NearDuplicate,
    NoPerson,
    Outlier,
    Override,
    TwoLabels,
    decide,
    look,
)
from wellai_exp.data import ImageFolder

# As conf/cleaning/default.yaml has them; test_checks_contract holds the two together.
FILE_CHECKS: tuple[Check, ...] = (
    cleaning.Unreadable(),
    cleaning.NotAnImage(),
    cleaning.TooLarge(),
    cleaning.Animated(),
    cleaning.TooSmall(),
    cleaning.ExtremeShape(),
    cleaning.Blank(),
    cleaning.TooDark(),
    cleaning.TooBright(),
    cleaning.LowInformation(),
    cleaning.Blurred(),
)
COPIES: tuple[Check, ...] = (TwoLabels(), ExactDuplicate(), NearDuplicate())


def evidence_of(root: Path, overrides: Mapping[int, Override] | None = None) -> Evidence:
    """Look at every file here and now; test_looks has the processes that do so for a user."""
    files = Files.gather([(root, ImageFolder(root).listing())])
    looks = [look(path) for path in files.paths]
    facts = [{**{each.name: getattr(found, each.name) for each in fields(found)}, **found.measures} for found in looks]
    frame = pd.DataFrame(facts).reindex(columns=[each.name for each in fields(looks[0])] + list(MEASURES))
    hashes = np.stack([found.hashes for found in looks])
    chosen = overrides or {}
    labels = [chosen[row].label or label if row in chosen else label for row, label in enumerate(files.labels)]
    pinned = np.array([row in chosen and chosen[row].verdict == "keep" for row in range(len(files))])
    return Evidence(frame.assign(path=files.names, label=labels), hashes, pinned)


def verdicts(decisions: Decisions) -> dict[str, tuple[str, str]]:
    table = decisions.table
    return {path: (verdict, check) for path, verdict, check in zip(table.path, table.verdict, table.check, strict=True)}


def huge_png() -> bytes:
    """Make a PNG of 400 megapixels in a few kilobytes."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (20_000 * (1 + 2500)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animation(kind: str) -> bytes:
    import io

    frames = [Pillow.fromarray(scene(index)) for index in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def soft(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 14), np.uint8)


BAD: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "unreadable"),
    "cut.jpg": (encoded(scene(1), "JPEG")[:3000], "unreadable"),
    "head.jpg": (encoded(scene(1), "JPEG")[:30], "unreadable"),
    "cut.png": (encoded(scene(1), "PNG")[:9000], "unreadable"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not_an_image"),
    "notes.txt": (b"downloaded by hand\n", "not_an_image"),
    "archive.png": (b"PK\x03\x04" + b"\0" * 200, "not_an_image"),
    "huge.png": (huge_png(), "too_large"),
    "moving.gif": (animation("GIF"), "animated"),
    "moving.webp": (animation("WEBP"), "animated"),
    "moving.png": (animation("PNG"), "animated"),
    "pages.tiff": (animation("TIFF"), "animated"),
    "tiny.png": (encoded(scene(2, 40, 30)[:20, :20], "PNG"), "too_small"),
    "banner.png": (encoded(scene(3, 800, 60), "PNG"), "extreme_shape"),
    "blank.jpg": (encoded(np.full((200, 200, 3), 128, np.uint8), "JPEG"), "blank"),
    "dark.png": (encoded((scene(4) // 12).astype(np.uint8), "PNG"), "too_dark"),
    "bright.png": (encoded((255 - scene(5) // 26).astype(np.uint8), "PNG"), "too_bright"),
    "soft.png": (encoded(soft(scene(6)), "PNG"), "blurred"),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Lay good and bad files out together, and judge them."""
    root = tmp_path_factory.mktemp("photos")
    folder_of_scenes(root, 2, 4)
    for name, (content, _) in BAD.items():
        (root / "pose 0" / name).write_bytes(content)
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[20:24] = 180
    save(root / "pose 0" / "stripe.png", stripes)
    return verdicts(decide(evidence_of(root), FILE_CHECKS, {}))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_set_aside_by_the_check_that_is_for_it(judged: dict[str, tuple[str, str]], name: str) -> None:
    assert judged[f"pose 0/{name}"] == ("set aside", BAD[name][1])


def test_good_files_pass_every_check(judged: dict[str, tuple[str, str]]) -> None:
    for label in range(2):
        for index in range(4):
            assert judged[f"pose {label}/{index:03d}.jpg"] == ("kept", "")


def test_a_stripe_on_plain_ground_says_nearly_nothing(judged: dict[str, tuple[str, str]]) -> None:
    assert judged["pose 0/stripe.png"] == ("set aside", "low_information")


def rotated(image: Image) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


CONVERTED: dict[str, tuple[Callable[[Image], bytes], str]] = {
    "grey.jpg": (lambda image: encoded(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), "JPEG"), "L and not RGB"),
    "cmyk.jpg": (lambda image: _through(image, "CMYK", "JPEG"), "CMYK and not RGB"),
    "turned.jpg": (rotated, "EXIF orientation 6"),
    "palette.gif": (lambda image: encoded(image, "GIF"), "GIF and not JPEG or PNG"),
    "alpha.png": (lambda image: _through(image, "RGBA", "PNG"), "RGBA and not RGB"),
    "deep.png": (lambda image: encoded(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257, "PNG"), "16"),
    "web.jpg": (lambda image: encoded(image, "WEBP"), "WEBP and not JPEG or PNG"),
    "new.jpg": (lambda image: encoded(image, "AVIF"), "AVIF and not JPEG or PNG"),
    "named.jpg": (lambda image: encoded(image, "PNG"), "PNG named .jpg"),
    "old.bmp": (lambda image: encoded(image, "BMP"), "BMP and not JPEG or PNG"),
    "나무자세 (1)": (lambda image: encoded(image, "JPEG"), "JPEG named without suffix"),
}


def _through(image: Image, mode: str, kind: str) -> bytes:
    import io

    buffer = io.BytesIO()
    Pillow.fromarray(image).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("name", CONVERTED)
def test_an_odd_file_is_converted_and_the_reason_names_what_is_odd(name: str, tmp_path: Path) -> None:
    folder_of_scenes(tmp_path / "photos", 2, 2)
    make, words = CONVERTED[name]
    (tmp_path / "photos" / "pose 0" / name).write_bytes(make(scene(50)))
    decisions = decide(evidence_of(tmp_path / "photos"), FILE_CHECKS, {})
    row = decisions.table.set_index("path").loc[f"pose 0/{name}"]
    assert row.verdict == "converted"
    assert words in row.reason


def same(image: Image, kind: str) -> Image:
    """Make a twin of a picture."""
    height, width = image.shape[:2]
    if kind == "mirrored":
        return np.ascontiguousarray(image[:, ::-1])
    if kind == "smaller":
        return np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
    if kind == "larger":
        return np.asarray(cv2.resize(image, (width * 2, height * 2), interpolation=cv2.INTER_CUBIC), np.uint8)
    if kind == "smaller and mirrored":
        return same(same(image, "smaller"), "mirrored")
    return np.asarray(np.clip(image.astype(int) + 25, 0, 255), np.uint8)


@pytest.mark.parametrize("kind", ["mirrored", "smaller", "larger", "smaller and mirrored", "brighter"])
def test_a_twin_is_found_and_the_larger_one_is_kept(kind: str, tmp_path: Path) -> None:
    folder_of_scenes(tmp_path / "photos", 2, 3)
    twin = same(scene(0), kind)
    save(tmp_path / "photos" / "pose 0" / "twin.jpg", twin, quality=60)
    decisions = decide(evidence_of(tmp_path / "photos"), COPIES, {})
    table = decisions.table.set_index("path")
    kept, aside = ("pose 0/twin.jpg", "pose 0/000.jpg")[:: 1 if kind == "larger" else -1]
    assert table.loc[aside, "check"] == "near_duplicate"
    assert table.loc[aside, "twin"] == kept
    assert (table.drop(index=aside)["verdict"] == "kept").all()


def test_of_equal_files_the_first_by_path_is_kept(tmp_path: Path) -> None:
    root = folder_of_scenes(tmp_path / "photos", 2, 2)
    content = (root / "pose 0" / "000.jpg").read_bytes()
    for name in ("zz.jpg", "aa/b.jpg"):
        (root / "pose 0" / name).parent.mkdir(exist_ok=True)
        (root / "pose 0" / name).write_bytes(content)
    table = decide(evidence_of(root), COPIES, {}).table.set_index("path")
    assert table.loc["pose 0/000.jpg", "verdict"] == "kept"
    for name in ("pose 0/zz.jpg", "pose 0/aa/b.jpg"):
        assert (table.loc[name, "check"], table.loc[name, "twin"]) == ("exact_duplicate", "pose 0/000.jpg")


@pytest.mark.parametrize("kind", ["exact", "mirrored"])
def test_one_photograph_under_two_labels_is_set_aside_whole(kind: str, tmp_path: Path) -> None:
    root = folder_of_scenes(tmp_path / "photos", 2, 3)
    image = scene(0) if kind == "exact" else same(scene(0), kind)
    save(root / "pose 1" / "w.jpg", image)
    save(root / "pose 0" / "more.jpg", same(scene(0), "smaller"))
    table = decide(evidence_of(root), COPIES, {}).table.set_index("path")
    flagged = ["pose 0/000.jpg", "pose 0/more.jpg", "pose 1/w.jpg"]
    assert (table.loc[flagged, "check"] == "two_labels").all()
    assert table.loc["pose 0/000.jpg", "twin"] == "pose 1/w.jpg"
    assert (table.drop(index=flagged)["verdict"] == "kept").all()


@pytest.mark.parametrize(
    ("override", "kept"),
    [(Override("keep"), True), (Override("set_aside"), False), (Override("", "pose 0"), False)],
)
def test_an_override_settles_two_labels(override: Override, kept: bool, tmp_path: Path) -> None:
    root = folder_of_scenes(tmp_path / "photos", 2, 3)
    save(root / "pose 1" / "w.jpg", scene(0))
    overrides = {6: override}
    evidence = evidence_of(root, overrides)
    assert evidence.frame["path"].iloc[6] == "pose 1/w.jpg"
    table = decide(evidence, COPIES, overrides).table.set_index("path")
    assert (table.loc["pose 1/w.jpg", "verdict"] == "kept") == kept
    assert (table.loc["pose 0/000.jpg", "verdict"] == "kept") != kept
    assert (table["check"] != "two_labels").all()


def test_what_the_user_keeps_passes_every_check_but_needs_a_picture(tmp_path: Path) -> None:
    root = folder_of_scenes(tmp_path / "photos", 2, 3)
    (root / "pose 0" / "blank.jpg").write_bytes(BAD["blank.jpg"][0])
    (root / "pose 0" / "empty.jpg").write_bytes(b"")
    overrides = {3: Override("keep"), 4: Override("keep")}
    evidence = evidence_of(root, overrides)
    assert evidence.frame["path"].tolist()[3:5] == ["pose 0/blank.jpg", "pose 0/empty.jpg"]
    table = decide(evidence, FILE_CHECKS, overrides).table
    assert (table.loc[3, "verdict"], table.loc[3, "check"]) == ("kept", "override")
    assert (table.loc[4, "verdict"], table.loc[4, "check"]) == ("set aside", "unreadable")


def bits(rng: np.random.Generator, base: Any, count: int) -> Any:
    """Flip some bits of a hash."""
    flipped = np.unpackbits(base.view(np.uint8)).copy()
    flipped[rng.choice(256, count, replace=False)] ^= 1
    return np.packbits(flipped).view(np.uint64)


def known(n: int, hashes: Any, labels: Sequence[str], **models: Any) -> Evidence:
    frame = pd.DataFrame(
        {"path": [f"{row:03d}.jpg" for row in range(n)], "label": labels, "width": 100, "height": 80, "reason": ""}
    )
    frame = frame.assign(sha256=frame["path"], problem="", kind="JPEG", mode="RGB", orientation=1, frames=1)
    return Evidence(frame, hashes, np.zeros(n, bool), **models)


def test_a_borderline_pair_is_joined_only_where_embeddings_agree() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (4, 8), np.uint64)
    for row, source in ((1, 0), (3, 2)):
        hashes[row, :4] = bits(rng, hashes[source, :4], 50)
    features = np.array([[1, 0], [1, 0.01], [1, 0], [0, 1]], np.float32)
    asked = known(4, hashes, ["a"] * 4, features=lambda rows: features[rows])
    assert np.flatnonzero(NearDuplicate().judge(asked, np.arange(4)).flagged).tolist() == [1]
    alone = known(4, hashes, ["a"] * 4)
    assert not NearDuplicate().judge(alone, np.arange(4)).flagged.any()
    assert np.flatnonzero(NearDuplicate(sure=50).judge(alone, np.arange(4)).flagged).tolist() == [1, 3]


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30))
def test_every_file_has_one_verdict_and_a_twin_is_kept_or_set_aside_with_it(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 2**64, (8, 8), np.uint64)
    hashes = pool[rng.integers(0, 8, n)]
    evidence = known(n, hashes, [f"pose {label}" for label in rng.integers(0, 2, n)])
    table = decide(evidence, COPIES, {}).table
    assert len(table) == n
    assert set(table["verdict"]) <= {"kept", "set aside"}
    by_path = table.set_index("path")
    for group in np.unique(hashes, axis=0):
        members = table[(hashes == group).all(axis=1)]
        usable = members[members["verdict"] == "kept"]
        assert len(usable) == (1 if members["label"].nunique() == 1 else 0)
    for twin in table.loc[table["check"] == "near_duplicate", "twin"]:
        assert by_path.loc[twin, "verdict"] == "kept"


def test_nobody_in_view_goes_by_the_models_score() -> None:
    scores = np.array([0.1, 0.28, 0.9, np.nan], np.float32)
    evidence = known(4, np.zeros((4, 8), np.uint64), ["a"] * 4, person_scores=lambda rows: scores[rows])
    found = NoPerson(0.28).judge(evidence, np.arange(4))
    assert found.flagged.tolist() == [True, False, False, False]
    assert "0.10 sure of a person" in found.reasons[0]


def test_a_stranger_is_an_outlier_and_small_classes_are_not_judged() -> None:
    rng = np.random.default_rng(0)
    features = (np.eye(16)[0] + 0.1 * rng.normal(size=(40, 16))).astype(np.float32)
    features[7] = np.eye(16)[5]
    labels = ["a"] * 30 + ["b"] * 9 + ["c"]
    features[-1] = np.eye(16)[8]
    evidence = known(40, np.zeros((40, 8), np.uint64), labels, features=lambda rows: features[rows])
    found = Outlier().judge(evidence, np.arange(40))
    assert np.flatnonzero(found.flagged).tolist() == [7]
    assert np.isnan(found.values[30:]).all()


def test_exchanged_labels_are_doubted_and_unjudged_rows_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    probabilities = (0.02 + 0.94 * np.eye(3)[truth]).astype(np.float32)
    given_labels = truth.copy()
    given_labels[:6] = (truth[:6] + 1) % 3
    labels = [f"pose {label}" for label in given_labels]
    labels[-1], probabilities[-1] = "rare", np.nan
    classes = ("pose 0", "pose 1", "pose 2")
    evidence = known(
        300, np.zeros((300, 8), np.uint64), labels, probabilities=lambda rows: (classes, probabilities[rows])
    )
    found = Mislabelled().judge(evidence, np.arange(300))
    assert np.flatnonzero(found.flagged).tolist() == list(range(6))
    assert f"sure of pose {truth[0]}" in found.reasons[0]
    assert np.isnan(found.values[-1])


def test_a_look_at_what_is_no_file_says_so(tmp_path: Path) -> None:
    assert look(tmp_path / "none.jpg").problem == "unreadable"
    assert look(tmp_path).reason == "it is not a regular file"
