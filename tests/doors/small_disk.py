"""A small disk of its own, to be filled, made read-only and taken away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

FILLER = ".filler"


@dataclass(frozen=True)
class Disk:
    """A mounted tmpfs.

    Parameters
    ----------
    root : Path
        Where it is mounted.
    size : int
        Bytes.
    """

    root: Path
    size: int

    def leave(self, free: int) -> None:
        """Fill it up until so many bytes are free."""
        filler = self.root / FILLER
        filler.unlink(missing_ok=True)
        status = subprocess.run(
            ["stat", "-f", "-c", "%a %S", str(self.root)], check=True, capture_output=True, text=True
        )
        blocks, block = (int(word) for word in status.stdout.split())
        with filler.open("wb") as handle:
            handle.write(bytes(max(0, blocks * block - free)))

    def clear(self) -> None:
        """Free it again."""
        (self.root / FILLER).unlink(missing_ok=True)

    def remount(self, how: str) -> None:
        """Make it ``ro`` or ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.root)], check=True)


@contextmanager
def mounted(root: Path, size: int = 8 * 2**20) -> Iterator[Disk]:
    """Mount a small disk; the test is skipped where this user may not."""
    root.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(root)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(root, size)
    finally:
        subprocess.run(["umount", "-l", str(root)], check=False)
