"""Which files show the same photograph: what the checks of duplicates share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import Check, IntArray
from wellai_exp.cleaning._evidence import Evidence
from wellai_exp.data import bits_apart


@dataclass(frozen=True)
class Alike(Check):
    """A check of groups of files that show the same photograph: resized, recompressed, mirrored, lightly edited.

    Perceptual hashes that differ in a few bits are the same photograph. Where they differ in more, the pictures'
    embeddings must agree; where there are no embeddings, such pairs are not joined. Groups are closed: where a is like
    b and b like c, all three are one.

    Parameters
    ----------
    sure : int
        Bits, of 255, up to which two hashes are the same photograph.
    borderline : int
        Bits beyond `sure` up to which embeddings are asked.
    similarity : float
        Cosine of two embeddings that confirms a borderline pair.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "sure": (0, 80),
        "borderline": (0, 100),
        "similarity": (-1.0, 1.0),
    }

    sure: int = 40
    borderline: int = 64
    similarity: float = 0.92

    def groups(self, evidence: Evidence, rows: IntArray) -> IntArray:
        """Give the group of each of k files, int64 [k], numbered from 0."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        one, other, _ = self.pairs(evidence, rows)
        ends = (np.searchsorted(rows, one), np.searchsorted(rows, other))
        shape = (len(rows), len(rows))
        graph = coo_array((np.ones(len(one), bool), ends), shape)
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)

    def pairs(self, evidence: Evidence, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Give the pairs among some files that show the same photograph, and the bits between their hashes."""
        one, other, bits = evidence.near_pairs(max(self.sure, self.borderline))
        # A pair of copies stands in for its twin where the first of several equal ones is no longer among the rows.
        one, other, bits = _restored(evidence, rows, one, other, bits)
        same = bits <= self.sure
        unsure = np.flatnonzero(~same)
        if evidence.features is not None and len(unsure):
            same[unsure] = _cosines(evidence, one[unsure], other[unsure]) >= self.similarity
        return one[same], other[same], bits[same]


def best_first(evidence: Evidence, rows: IntArray) -> IntArray:
    """Order files so that the copy to keep comes first: pinned by the user, then largest, then first by path."""
    frame = evidence.frame.iloc[rows]
    area = (frame["width"] * frame["height"]).to_numpy(np.int64)
    order = sorted(
        range(len(rows)), key=lambda place: (not evidence.pinned[rows[place]], -area[place], frame["path"].iloc[place])
    )
    return rows[order]


def bits_between(evidence: Evidence, one: int, other: int) -> int:
    """Count the bits that two pictures' hashes differ in, one of them perhaps mirrored."""
    left, right = (np.split(evidence.hashes[[row]], 2, axis=1) for row in (one, other))
    return int(bits_apart((left[0], left[1]), (right[0], right[1]))[0, 0])


def _restored(
    evidence: Evidence, rows: IntArray, one: IntArray, other: IntArray, bits: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Let another picture of the same hash stand for one that is not among the rows, and drop what is left out."""
    pictured = rows[(evidence.frame["width"].to_numpy()[rows] > 0)]
    place: dict[bytes, int] = {}
    for row in pictured:
        place.setdefault(evidence.hashes[row].tobytes(), int(row))
    among = np.zeros(len(evidence), bool)
    among[rows] = True
    missing = np.unique(np.concatenate([one, other])[~among[np.concatenate([one, other])]])
    stands = np.arange(len(evidence))
    for row in missing:
        stands[row] = place.get(evidence.hashes[row].tobytes(), -1)
    one, other = stands[one], stands[other]
    kept = (one >= 0) & (other >= 0) & (one != other)
    kept[kept] &= among[one[kept]] & among[other[kept]]
    return one[kept], other[kept], bits[kept]


def _cosines(evidence: Evidence, one: IntArray, other: IntArray) -> npt.NDArray[np.float64]:
    if evidence.features is None:
        raise ValueError("There are no features to compare.")
    asked, place = np.unique(np.concatenate([one, other]), return_inverse=True)
    features = evidence.features(asked).astype(np.float64)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    left, right = np.split(place, 2)
    return np.asarray((features[left] * features[right]).sum(axis=1))
