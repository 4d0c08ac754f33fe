"""What is in each file: its hash, its size in pixels, and the reason where it cannot be read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wellai_exp.data._base import is_utf8
from wellai_exp.data._near_duplicates import WORDS, HashArray, perceptual_hash
from wellai_exp.data._reader import decode
from wellai_exp.errors import DataError
from wellai_exp.paths import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger("wellai_exp.data")
_MAX_BYTES = 256 * 2**20
# Raised whenever a record of the same bytes would come out otherwise, so that an older cache is rebuilt.
_VERSION = 2
# After so many files the cache may be written, and so many seconds after it was: a killed first run goes on from there.
_BATCH = 1024
_TOLD = 64
_PAUSE_S = 5.0
_NO_HASH = np.zeros(WORDS, np.uint64)


class _Record(NamedTuple):
    """What is known of one file; `width` and `height` in pixels, after any EXIF rotation."""

    bytes: int
    mtime_ns: int
    sha256: str = ""
    width: int = 0
    height: int = 0
    hash: HashArray = _NO_HASH
    mirrored: HashArray = _NO_HASH
    reason: str = ""


@dataclass(frozen=True)
class Index:
    """What is in each of n files.

    Parameters
    ----------
    sha256 : tuple of str
        Of the file's bytes, in hexadecimal.
    bytes, width, height : array of int64, shape (n,)
        The file's size in bytes, the picture's in pixels.
    hashes, mirrored : array of uint64, shape (n, 4)
        Perceptual hashes of the picture and of its mirror image.
    reason : tuple of str
        Why the file cannot be read as a picture; empty where it can.
    """

    sha256: tuple[str, ...]
    bytes: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    hashes: HashArray
    mirrored: HashArray
    reason: tuple[str, ...]

    def take(self, rows: Sequence[int]) -> Index:
        """Give the index of some rows, in the order of `rows`."""
        picked = np.asarray(rows, np.int64)
        return Index(
            tuple(self.sha256[row] for row in rows),
            self.bytes[picked],
            self.width[picked],
            self.height[picked],
            self.hashes[picked],
            self.mirrored[picked],
            tuple(self.reason[row] for row in rows),
        )


def index_files(root: Path, paths: Sequence[str], store: Path) -> Index:
    """Read every file once, and remember what was in it.

    What is remembered counts for as long as the file's size and modification time stay the same.

    Parameters
    ----------
    root : Path
        The folder that `paths` start from.
    paths : sequence of str, length n
        Relative to `root`.
    store : Path
        The experiment's store; the cache lies in its ``index`` folder, one file a root.

    Returns
    -------
    Index
        In the order of `paths`.

    Raises
    ------
    StoreError
        Where the cache cannot be written.
    """
    where = root.resolve()
    key = hashlib.sha256(os.fsencode(where)).hexdigest()[:24]
    cache = store / "index" / f"{key}.npz"
    known = _load(cache, str(where))
    records: dict[str, _Record] = {}
    todo: list[str] = []
    for path in paths:
        size, mtime, reason = _look(where / path, path)
        record = known.get(path)
        if reason:
            records[path] = _Record(size, mtime, reason=reason)
        elif record is not None and (record.bytes, record.mtime_ns) == (size, mtime):
            records[path] = record
        else:
            todo.append(path)
    with _progress(len(todo)) as advance, warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        # Pillow warns of large pictures, which are refused here by their size; the filter is the process's own.
        warnings.simplefilter("ignore")
        pause = _Pause()
        try:
            for start in range(0, len(todo), _BATCH):
                batch = todo[start : start + _BATCH]
                for path, record in zip(batch, pool.map(_measure, [where / path for path in batch]), strict=True):
                    records[path] = record
                    # A file that could not be opened may be there, or be allowed, the next time.
                    if record.sha256:
                        known[path] = record
                    advance()
                pause.unless_early(lambda: _save(cache, str(where), known))
        finally:
            if todo:
                _save(cache, str(where), known)
    return _pack([records[path] for path in paths])


class _Pause:
    """Keeps what costs more the more is known to a tenth of the time, or saving would grow with the square."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._cost = 0.0

    def unless_early(self, save: Callable[[], None]) -> None:
        """Save, unless it was done too short a time ago."""
        started = time.perf_counter()
        if started - self._last >= max(_PAUSE_S, 10.0 * self._cost):
            save()
            self._last = time.perf_counter()
            self._cost = self._last - started


