"""Seeds derived from names, so that no two uses of one seed share a stream."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *names: object) -> int:
    """Give a 31-bit seed for a named use of `seed`.

    Parameters
    ----------
    seed : int
        The experiment's seed.
    *names : object
        What the seed is for; their ``str`` decides, so order and spelling matter.

    Returns
    -------
    int
        In ``[0, 2**31)``, the range that every library here accepts.
    """
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF


def generator(seed: int, *names: object) -> np.random.Generator:
    """Give NumPy's generator for a named use of `seed`."""
    return np.random.default_rng(derive_seed(seed, *names))
