"""One shard of rows on disk: an array, and beside it a sidecar that says whose rows they are and their hash."""

from __future__ import annotations

import errno
import json
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import StoreError
from wellai_exp.paths import sealed, sha256_of, unsealed, write_whole

Array = npt.NDArray[Any]

_NAME = re.compile(r"(\d{6,})\.(npy|json)")
# A file changed twice within one tick of the file system's clock keeps its time: remember no hash of so new a file.
_SETTLED_NS = 2_000_000_000

_hashes: dict[tuple[str, int, int, int], str] = {}
_hashes_lock = threading.Lock()


class DamagedShardError(Exception):
    """A shard that must be made again; the message says why."""


@dataclass(frozen=True)
class Shard:
    """What a sidecar says of its array.

    Parameters
    ----------
    path : Path
        The array, ``<n>.npy``.
    keys : list of str
        The image's hash for each row.
    dim : int
        Numbers of an image.
    sha256 : str
        Of the array's file.
    description : str
        Backbone and view, for people.
    """

    path: Path
    keys: list[str]
    dim: int
    sha256: str
    description: str

    def open(self, dtype: np.dtype[Any]) -> Array:
        """Map the array, once its hash is known to be right.

        Parameters
        ----------
        dtype : numpy.dtype
            What its numbers must be.

        Returns
        -------
        numpy.ndarray
            `dtype` [rows, dim], memory-mapped and read-only.

        Raises
        ------
        DamagedShardError
            Where the file is missing or not what was written.
        StoreError
            Where it cannot be read for a reason that making it again would not mend.
        """
        try:
            if _hash_once(self.path) != self.sha256:
                raise DamagedShardError("its hash is not the one noted when it was written")
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise DamagedShardError(str(error)) from error
        except OSError as error:
            raise _judged(error, self.path) from error
        if array.dtype != dtype or array.shape != (len(self.keys), self.dim):
            raise DamagedShardError(f"it holds {array.dtype} {array.shape}, not {dtype} {(len(self.keys), self.dim)}")
        # A plain view of the same mapping: indexing np.memmap itself costs Python calls for each access.
        return np.asarray(array)


def scan(folder: Path) -> tuple[list[Shard], dict[Path, str]]:
    """Read every sidecar of a folder; no array is opened.

    Returns
    -------
    shards : list of Shard
        In the order in which they were written.
    damaged : dict of Path to str
        The array of each shard whose sidecar is missing or wrong, and why.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    shards: list[Shard] = []
    damaged: dict[Path, str] = {}
    for stem in sorted({match[1] for name in names if (match := _NAME.fullmatch(name))}, key=int):
        path = folder / f"{stem}.npy"
        if path.name not in names:
            damaged[path] = "its array is missing"
            continue
        try:
            shards.append(_read_sidecar(path))
        except DamagedShardError as error:
            damaged[path] = str(error)
    return shards, damaged


def next_number(folder: Path) -> int:
    """Give a number that no file of the folder bears."""
    used = [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return max(used, default=-1) + 1


def write_shard(path: Path, keys: Sequence[str], rows: Array, description: str) -> None:
    """Write a shard's array and, last, the sidecar that makes it count.

    Raises
    ------
    StoreError
        Where the disk is full or the folder cannot be written; then nothing of the shard remains.
    """
    sidecar = path.with_suffix(".json")
    try:
        with write_whole(path) as beside:
            np.save(beside, rows, allow_pickle=False)
            sha256 = sha256_of(beside)
        body = {
            # A shard moved here from another space would pass for features of this one.
            "space": path.parent.name,
            "description": description,
            "dim": rows.shape[1],
            "rows": len(rows),
            "sha256": sha256,
            "keys": [*keys],
        }
        with write_whole(sidecar) as beside:
            beside.write_text(json.dumps(sealed(body)), encoding="utf-8")
    except BaseException:
        remove_shard(path)
        raise


def remove_shard(path: Path) -> None:
    """Remove a shard's array and sidecar; the sidecar first, so that a kill in between leaves no claim.

    Raises
    ------
    StoreError
        Where they cannot be removed.
    """
    try:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be removed ({error.strerror}); remove it and type the same command."
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files of a killed process; only the holder of the folder's lock may."""
    for path in folder.glob(".*"):
        if path.suffix in {".npy", ".json"}:
            with suppress(OSError):
                path.unlink()


def _read_sidecar(path: Path) -> Shard:
    try:
        body = unsealed(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
    except ValueError as error:
        raise DamagedShardError(f"its sidecar cannot be read ({error})") from error
    except OSError as error:
        raise _judged(error, path.with_suffix(".json")) from error
    if body.get("space") != path.parent.name:
        raise DamagedShardError(f"it was written for {body.get('space')}")
    try:
        return Shard(path, body["keys"], body["dim"], body["sha256"], body["description"])
    except KeyError as error:
        raise DamagedShardError(f"its sidecar has no {error}") from error


def _judged(error: OSError, path: Path) -> Exception:
    """Tell a file that is lost from one that is only out of reach (no permission, too many open files)."""
    if error.errno in {errno.ENOENT, errno.EIO}:
        return DamagedShardError(f"{path.name}: {error.strerror}")
    return StoreError(f"{path} cannot be read ({error.strerror or error}); mend that and type the same command.")


def _hash_once(path: Path) -> str:
    """Hash a file, at most once in this process for each (path, inode, size, time of change)."""
    stat = path.stat()
    known = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)
    with _hashes_lock:
        if known in _hashes:
            return _hashes[known]
    sha256 = sha256_of(path)
    if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
        with _hashes_lock:
            _hashes[known] = sha256
    return sha256
