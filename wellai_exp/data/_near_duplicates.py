"""Photographs that are the same but for size, compression or a mirror."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
HashArray = npt.NDArray[np.uint64]

# A 16 x 16 block of frequencies: 256 bits, kept as 4 words of 64.
WORDS = 4
_SIDE = 16
_GREY = 64
# Distances of one block of rows against all others, so that memory does not grow with the square of the rows.
_CELLS = 4_000_000


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
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(hashes):
        return np.zeros(0, np.int64)
    both, inverse = np.unique(np.hstack([hashes, mirrored]), axis=0, return_inverse=True)
    n = len(both)
    component = np.arange(n)
    for one, other, _ in _near_blocks(both, threshold):
        # Merging after each block keeps no more pairs than one block has.
        ends = np.concatenate([one, np.arange(n)]), np.concatenate([other, component])
        component = connected_components(coo_array((np.ones(len(ends[0]), bool), ends), (n, n)), directed=False)[1]
        # The first member stands for its group, so that the next block can link to it by index.
        component = np.unique(component, return_index=True)[1][component]
    return _renumber(component[inverse.ravel()].astype(np.int64))


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
    step = max(1, _CELLS // len(other))
    for start in range(0, len(plain), step):
        rows = slice(start, start + step)
        bits = bits_apart((plain[rows], flipped[rows]), (other, mirrored))
        best = bits.argmin(axis=1)
        nearest[rows] = np.where(bits[np.arange(len(best)), best] <= threshold, best, -1)
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
        One row and the other, the first before the second, and the bits between them.
    """
    blocks = [*_near_blocks(np.hstack([hashes, mirrored]), threshold)] if len(hashes) else []
    one, other, bits = (
        np.concatenate([block[part] for block in blocks]) if blocks else np.zeros(0, np.int64) for part in range(3)
    )
    forward = one < other
    return one[forward], other[forward], bits[forward]


def _near_blocks(both: HashArray, threshold: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Give the near pairs of a block of rows after the other, each row with itself and with those after its block."""
    plain, flipped = both[:, :WORDS], both[:, WORDS:]
    step = max(1, _CELLS // len(both))
    for start in range(0, len(both), step):
        rows = slice(start, start + step)
        bits = bits_apart((plain[rows], flipped[rows]), (plain[start:], flipped[start:]))
        one, other = np.nonzero(bits <= threshold)
        yield one + start, other + start, bits[one, other].astype(np.int64)


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
    bits = _distance(one[0], other[0])
    # Both ways, because the median of a picture's mirror image differs from its own in a bit or so.
    np.minimum(bits, _distance(one[0], other[1]), out=bits)
    np.minimum(bits, _distance(one[1], other[0]), out=bits)
    return bits


def _distance(left: HashArray, right: HashArray) -> npt.NDArray[np.uint16]:
    """Count differing bits, shape (len(left), len(right))."""
    total = np.zeros((len(left), len(right)), np.uint16)
    for word in range(WORDS):
        total += np.bitwise_count(left[:, word, None] ^ right[None, :, word])
    return total
