"""Decoded photographs: each decoded once for a size and a fit, kept on disk, memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wellai_exp.data._feature_store import FeatureStore, FeatureTable
from wellai_exp.data._reader import ImageReader

Image = npt.NDArray[np.uint8]

_READ_BATCH = 64


class PixelTable:
    """The pixels of the images that were asked for, still on disk.

    Parameters
    ----------
    rows : FeatureTable
        uint8, one flattened image a row.
    size : int
        Side of an image, in pixels.

    Attributes
    ----------
    computed : int
        How many images were newly decoded for this table.
    """

    def __init__(self, rows: FeatureTable, size: int) -> None:
        self._rows = rows
        self.size = size
        self.computed = rows.computed

    def __len__(self) -> int:
        """Give the number of images asked for."""
        return len(self._rows)

    def gather(self, rows: npt.ArrayLike) -> Image:
        """Read some images; only their pixels are read from disk.

        Parameters
        ----------
        rows : array_like of int
            [n], indices into the images that were asked for, in any order, repeats allowed.

        Returns
        -------
        numpy.ndarray
            uint8 [n, size, size, 3], a copy in memory.

        Raises
        ------
        IndexError
            Where an index is outside the images, or `rows` are no integers.
        """
        return self._rows.gather(rows).reshape(-1, self.size, self.size, 3)


class PixelStore:
    """Photographs as the networks see them, each decoded once for all trials; stored as `FeatureStore` stores.

    Decoding a photograph costs about as much as a small network's forward pass, and a fine-tuning meets each
    photograph in every epoch of every trial.

    Parameters
    ----------
    root : Path
        The folder; made when the first images are written.
    progress : bool
        Whether to show a progress bar while images are decoded.
    """

    def __init__(self, root: Path, *, progress: bool = True) -> None:
        self._store = FeatureStore(root, progress=progress)

    def get(self, paths: Sequence[Path], keys: Sequence[str], size: int, resize: str) -> PixelTable:
        """Give the pixels of some images; those not yet on disk are decoded, stored and counted.

        Parameters
        ----------
        paths : sequence of Path
            The files.
        keys : sequence of str
            SHA-256 of each file's content; an image that comes twice is decoded once.
        size : int
            Side of the square, in pixels.
        resize : {"stretch", "crop", "pad"}
            How an image is brought to the square.

        Returns
        -------
        PixelTable
            Image ``i`` belongs to ``paths[i]``.

        Raises
        ------
        SettingError
            Where `resize` is no such rule or `size` is below 1.
        DataError
            Where a file cannot be read or decoded; the sentence names it.
        StoreError
            Where the store cannot be written.
        ValueError
            Where there is not one key for each path.
        """
        if len(paths) != len(keys):
            raise ValueError(f"{len(paths)} paths came with {len(keys)} keys")
        # Made even where nothing is to be read: it refuses a size or a rule that cannot work.
        ImageReader(paths, size, resize)

        def decoded(rows: Sequence[int]) -> Iterator[Image]:
            for batch in ImageReader([paths[row] for row in rows], size, resize, batch_size=_READ_BATCH):
                yield batch.reshape(len(batch), -1)

        table = self._store.get(
            f"pixels-{size}-{resize}",
            keys,
            decoded,
            size * size * 3,
            f"pixels at {size} px",
            names=[str(path) for path in paths],
            dtype=np.uint8,
        )
        return PixelTable(table, size)
