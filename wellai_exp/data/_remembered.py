"""Whole numbers that took long to find, kept in the experiment's store for the next who asks for the same."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wellai_exp.paths import write_whole

_LOG = logging.getLogger("wellai_exp.data")

IntArray = npt.NDArray[np.int64]


def remembered(
    room: Path, asked: str, given: Sequence[npt.NDArray[np.generic]], find: Callable[[], IntArray], what: str
) -> IntArray:
    """Give what `find` gives, from `room` where it was found before.

    Parameters
    ----------
    room : Path
        A folder of the experiment's store.
    asked : str
        What is looked for; anything that changes the answer and is not in `given`, its method's version included.
    given : sequence of array
        What it is found from, the first of length n.
    find : callable
        Gives int64 [n].
    what : str
        Its name, where a file is damaged.

    Returns
    -------
    array of int64, shape (n,)

    Raises
    ------
    StoreError
        Where the store cannot be written.
    """
    key = hashlib.sha256(f"{asked} {len(given[0])} ".encode())
    for array in given:
        key.update(np.ascontiguousarray(array).tobytes())
    cache = room / f"{key.hexdigest()[:24]}.npz"
    if (known := _read(cache, len(given[0]), what)) is not None:
        return known
    found = find()
    with write_whole(cache) as beside, beside.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, numbers=found, seal=_seal(found))
    return found


def _read(cache: Path, n: int, what: str) -> IntArray | None:
    """Read numbers; None where there are none, or damaged ones."""
    if not cache.exists():
        return None
    try:
        with np.load(cache, allow_pickle=False) as stored:
            numbers, seal = np.asarray(stored["numbers"], np.int64), stored["seal"]
        if numbers.shape != (n,) or seal.tobytes() != _seal(numbers).tobytes():
            raise ValueError("it is not as it was written")
    except Exception as error:  # a flipped bit can raise almost anything, and all can be found again
        _LOG.warning("%s in %s are damaged (%s); they are looked for again.", what, cache, error)
        return None
    return numbers


def _seal(numbers: IntArray) -> npt.NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(numbers.tobytes()).digest(), np.uint8)
