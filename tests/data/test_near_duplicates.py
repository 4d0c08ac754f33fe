"""Grouping by perceptual hash, against a plain double loop."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.data import _near_duplicates
from wellai_exp.data._near_duplicates import (
    HashArray,
    exact_groups,
    hash_texts,
    hashes_of,
    near_duplicate_groups,
    nearest_twins,
    perceptual_hash,
    remembered_groups,
)


def _bits(a: HashArray, b: HashArray) -> int:
    return sum(bin(int(x) ^ int(y)).count("1") for x, y in zip(a, b, strict=True))


def _by_hand(hashes: HashArray, mirrored: HashArray, threshold: int) -> list[int]:
    """Group by a double loop and a flood."""
    n = len(hashes)
    group = [-1] * n
    for start in range(n):
        if group[start] >= 0:
            continue
        number = max(group) + 1
        group[start] = number
        stack = [start]
        while stack:
            i = stack.pop()
            for j in range(n):
                near = min(_bits(hashes[i], hashes[j]), _bits(hashes[i], mirrored[j]), _bits(mirrored[i], hashes[j]))
                if group[j] < 0 and near <= threshold:
                    group[j] = number
                    stack.append(j)
    return group


def _cloud(seed: int, n: int) -> tuple[HashArray, HashArray]:
    """Give hashes of which some are a few bits from another's, or from another's mirror image."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (n, 4), np.uint64)
    mirrored = rng.integers(0, 2**64, (n, 4), np.uint64)
    for row in range(1, n):
        other = int(rng.integers(row))
        flips = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 64, (int(rng.integers(1, 8)), 4), np.uint64))
        kind = rng.integers(3)
        if kind:
            hashes[row] = (hashes if kind == 1 else mirrored)[other] ^ flips
    return hashes, mirrored


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 24),
    threshold=st.integers(0, 40),
    block=st.integers(1, 9),
    many=st.sampled_from([0, 10**9]),
)
def test_groups_equal_those_of_a_double_loop_in_blocks_of_any_size(
    seed: int, n: int, threshold: int, block: int, many: int
) -> None:
    hashes, mirrored = _cloud(seed, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_near_duplicates, "_BLOCK", block)
        # Pair by pair, or by products of whole blocks wherever there is a pair.
        patch.setattr(_near_duplicates, "_MANY", many)
        found = near_duplicate_groups(hashes, mirrored, threshold)
    assert found.tolist() == _by_hand(hashes, mirrored, threshold)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 24), threshold=st.integers(0, 40), block=st.integers(1, 9))
def test_the_nearest_twin_among_others_is_that_of_a_double_loop(seed: int, n: int, threshold: int, block: int) -> None:
    hashes, mirrored = _cloud(seed, n)
    part = seed % n
    own, others = (hashes[:part], mirrored[:part]), (hashes[part:], mirrored[part:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_near_duplicates, "_BLOCK", block)
        found = nearest_twins(own, others, threshold)
    assert found.shape == (part,)
    for plain, flipped, twin in zip(*own, found, strict=True):
        bits = [min(_bits(plain, a), _bits(plain, b), _bits(flipped, a)) for a, b in zip(*others, strict=True)]
        assert twin == (bits.index(min(bits)) if min(bits) <= threshold else -1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 9))
def test_hashes_written_as_text_come_back(seed: int, n: int) -> None:
    hashes, mirrored = _cloud(seed, n) if n else (np.zeros((0, 4), np.uint64), np.zeros((0, 4), np.uint64))
    texts = hash_texts(hashes, mirrored)
    assert [len(text) for text in texts] == [128] * n
    for read, written in zip(hashes_of(texts), (hashes, mirrored), strict=True):
        np.testing.assert_array_equal(read, written)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_groups_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    hashes, mirrored = _cloud(seed, 30)
    order = np.random.default_rng(seed).permutation(30)
    plain = near_duplicate_groups(hashes, mirrored, 20)
    shuffled = near_duplicate_groups(hashes[order], mirrored[order], 20)
    np.testing.assert_array_equal(plain[order][:, None] == plain[order], shuffled[:, None] == shuffled)


