"""Ways in which a file may be other than it was written, each drawn from a seed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

KINDS = ("flip", "truncate", "zero", "swap")


def flip(path: Path, rng: np.random.Generator, _others: Sequence[Path]) -> None:
    """Turn one bit over."""
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    path.write_bytes(data)


def truncate(path: Path, rng: np.random.Generator, _others: Sequence[Path]) -> None:
    """Lose the end, or all of it."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(len(data))])


def zero(path: Path, rng: np.random.Generator, _others: Sequence[Path]) -> None:
    """Have a stretch read as zeros, as a file system does with blocks that a power cut kept from the disk."""
    data = bytearray(path.read_bytes())
    filled = np.flatnonzero(np.frombuffer(bytes(data), np.uint8))
    start = int(rng.choice(filled))
    end = min(len(data), start + int(rng.integers(1, 4096)))
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


def swap(path: Path, rng: np.random.Generator, others: Sequence[Path]) -> None:
    """Put a whole file of the same kind in its place."""
    shutil.copyfile(others[int(rng.integers(len(others)))], path)


DAMAGES: dict[str, Callable[[Path, np.random.Generator, Sequence[Path]], None]] = {
    "flip": flip,
    "truncate": truncate,
    "zero": zero,
    "swap": swap,
}


def injure(path: Path, kind: str, seed: int, others: Sequence[Path]) -> bool:
    """Damage a file; gives whether its bytes are others now."""
    before = path.read_bytes()
    DAMAGES[kind](path, np.random.default_rng(seed), others)
    return path.read_bytes() != before
