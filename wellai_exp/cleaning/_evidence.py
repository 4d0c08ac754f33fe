"""All that checks may ask about the files: what was seen in each, and what models say of their pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.data import near_pairs

IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[np.float32]
Ask = Callable[[IntArray], Array]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of n files.

    Parameters
    ----------
    frame : DataFrame, n rows
        ``path``, ``label``, and the columns of `Looks.frame`.
    hashes : array of uint64, shape (n, 8)
        Perceptual hash of each picture, then that of its mirror image.
    pinned : array of bool, shape (n,)
        Files that the user keeps, whatever the checks say.
    features : callable, optional
        Maps k row indices to the pictures' embeddings, float32 [k, D]; None where no backbone has weights.
    probabilities : callable, optional
        Maps k row indices to (classes, float32 [k, C]): class names and out-of-fold probabilities, rows of NaN where a
        class is too small for that.
    person_scores : callable, optional
        Maps k row indices to how surely a person is in view, float32 [k].
    """

    frame: pd.DataFrame
    hashes: npt.NDArray[np.uint64]
    pinned: npt.NDArray[np.bool_]
    features: Ask | None = None
    probabilities: Callable[[IntArray], tuple[tuple[str, ...], Array]] | None = None
    person_scores: Ask | None = None
    _pairs: dict[int, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not len(self.frame) == len(self.hashes) == len(self.pinned):
            raise ValueError("Each file has facts, hashes, and is pinned or not.")

    def __len__(self) -> int:
        return len(self.frame)

    def near_pairs(self, bits: int) -> tuple[IntArray, IntArray, IntArray]:
        """Give the pairs of pictures whose hashes are at most so many bits apart, see `wellai_exp.data.near_pairs`.

        Pictures with equal hashes are paired with the first of them alone, or a thousand copies would be half a
        million pairs.
        """
        if bits not in self._pairs:
            pictured = np.flatnonzero((self.frame["width"] > 0).to_numpy())
            hashes, first, place = np.unique(self.hashes[pictured], axis=0, return_index=True, return_inverse=True)
            one, other, between = near_pairs(hashes[:, :4], hashes[:, 4:], bits)
            stands_for = pictured[first][place.ravel()]
            copies = np.flatnonzero(stands_for != pictured)
            self._pairs[bits] = (
                np.concatenate([pictured[first[one]], stands_for[copies]]),
                np.concatenate([pictured[first[other]], pictured[copies]]),
                np.concatenate([between, np.zeros(len(copies), np.int64)]),
            )
        found: tuple[IntArray, IntArray, IntArray] = self._pairs[bits]
        return found