def _pack(records: Sequence[_Record]) -> Index:
    n = len(records)
    return Index(
        tuple(record.sha256 for record in records),
        np.array([record.bytes for record in records], np.int64),
        np.array([record.width for record in records], np.int64),
        np.array([record.height for record in records], np.int64),
        np.array([record.hash for record in records], np.uint64).reshape(n, WORDS),
        np.array([record.mirrored for record in records], np.uint64).reshape(n, WORDS),
        tuple(record.reason for record in records),
    )


def _look(file: Path, path: str) -> tuple[int, int, str]:
    """Give a file's size, its modification time in ns, and the reason why it is not even opened."""
    if not is_utf8(path):
        return 0, 0, "its name is not UTF-8"
    try:
        status = os.stat(file)  # noqa: PTH116 - three times faster than Path.stat
    except FileNotFoundError:
        return 0, 0, "there is no such file"
    except (OSError, ValueError) as error:
        return 0, 0, f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(status.st_mode):
        # Reading a pipe would wait for ever.
        return 0, 0, "it is not a regular file"
    reason = f"it is larger than {_MAX_BYTES // 2**20} MiB" if status.st_size > _MAX_BYTES else ""
    return status.st_size, status.st_mtime_ns, reason


def _measure(file: Path) -> _Record:
    try:
        status = file.stat()
        content = file.read_bytes()
    except OSError as error:
        return _Record(0, 0, reason=f"it cannot be opened ({error.strerror})")
    sha256 = hashlib.sha256(content).hexdigest()
    known = _Record(status.st_size, status.st_mtime_ns, sha256)
    import cv2

    try:
        # The reader itself decides, so that what is indexed as readable is what it can read.
        pixels = decode(content, "it")
    except DataError as error:
        return known._replace(reason=str(error).partition(";")[0])
    height, width = pixels.shape[:2]
    plain, mirrored = perceptual_hash(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return known._replace(width=width, height=height, hash=plain, mirrored=mirrored)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how many images are read a second; nothing where there is little to do or no one to see it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("Reading images"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=False),
        TextColumn("{task.fields[rate]:.0f} images/s"),
        TimeRemainingColumn(),
        console=console,
        disable=total < 200 or not console.is_terminal,
    )
    task = bar.add_task("", total=total, rate=0.0)

    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        # The bar looks through its last thousand updates at each: told of each file it took a quarter of the time.
        if done % _TOLD == 0 or done == total:
            bar.update(task, completed=done, rate=bar.tasks[0].speed or 0.0)

    with bar:
        yield advance


def _save(cache: Path, root: str, records: dict[str, _Record]) -> None:
    names = sorted(records)
    rows = [records[name] for name in names]
    text = {
        "version": _VERSION,
        "root": os.fsencode(root).hex(),
        "rows": [[name, records[name].sha256, records[name].reason] for name in names],
    }
    packed = _pack(rows)
    numbers = np.array([[row.bytes, row.mtime_ns, row.width, row.height] for row in rows], np.int64).reshape(-1, 4)
    arrays: dict[str, npt.NDArray[Any]] = {
        "text": np.frombuffer(json.dumps(text).encode(), np.uint8),
        "numbers": numbers,
        "hashes": np.hstack([packed.hashes, packed.mirrored]),
    }
    with write_whole(cache) as beside, beside.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays, seal=_seal(arrays))


def _seal(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Hash the arrays of a cache; the zip file's own checksums have 32 bits."""
    digest = hashlib.sha256()
    for name in ("text", "numbers", "hashes"):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _load(cache: Path, root: str) -> dict[str, _Record]:
    """Read a cache; one that is damaged or of another version counts as empty and is written anew."""
    if not cache.exists():
        return {}
    try:
        with np.load(cache, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        text = json.loads(arrays["text"].tobytes())
        if text["version"] != _VERSION:
            return {}
        if arrays["seal"].tobytes() != _seal(arrays).tobytes() or text["root"] != os.fsencode(root).hex():
            raise ValueError("it is not as it was written for this folder")
        numbers, hashes = arrays["numbers"].tolist(), arrays["hashes"]
        return {
            name: _Record(size, mtime, sha256, width, height, words[:WORDS], words[WORDS:], reason)
            for (name, sha256, reason), (size, mtime, width, height), words in zip(
                text["rows"], numbers, hashes, strict=True
            )
        }
    except Exception as error:  # a flipped bit can raise almost anything, and the files themselves still hold the truth
        _LOG.warning("The index %s is damaged (%s); the images are read again.", cache, error)
        return {}