def test_exact_groups_and_nothing_at_all() -> None:
    assert exact_groups(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    assert exact_groups([]).tolist() == []
    none = np.zeros((0, 4), np.uint64)
    assert near_duplicate_groups(none, none, 40).tolist() == []


def test_the_hash_of_a_mirror_image_is_the_mirrored_hash_and_brightness_does_not_count() -> None:
    grey = np.random.default_rng(0).integers(0, 200, (64, 64), np.uint8)
    plain, mirrored = perceptual_hash(grey)
    flipped, back = perceptual_hash(np.ascontiguousarray(grey[:, ::-1]))
    np.testing.assert_array_equal(flipped, mirrored)
    np.testing.assert_array_equal(back, plain)
    np.testing.assert_array_equal(perceptual_hash(grey + 40)[0], plain)
    assert 90 < _bits(plain, mirrored) < 166


def test_ten_thousand_equal_pictures_do_not_fill_the_memory() -> None:
    hashes = np.ones((10_000, 4), np.uint64)
    assert not near_duplicate_groups(hashes, hashes, 40).any()


@pytest.mark.slow
def test_twenty_thousand_rows_take_less_than_a_minute() -> None:
    rng = np.random.default_rng(0)
    hashes, mirrored = rng.integers(0, 2**64, (2, 20_000, 4), np.uint64)
    start = time.perf_counter()
    groups = near_duplicate_groups(hashes, mirrored, 40)
    assert time.perf_counter() - start < 60
    assert groups.max() == 19_999


@pytest.mark.slow
def test_flipped_and_resized_twins_of_real_photographs_are_found(tmp_path: Path) -> None:
    assets = os.environ.get("WELLAI_ASSETS")
    if not assets:
        pytest.skip("WELLAI_ASSETS names no folder of photographs")
    import cv2

    from wellai_exp.data import ImageFolder, read_image
    from wellai_exp.data._index import index_files

    root = Path(assets) / "data"
    paths = [
        f"{name}/{path}" for name in ("yoga62", "yoga62-dirty") for path in ImageFolder(root / name).listing().paths
    ]
    index = index_files(root, paths, tmp_path)
    good = [row for row, reason in enumerate(index.reason) if not reason]
    index = index.take(good)
    groups = near_duplicate_groups(index.hashes, index.mirrored, 40)
    # An independent judge: the correlation of small colour pictures, mirrored or not.
    small = np.stack(
        [cv2.resize(read_image(root / paths[row]), (24, 24), interpolation=cv2.INTER_AREA) for row in good]
    )

    def unit(pictures: np.ndarray) -> np.ndarray:
        flat = pictures.reshape(len(pictures), -1).astype(np.float32)
        flat -= flat.mean(1, keepdims=True)
        return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6))

    plain, flipped = unit(small), unit(small[:, :, ::-1])
    alike = np.maximum(plain @ plain.T, plain @ flipped.T)
    clean = np.array([paths[row].startswith("yoga62/") for row in good])
    best = alike[:, clean].argmax(1)
    twins = np.flatnonzero(~clean & (alike[:, clean].max(1) > 0.97))
    found = groups[twins] == groups[clean][best[twins]]
    assert len(twins) > 1500
    assert found.mean() >= 0.97
    several = np.flatnonzero(np.bincount(groups) > 1)
    torn = 0
    for group in several:
        rows = np.flatnonzero(groups == group)
        torn += bool((alike[np.ix_(rows, rows)] + np.eye(len(rows)) < 0.85).any())
    assert torn / len(several) < 0.01


def test_groups_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, mirrored = _cloud(3, 40)
    expected = near_duplicate_groups(hashes, mirrored, 20)
    first = remembered_groups(hashes, mirrored, 20, tmp_path)

    def _not_again(*_: object) -> None:
        raise AssertionError("they are known already")

    with monkeypatch.context() as patch:
        patch.setattr(_near_duplicates, "near_duplicate_groups", _not_again)
        again = remembered_groups(hashes, mirrored, 20, tmp_path)
        for other in ((hashes[:-1], mirrored[:-1], 20), (hashes, mirrored, 19), (mirrored, hashes, 20)):
            with pytest.raises(AssertionError, match="known already"):
                remembered_groups(*other, tmp_path)
    for found in (first, again):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("harm", ["cut", "flip", "another's"])
def test_damaged_groups_are_looked_for_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str) -> None:
    hashes, mirrored = _cloud(3, 40)
    expected = remembered_groups(hashes, mirrored, 20, tmp_path)
    (cache,) = (tmp_path / "twins").iterdir()
    whole = cache.read_bytes()
    if harm == "another's":
        remembered_groups(hashes[:20], mirrored[:20], 20, tmp_path)
        (other,) = set((tmp_path / "twins").iterdir()) - {cache}
        cache.write_bytes(other.read_bytes())
    else:
        middle = whole.index(b"numbers.npy") + 60
        flipped = bytes([whole[middle] ^ 255])
        cache.write_bytes(whole[:middle] if harm == "cut" else whole[:middle] + flipped + whole[middle + 1 :])
    np.testing.assert_array_equal(remembered_groups(hashes, mirrored, 20, tmp_path), expected)
    assert "looked for again" in caplog.text
    assert cache.read_bytes() == whole
