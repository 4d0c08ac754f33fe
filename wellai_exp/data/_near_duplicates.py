"""Photographs that are the same but for size, compression or a mirror."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wellai_exp.data._remembered import remembered

IntArray = npt.NDArray[np.int64]
HashArray = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]

# A 16 x 16 block of frequencies: 256 bits, kept as 4 words of 64.
WORDS = 4
_SIDE = 16
_GREY = 64
_BITS = _SIDE * _SIDE
# Distances are found block by block, so that memory does not grow with the square of the rows.
_BLOCK = 1024
# Of so many pairs of a block one has to remain for products of the whole block to cost less than counting pair by pair.
_MANY = 64
# Raised whenever the same hashes would be grouped otherwise.
_VERSION = 2


def perceptual_hash(grey: npt.NDArray[np.uint8]) -> tuple[HashArray, HashArray]:
    """Hash what a picture shows, and what its mirror image shows.

    The grey picture is shrunk to 64 x 64, and each of the 16 x 16 lowest frequencies of its cosine transform gives one
    bit: whether it lies above their median (Zauner, "Implementation and benchmarking of perceptual image hash
    functions", 2010, the DCT hash, with 256 bits for its 64). The constant term says only how bright the picture is,
    so its bit is always 0.

    Parameters
    ----------
    grey : array of uint8, shape (height, width)
        Grey levels.

    Returns
    -------
    tuple of two arrays of uint64, each of shape (4,)
        The hash of the picture and of its mirror image.
    """
    import cv2

    small = cv2.resize(grey, (_GREY, _GREY), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _bits(small), _bits(np.ascontiguousarray(small[:, ::-1]))


def _bits(small: npt.NDArray[np.float32]) -> HashArray:
    import cv2

    block = np.asarray(cv2.dct(small))[:_SIDE, :_SIDE].ravel()
    bits = block > np.median(block[1:])
    bits[0] = False
    return np.packbits(bits).view(np.uint64)


def _renumber(groups: npt.NDArray[np.int64]) -> IntArray:
    """Give groups new numbers, 0, 1, …, in the order in which they first appear."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def exact_groups(sha256: Sequence[str]) -> IntArray:
    """Group files with the same bytes.

    Returns
    -------
    array of int64, shape (n,)
        The group of each file, numbered in order of appearance.
    """
    if not len(sha256):
        return np.zeros(0, np.int64)
    return _renumber(np.unique(np.asarray(sha256), return_inverse=True)[1].astype(np.int64))


def near_duplicate_groups(hashes: HashArray, mirrored: HashArray, threshold: int) -> IntArray:
    """Group pictures whose hashes, one of them perhaps mirrored, differ in at most `threshold` bits.

    Groups are closed under the relation: where a is like b and b like c, all three are one group.

    Parameters
    ----------
    hashes, mirrored : array of uint64, shape (n, 4)
        What `perceptual_hash` gave for each picture.
    threshold : int
        Bits, of 255. Pictures of different things differ in about 128.

    Returns
    -------
    array of int64, shape (n,)
        The group of each picture, numbered in order of appearance.
    """
    if not len(hashes):
        return np.zeros(0, np.int64)
    both, inverse = np.unique(np.hstack([hashes, mirrored]), axis=0, return_inverse=True)
    component = np.arange(len(both))
    waiting: list[tuple[IntArray, IntArray]] = []
    held = 0
    for one, other, _ in _near_blocks(both, threshold):
        waiting.append((one, other))
        held += len(one)
        # Merging now and then keeps few more pairs than one block may have.
        if held > _BLOCK * _BLOCK:
            component, waiting, held = _merged(component, waiting), [], 0
    return _renumber(_merged(component, waiting)[inverse.ravel()])


def _merged(component: IntArray, links: list[tuple[IntArray, IntArray]]) -> IntArray:
    """Join components by links; each is known by its first member, so that more links can follow."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(component)
    parts = [*links, (np.arange(n), component)]
    ends = tuple(np.concatenate([part[side] for part in parts]) for side in (0, 1))
    joined = connected_components(coo_array((np.ones(len(ends[0]), bool), ends), (n, n)), directed=False)[1]
    return np.asarray(np.unique(joined, return_index=True)[1][joined], np.int64)


def remembered_groups(hashes: HashArray, mirrored: HashArray, threshold: int, store: Path) -> IntArray:
    """Give `near_duplicate_groups`, found once for the same pictures: the time it takes grows with their square.

    Parameters
    ----------
    hashes, mirrored, threshold
        As `near_duplicate_groups` takes them.
    store : Path
        The experiment's store; what was found lies in its ``twins`` folder.

    Raises
    ------
    StoreError
        Where the store cannot be written.
    """
    return remembered(
        store / "twins",
        f"{_VERSION} {threshold}",
        [np.hstack([hashes, mirrored])],
        lambda: near_duplicate_groups(hashes, mirrored, threshold),
        "The near-duplicates",
    )


def nearest_twins(
    pictures: tuple[HashArray, HashArray], others: tuple[HashArray, HashArray], threshold: int
) -> IntArray:
    """Find the nearest near-duplicate of each picture among others.

    Parameters
    ----------
    pictures, others : tuple of two arrays of uint64, each of shape (n, 4) and (m, 4)
        What `perceptual_hash` gave for each, and for its mirror image.
    threshold : int
        How many bits of 255 two hashes, one of them perhaps mirrored, may differ in.

    Returns
    -------
    array of int64, shape (n,)
        The row among the others; -1 where none is near enough.
    """
    (plain, flipped), (other, mirrored) = pictures, others
    nearest = np.full(len(plain), -1, np.int64)
    if not len(other):
        return nearest
    for top in range(0, len(plain), _BLOCK):
        rows = slice(top, top + _BLOCK)
        own = _signs(plain[rows]), _signs(flipped[rows])
        most = np.full(len(own[0]), _BITS - 2 * threshold - 1, np.float32)
        for left in range(0, len(other), _BLOCK):
            columns = slice(left, left + _BLOCK)
            alike = _likeness(own, (_signs(other[columns]), _signs(mirrored[columns])))
            best = alike.argmax(axis=1)
            value = alike[np.arange(len(best)), best]
            nearest[rows] = np.where(value > most, best + left, nearest[rows])
            most = np.maximum(most, value)
    return nearest


def hash_texts(hashes: HashArray, mirrored: HashArray) -> list[str]:
    """Write hashes, shape (n, 4) each, as text that a table holds: 128 hexadecimal digits a picture."""
    rows = np.ascontiguousarray(np.hstack([hashes, mirrored]), dtype=">u8")
    return [row.tobytes().hex() for row in rows]


def hashes_of(texts: Sequence[str]) -> tuple[HashArray, HashArray]:
    """Read what `hash_texts` wrote."""
    rows = np.frombuffer(bytes.fromhex("".join(texts)), ">u8").astype(np.uint64).reshape(-1, 2 * WORDS)
    return np.ascontiguousarray(rows[:, :WORDS]), np.ascontiguousarray(rows[:, WORDS:])


def near_pairs(hashes: HashArray, mirrored: HashArray, threshold: int) -> tuple[IntArray, IntArray, IntArray]:
    """Give the pairs of pictures whose hashes, one of them perhaps mirrored, differ in at most `threshold` bits.

    Parameters
    ----------
    hashes, mirrored : array of uint64, shape (n, 4)
        What `perceptual_hash` gave for each picture; no two alike in both, or there are as many pairs as n².
    threshold : int
        Bits, of 255.

    Returns
    -------
    tuple of three arrays of int64, each of shape (m,)
        One row and the other, the first before the second, and the bits between them; sorted by the rows.
    """
    blocks = [*_near_blocks(np.hstack([hashes, mirrored]), threshold)] if len(hashes) else []
    one, other, bits = (
        np.concatenate([block[part] for block in blocks]) if blocks else np.zeros(0, np.int64) for part in range(3)
    )
    order = np.lexsort((other, one))
    return one[order], other[order], bits[order]


def _near_blocks(both: HashArray, threshold: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Give the near pairs of a block of rows with another, block after block, each pair once, the first row first.

    A mirror turns the sign of every other horizontal frequency and leaves the rest, so that on half of the bits a
    picture, its mirror image and theirs are told apart by one product. Pictures of different things differ there in 64
    of 128 bits: few pairs remain to be counted in full; where many pictures of a block are alike, three products more
    say of all which are. The medians of a picture and of its mirror image may part, by which their shared bits differ;
    that is allowed for, and as the worst of a block decides how many pairs of it remain, like stand with like.
    """
    kept = _signs(both[:, :WORDS])[:, ::2]
    parted = (kept != _signs(both[:, WORDS:])[:, ::2]).sum(axis=1)
    place = np.argsort(parted, kind="stable")
    kept, parted = np.ascontiguousarray(kept[place]), parted[place]
    plain, flipped = both[place, :WORDS], both[place, WORDS:]
    for top in range(0, len(both), _BLOCK):
        rows = slice(top, top + _BLOCK)
        for left in range(top, len(both), _BLOCK):
            columns = slice(left, left + _BLOCK)
            # They are sorted by it, so that the last of the columns has parted most.
            allowed = threshold + parted[columns][-1]
            alike = kept[rows] @ kept[columns].T
            found = np.flatnonzero(alike >= kept.shape[1] - 2 * allowed)
            if _MANY * len(found) > alike.size:
                apart = bits_apart((plain[rows], flipped[rows]), (plain[columns], flipped[columns]))
                found = np.flatnonzero(apart <= threshold)
            one, other = np.divmod(found, alike.shape[1])
            one, other = one + top, other + left
            # A block has each of its own pairs twice, and each row with itself.
            one, other = one[one < other], other[one < other]
            bits = _pairs_apart(plain, flipped, one, other)
            near = bits <= threshold
            ends = np.sort(place[np.stack([one[near], other[near]])], axis=0)
            yield ends[0], ends[1], bits[near]


def _pairs_apart(plain: HashArray, flipped: HashArray, one: IntArray, other: IntArray) -> IntArray:
    """Count the bits between the pictures of each pair, one of them perhaps mirrored."""
    # Both ways, because the median of a picture's mirror image differs from its own in a bit or so.
    ways = ((plain, plain), (plain, flipped), (flipped, plain))
    counts = [np.bitwise_count(left[one] ^ right[other]).sum(axis=1, dtype=np.int64) for left, right in ways]
    return np.asarray(np.minimum.reduce(counts), np.int64)


def bits_apart(one: tuple[HashArray, HashArray], other: tuple[HashArray, HashArray]) -> npt.NDArray[np.uint16]:
    """Count the bits between pictures, one of a pair perhaps mirrored.

    Parameters
    ----------
    one, other : tuple of two arrays of uint64, each of shape (n, 4) and (m, 4)
        What `perceptual_hash` gave for each, and for its mirror image.

    Returns
    -------
    array of uint16, shape (n, m)
    """
    return _apart(_likeness((_signs(one[0]), _signs(one[1])), (_signs(other[0]), _signs(other[1]))))


def _signs(hashes: HashArray) -> Floats:
    """Give each bit as -1 or 1, shape (n, 256)."""
    return np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8), axis=1).astype(np.float32) * 2.0 - 1.0


def _likeness(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Give how many bits more agree than differ, shape (n, m): products use every core, as `xor` does not."""
    alike = one[0] @ other[0].T
    # Both ways, because the median of a picture's mirror image differs from its own in a bit or so.
    np.maximum(alike, one[0] @ other[1].T, out=alike)
    np.maximum(alike, one[1] @ other[0].T, out=alike)
    return alike


def _apart(alike: Floats) -> npt.NDArray[np.uint16]:
    return ((_BITS - alike) / 2).astype(np.uint16)
