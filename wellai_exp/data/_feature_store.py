"""What is computed once for an image (a frozen backbone's features, its pixels): kept on disk, memory-mapped."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp import milestones
from wellai_exp.data._feature_shard import (
    DamagedShardError,
    Shard,
    next_number,
    remove_leftovers,
    remove_shard,
    scan,
    write_shard,
)
from wellai_exp.errors import DataError, SettingError, StoreError
from wellai_exp.paths import ensure_dir

Array = npt.NDArray[Any]
Compute = Callable[[Sequence[int]], Iterator[npt.NDArray[Any]]]
Place = tuple[int, int]
"""Which shard, and which of its rows."""

_SHARD_BYTES = 64 * 2**20

logger = logging.getLogger(__name__)


class FeatureTable:
    """The rows of the images that were asked for, still on disk.

    Attributes
    ----------
    dim : int
        Numbers of an image.
    dtype : numpy.dtype
        Their type.
    computed : int
        How many images were newly computed for this table.
    seconds : float
        How long that took; 0 where nothing was computed.
    """

    def __init__(
        self,
        arrays: Sequence[Array],
        places: Sequence[Place],
        dim: int,
        dtype: np.dtype[Any],
        *,
        computed: int = 0,
        seconds: float = 0.0,
    ) -> None:
        place = np.array(places, np.int64).reshape(-1, 2)
        self._shard = place[:, 0]
        self._row = place[:, 1]
        self._arrays = list(arrays)
        self.dim = dim
        self.dtype = dtype
        self.computed = computed
        self.seconds = seconds

    def __len__(self) -> int:
        """Give the number of images asked for."""
        return len(self._row)

    def gather(self, rows: npt.ArrayLike) -> Array:
        """Read the rows of some images; only their rows are read from disk.

        Parameters
        ----------
        rows : array_like of int
            [n], indices into the keys that were asked for, in any order, repeats allowed.

        Returns
        -------
        numpy.ndarray
            `dtype` [n, dim], a copy in memory.

        Raises
        ------
        IndexError
            Where an index is outside the keys, or `rows` are no integers.
        """
        wanted = np.asarray(rows)
        if wanted.size == 0:
            return np.empty((0, self.dim), self.dtype)
        if wanted.dtype.kind not in "iu" or wanted.ndim != 1:
            # A boolean mask would be taken for rows 0 and 1.
            raise IndexError(f"rows must be integers [n], not {wanted.dtype} {wanted.shape}")
        shard, row = self._shard[wanted], self._row[wanted]
        # By shard and row, so that each file is read once, from front to back.
        order = np.lexsort((row, shard))
        numbers, starts = np.unique(shard[order], return_index=True)
        out = np.empty((len(wanted), self.dim), self.dtype)
        for number, places in zip(numbers, np.split(order, starts[1:]), strict=True):
            out[places] = self._arrays[number][row[places]]
        return out


@dataclass(frozen=True)
class _Request:
    """What one call of `FeatureStore.get` asks for."""

    folder: Path
    first: Mapping[str, int]  # each different key, and the first row that has it
    dim: int
    dtype: np.dtype[Any]
    description: str
    names: Sequence[str]  # what an error calls the row

    def open(self) -> _Opened:
        """Open the shards that hold something wanted; their hashes are checked."""
        shards, damaged = scan(self.folder)
        opened = _Opened([], {}, damaged)
        for shard in shards:
            if shard.dim != self.dim:
                raise StoreError(
                    f"{self.folder} holds {shard.dim} numbers for each image ({shard.description}), "
                    f"but {self.dim} are asked for ({self.description}); remove that folder and type the same command."
                )
            wanted = {key: row for row, key in enumerate(shard.keys) if key in self.first and key not in opened.places}
            if wanted:
                opened.add(shard, wanted, self.dtype)
        return opened

    def missing(self, opened: _Opened) -> list[int]:
        return [row for key, row in self.first.items() if key not in opened.places]


@dataclass
class _Opened:
    arrays: list[Array]
    places: dict[str, Place]
    damaged: dict[Path, str]

    def add(self, shard: Shard, wanted: Mapping[str, int], dtype: np.dtype[Any]) -> None:
        try:
            array = shard.open(dtype)
        except DamagedShardError as error:
            self.damaged[shard.path] = str(error)
            return
        self.places.update({key: (len(self.arrays), row) for key, row in wanted.items()})
        self.arrays.append(array)


class _Writer:
    """Rows on their way to disk: at most a shard of them in memory."""

    def __init__(self, request: _Request, shard_rows: int, flush_seconds: float) -> None:
        self.request = request
        self._keys: list[str] = []
        self._buffer = np.empty((shard_rows, request.dim), request.dtype)
        self._flush_seconds = flush_seconds
        self._flushed = time.monotonic()
        self._number = next_number(request.folder)

    def add(self, keys: Sequence[str], batch: Array) -> None:
        done = 0
        while done < len(batch):
            held = len(self._keys)
            taken = min(len(self._buffer) - held, len(batch) - done)
            self._buffer[held : held + taken] = batch[done : done + taken]
            self._keys.extend(keys[done : done + taken])
            done += taken
            if len(self._keys) == len(self._buffer) or time.monotonic() - self._flushed >= self._flush_seconds:
                self.flush()

    def flush(self) -> None:
        if self._keys:
            path = self.request.folder / f"{self._number:06d}.npy"
            write_shard(path, self._keys, self._buffer[: len(self._keys)], self.request.description)
            self._number += 1
            self._keys = []
        self._flushed = time.monotonic()


class FeatureStore:
    """What a frozen backbone (or the decoder) makes of an image, each computed once for all sweeps.

    Rows lie in ``root/<space>/<n>.npy`` with a sidecar ``<n>.json`` that names their images and holds the array's
    hash. Both are written whole, the sidecar last, and never changed: a shard counts only if both are there and fit
    each other. So a killed extraction keeps what it has written, and a damaged file is noticed and made again.

    Parameters
    ----------
    root : Path
        The folder; made when the first rows are written.
    shard_rows : int
        Most rows in a file, fewer where they would take more than 64 MB; also what is held in memory.
    flush_seconds : float
        Rows that have waited this long are written, so that a kill loses no more.
    progress : bool
        Whether to show a progress bar while rows are computed.
    """

    def __init__(
        self, root: Path, *, shard_rows: int = 4096, flush_seconds: float = 15.0, progress: bool = True
    ) -> None:
        if shard_rows < 1:
            raise SettingError("shard_rows", shard_rows, "a shard holds at least one row", "set shard_rows=4096")
        self.root = root
        self._shard_rows = shard_rows
        self._flush_seconds = flush_seconds
        self._progress = progress

    def get(
        self,
        space: str,
        keys: Sequence[str],
        compute: Compute,
        dim: int,
        description: str,
        names: Sequence[str] | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> FeatureTable:
        """Give the rows of some images; those not yet on disk are computed, stored and counted.

        Of two processes that ask for the same rows at once, one computes and the other waits for it.

        Parameters
        ----------
        space : str
            Short hash of everything but the image that decides its features: backbone and weights, size, fit, view.
        keys : sequence of str
            SHA-256 of each image's content; an image that comes twice is computed once.
        compute : callable
            Given rows (indices into `keys`), yields `dtype` [b, dim] in their order, in batches of any size.
        dim : int
            Numbers of an image.
        description : str
            Backbone and view, for the progress bar and for errors.
        names : sequence of str, optional
            What an error calls each image, e.g. its path; by default its key.
        dtype : dtype-like
            Type of the numbers; floats must be finite.

        Returns
        -------
        FeatureTable
            Row ``i`` belongs to ``keys[i]``.

        Raises
        ------
        DataError
            Where the backbone gives a feature that is not finite; nothing of that batch is stored.
        StoreError
            Where the store cannot be written, or holds features of another width. Finished shards are kept.
        ValueError
            Where `compute` gives other shapes or numbers of rows than it was asked for.
        TypeError
            Where it gives another kind of number.
        """
        if not re.fullmatch(r"[0-9A-Za-z_-][0-9A-Za-z._-]*", space):
            raise ValueError(f"space={space!r} is no name for a folder")
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        kind = np.dtype(dtype)
        request = _Request(self.root / space, first, dim, kind, description, keys if names is None else names)
        opened = request.open()
        computed, seconds = 0, 0.0
        if request.missing(opened):
            with _locked(request):
                # Another process may have computed them, or still been writing what looked damaged.
                opened = _repaired(request)
                rows = request.missing(opened)
                if rows:
                    start = time.perf_counter()
                    self._extract(request, rows, list(keys), compute)
                    computed, seconds = len(rows), time.perf_counter() - start
                    opened = _reopened(request)
        return FeatureTable(
            opened.arrays, [opened.places[key] for key in keys], dim, kind, computed=computed, seconds=seconds
        )

    def known_dim(self, space: str) -> int | None:
        """Give the width of the rows that a space holds; None where it holds none yet."""
        shards, _ = scan(self.root / space)
        return shards[0].dim if shards else None

    def _extract(self, request: _Request, rows: list[int], keys: list[str], compute: Compute) -> None:
        shard_rows = max(1, min(self._shard_rows, _SHARD_BYTES // (request.dtype.itemsize * request.dim), len(rows)))
        writer = _Writer(request, shard_rows, self._flush_seconds)
        done = 0
        # Closing a generator that is left early also ends the threads that read its images.
        with (
            _bar(request.description, len(rows), self._progress) as advance,
            closing(_kept(compute(rows), writer)) as kept,
        ):
            for batch in kept:
                part = rows[done : done + len(batch)]
                writer.add([keys[row] for row in part], _checked(request, part, batch))
                done += len(part)
                advance(len(part))
            if done != len(rows):
                raise ValueError(f"compute gave {done} rows where {len(rows)} were asked for")
            writer.flush()


def _kept(batches: Iterator[Any], writer: _Writer) -> Generator[Any, None, None]:
    """Yield the batches; where computing them breaks off, write the rows that are already there."""
    try:
        yield from batches
    except GeneratorExit:
        # It was not the computation that failed but what it gave, or the disk.
        raise
    except BaseException:
        try:
            writer.flush()
        except StoreError as error:
            logger.warning("The last rows computed before the interruption are lost: %s", error)
        raise


def _checked(request: _Request, rows: Sequence[int], batch: npt.NDArray[Any]) -> Array:
    """Give the batch as [b, dim] of the type asked for, all finite."""
    batch = np.asarray(batch).astype(request.dtype, casting="same_kind", copy=False)
    if batch.shape != (len(rows), request.dim):
        raise ValueError(f"compute gave {batch.shape} where {(len(rows), request.dim)} was asked for")
    finite = np.isfinite(batch).all(axis=1)
    if not finite.all():
        name = request.names[rows[int(np.argmin(finite))]]
        raise DataError(
            f"{request.description} gives features that are not finite for the image {name}; "
            "check that image and the backbone's weights, or choose another backbone."
        )
    return batch


def _repaired(request: _Request) -> _Opened:
    """Open the shards and remove the damaged ones; needs the lock."""
    remove_leftovers(request.folder)
    opened = request.open()
    for path, why in opened.damaged.items():
        logger.warning("The rows in %s are damaged (%s); they are removed and computed again.", path, why)
        remove_shard(path)
    return opened


def _reopened(request: _Request) -> _Opened:
    """Open the shards after writing; what does not read back as written is an error, not another round."""
    opened = request.open()
    if request.missing(opened):
        why = "; ".join(f"{path.name}: {reason}" for path, reason in opened.damaged.items())
        raise StoreError(
            f"{request.folder} does not read back what was written ({why}); check the disk and type the same command."
        )
    return opened


@contextmanager
def _locked(request: _Request) -> Iterator[None]:
    """Hold the folder's lock; the operating system frees it when a process dies."""
    from filelock import FileLock, Timeout

    ensure_dir(request.folder, "feature store")
    lock = FileLock(request.folder / ".lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another process computes what is kept of %s; waiting for it.", request.description)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise StoreError(f"{request.folder} cannot be locked ({error}); put that folder on a local disk.") from error
    try:
        milestones.passed(milestones.LOCK_HELD)
        yield
    finally:
        lock.release()


@contextmanager
def _bar(description: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show progress in images per second on standard error; yields what advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} images/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(description, total=total, rate="–")
        start = time.perf_counter()
        done = 0

        def advance(images: int) -> None:
            nonlocal done
            done += images
            progress.update(task, advance=images, rate=f"{done / (time.perf_counter() - start):.0f}")

        yield advance
