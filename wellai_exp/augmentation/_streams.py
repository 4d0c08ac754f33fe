"""Seeds as tensors, so that random layers become pure functions of (image, seed)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class SeedStream(keras.random.SeedGenerator):  # type: ignore[misc]
    """A seed generator without a variable: draw number i gives ``[a, b + i]`` for a seed tensor ``[a, b]``.

    Keras' own generator keeps its count in a variable, so what a layer draws depends on every call before. Here
    the count is a Python number that `restart` sets to zero, so a traced graph draws the same numbers for the same
    seed, whatever ran before it. Keras' random functions take any ``SeedGenerator`` (``keras.random.draw_seed``).
    """

    def __init__(self) -> None:
        self.name = "seed_stream"
        self.backend = keras.backend
        self._initial_seed = None
        self._pair: Any = None
        self._count = 0

    def restart(self, pair: Any) -> SeedStream:
        """Begin again at draw 0 of the seed tensor `pair`, integers of shape ``[2]``."""
        self._pair = keras.ops.cast(pair, "int64")
        self._count = 0
        return self

    def next(self, ordered: bool = True) -> Any:
        """Give the next seed, int64 of shape ``[2]``."""
        step = np.array([0, self._count], dtype="int64")
        self._count += 1
        return self._pair + step


def seed_pair(seed: Any) -> Any:
    """Turn a whole number, a Keras seed generator or an integer tensor (scalar or ``[2]``) into int64 ``[2]``."""
    if isinstance(seed, keras.random.SeedGenerator):
        return keras.ops.cast(seed.next(), "int64")
    if isinstance(seed, int | np.integer):
        return keras.ops.convert_to_tensor([int(seed) & 0x7FFFFFFF, (int(seed) >> 31) & 0x3FFFFFFF], dtype="int64")
    tensor = keras.ops.cast(seed, "int64")
    return keras.ops.stack([tensor, keras.ops.zeros_like(tensor)]) if len(tensor.shape) == 0 else tensor


def image_seeds(purpose: str, keys: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Give one seed for each image's key, ``[N, 2]``: SHA-256 of purpose and key, 60 bits of it."""
    rows = [hashlib.sha256(f"{purpose}\x1f{key}".encode()).digest()[:8] for key in keys]
    words = np.frombuffer(b"".join(rows), dtype=">u4").reshape(len(keys), 2)
    # The top bits are free so that adding a draw's number never overflows.
    return (words & 0x3FFFFFFF).astype(np.int32)


def attach(layer: Any, stream: SeedStream) -> None:
    """Let a Keras layer, and every layer inside it, draw from `stream`."""
    for inner in layer._flatten_layers():
        if hasattr(inner, "generator"):
            inner.generator = stream
