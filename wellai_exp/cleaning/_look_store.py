"""Looks at files, each taken once and kept in a database, so that a second run reads none of them again."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.cleaning._files import Files
from wellai_exp.cleaning._isolated import Failure, Limits, isolated
from wellai_exp.cleaning._look import MEASURES, SMALL, Look, look, name_problem
from wellai_exp.errors import StoreError
from wellai_exp.paths import ensure_dir

_LOG = logging.getLogger("wellai_exp.cleaning")
Image = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]

# Raised whenever a look at the same bytes would come out otherwise.
_VERSION = 2
# Looks between two writes: what an interrupted run loses.
_BATCH = 128
_TABLE = """CREATE TABLE IF NOT EXISTS looks (
    path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, facts TEXT, hashes BLOB, small BLOB, thumbnail BLOB,
    small_sha256 TEXT, thumbnail_sha256 TEXT, seal TEXT
) WITHOUT ROWID"""
_FACTS = ("sha256", "n_bytes", "problem", "reason", "kind", "mode", "orientation", "frames", "width", "height")
_PROBLEM_OF = {"hang": "unreadable", "crash": "unreadable", "memory": "unreadable"}


@dataclass(frozen=True, eq=False)
class Looks:
    """What was found in n files.

    Parameters
    ----------
    frame : DataFrame, n rows
        The facts of `Look` and one column for each of its measures (NaN without a picture).
    hashes : array of uint64, shape (n, 8)
        Perceptual hash, then that of the mirror image.
    store : LookStore
        Where their pictures lie.
    keys : tuple of str
        Under which names.
    taken : int
        How many files were read now and not remembered.
    """

    frame: pd.DataFrame
    hashes: npt.NDArray[np.uint64]
    store: LookStore
    keys: tuple[str, ...]
    taken: int

    def smalls(self, rows: Sequence[int] | IntArray) -> Image:
        """Give the small grey pictures of some rows, uint8 [k, 64, 64]."""
        found = self.store.blobs("small", [self.keys[row] for row in rows])
        return np.stack([np.frombuffer(blob, np.uint8).reshape(SMALL, SMALL) for blob in found])

    def thumbnails(self, rows: Sequence[int] | IntArray) -> list[Image]:
        """Give the thumbnails of some rows, each uint8 [h, w, 3], red first, longer side at most 256 px."""
        import cv2

        found = self.store.blobs("thumbnail", [self.keys[row] for row in rows])
        return [
            np.asarray(cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8) for blob in found
        ]


class LookStore:
    """A database of looks; a file that has another size or modification time is looked at again.

    Parameters
    ----------
    folder : Path
        Where it lies; made when it is missing.

    Raises
    ------
    StoreError
        Where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = ensure_dir(folder, "paths.store") / f"looks-{_VERSION}.db"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._told(), closing(sqlite3.connect(self.path, timeout=60)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(_TABLE)
            yield database

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path} cannot be read or written ({error}); free the disk, or delete that file, "
                "and type the same command."
            ) from error

    def look_at(self, files: Files, limits: Limits) -> Looks:
        """Look at every file, each in a worker with limits, and remember what was found.

        A file that took too long, too much memory or its worker's life is tried again in the next run.

        Raises
        ------
        StoreError
            Where the database cannot be read or written.
        """
        keys = tuple(str(path) for path in files.paths)
        known = self._known(keys)
        facts: list[dict[str, Any] | None] = [None] * len(files)
        hashes = np.zeros((len(files), 8), np.uint64)
        todo = []
        for row, (key, path) in enumerate(zip(keys, files.paths, strict=True)):
            problem = name_problem(key)
            if problem:
                facts[row] = _row(Look(problem="unreadable", reason=problem))
            elif key in known and known[key][0] == _stamp(path):
                facts[row], hashes[row] = known[key][1], known[key][2]
            else:
                todo.append(row)
        for row, found in self._taken([files.paths[row] for row in todo], todo, limits):
            facts[row], hashes[row] = _row(found), found.hashes
        columns = [*_FACTS, *MEASURES]
        return Looks(pd.DataFrame(facts, columns=columns), hashes, self, keys, len(todo))

    def _taken(self, paths: Sequence[Path], rows: Sequence[int], limits: Limits) -> Iterator[tuple[int, Look]]:
        """Look at files, yield each row with its look, and write them down now and then, also when interrupted."""
        waiting: list[tuple[Path, tuple[int, int], Look]] = []
        stamps = [_stamp(path) for path in paths]
        with _progress(len(paths)) as advance:
            try:
                for place, found in isolated(look, paths, limits):
                    if isinstance(found, Failure):
                        yield rows[place], Look(problem=_PROBLEM_OF[found.kind], reason=found.reason)
                    else:
                        yield rows[place], found
                        waiting.append((paths[place], stamps[place], found))
                    advance()
                    if len(waiting) >= _BATCH:
                        self._write(waiting)
                        waiting.clear()
            finally:
                self._write(waiting)

    def _write(self, looks: Sequence[tuple[Path, tuple[int, int], Look]]) -> None:
        rows = []
        for path, (size, mtime), found in looks:
            facts, hashes = json.dumps(_row(found), allow_nan=True), found.hashes.tobytes()
            small = found.small.tobytes()
            seal = _seal(str(path), size, mtime, facts, hashes)
            pictures = small, found.thumbnail, _sha256(small), _sha256(found.thumbnail)
            rows.append((str(path), size, mtime, facts, hashes, *pictures, seal))
        with self._open() as database, database:
            database.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _known(self, keys: Sequence[str]) -> dict[str, tuple[tuple[int, int], dict[str, Any], Any]]:
        """Give what is remembered of files: stamp, facts, hashes; a row that is not as it was written is left out."""
        found = {}
        wanted = set(keys)
        with self._open() as database:
            for path, size, mtime, facts, hashes, seal in database.execute(
                "SELECT path, size, mtime, facts, hashes, seal FROM looks"
            ):
                if path not in wanted:
                    continue
                if _seal(path, size, mtime, facts, hashes) != seal:
                    _LOG.warning("What %s remembers of %s is damaged; the file is looked at again.", self.path, path)
                    continue
                found[path] = ((size, mtime), json.loads(facts), np.frombuffer(hashes, np.uint64))
        return found

    def blobs(self, column: str, keys: Sequence[str]) -> Iterator[bytes]:
        """Yield a picture of each file, in order.

        Parameters
        ----------
        column : {"small", "thumbnail"}
            Which.
        keys : sequence of str
            Paths of files that were looked at and have a picture.

        Raises
        ------
        StoreError
            Where one is missing or damaged; the file is then looked at again in the next run.
        """
        query = {
            "small": "SELECT small, small_sha256 FROM looks WHERE path = ?",
            "thumbnail": "SELECT thumbnail, thumbnail_sha256 FROM looks WHERE path = ?",
        }
        with self._open() as database:
            for key in keys:
                row = database.execute(query[column], (key,)).fetchone()
                # Not checked with the rest of the row: reading every picture would slow each start.
                if row is None or _sha256(row[0]) != row[1]:
                    with database:
                        database.execute("DELETE FROM looks WHERE path = ?", (key,))
                    raise StoreError(
                        f"{self.path} has no whole picture of {key}; type the same command, which looks at it again."
                    )
                yield row[0]


def _row(found: Look) -> dict[str, Any]:
    facts = {name: getattr(found, name) for name in _FACTS}
    return facts | {name: found.measures.get(name, float("nan")) for name in MEASURES}


def _seal(*cells: object) -> str:
    """Hash what a row holds beside its pictures; a flipped bit may have made another type of a cell."""
    return _sha256(repr(cells).encode("utf-8", "surrogatepass"))


def _sha256(content: object) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else repr(content).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    """Give size and modification time in ns; zeros for what is not there, which is then looked at and says so."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Looking at files"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=total < 200 or not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
