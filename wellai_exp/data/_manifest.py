"""A data set, fixed: one table, one row an image."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.data._near_duplicates import HashArray, hashes_of
from wellai_exp.errors import StoreError
from wellai_exp.paths import sealed, unsealed, write_whole

IntArray = npt.NDArray[np.int64]

FILE_NAME = "manifest.parquet"
_TEXTS = ("path", "label", "split", "sha256", "hash")
_NUMBERS = ("fold", "group", "twin", "width", "height", "bytes")
_DIGEST_LENGTH = 32
_ABOUT = b"wellai"


@dataclass(frozen=True, eq=False)
class Manifest:
    """One table, one row an image; whoever works with the data asks this table and lists no folder again.

    Parameters
    ----------
    frame : DataFrame, n rows
        ``path`` (relative to `root`), ``label``, ``level_1`` … where ancestors of the class are known, ``split``
        (``train`` or ``test``), ``fold`` (0, 1, …; -1 in the test part), ``group`` (images that the split keeps on one
        side share one), ``twin`` (near-duplicates share one, whether or not the split heeds it), ``sha256``, ``hash``
        (perceptual, of the picture and of its mirror image), ``width`` and ``height`` (pixels), ``bytes``.
    root : Path
        The folder that the paths start from.
    classes : tuple of str
        The class names, sorted; a class's index is its place here.
    name : str
        The data set's name.
    parent : str, optional
        The digest of the manifest that this one was made from.
    notes : tuple of str
        What the user should know of how it was made, one sentence each.

    Raises
    ------
    ValueError
        Where the table contradicts itself.
    """

    frame: pd.DataFrame
    root: Path
    classes: tuple[str, ...]
    name: str
    parent: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frame = self.frame.reset_index(drop=True)
        missing = [column for column in (*_TEXTS, *_NUMBERS) if column not in frame.columns]
        if missing:
            raise ValueError(f"A manifest lacks the columns {', '.join(missing)}.")
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "notes", tuple(self.notes))
        for problem in self._problems():
            raise ValueError(problem)

    def _problems(self) -> Iterable[str]:
        frame = self.frame
        test = frame["split"] == "test"
        train = frame["split"] == "train"
        if not (train | test).all():
            yield "A manifest's split is train or test."
        if list(self.classes) != sorted(set(self.classes)) or set(frame["label"]) != set(self.classes):
            yield "A manifest's classes are its labels, sorted."
        if set(frame.loc[train, "label"]) != set(self.classes):
            yield "Every class of a manifest has an image to train on."
        if (frame.loc[test, "fold"] != -1).any() or (frame.loc[train, "fold"] < 0).any():
            yield "A manifest's fold is -1 in the test part and at least 0 in the training part."
        if (frame[train].groupby("group")["fold"].nunique() > 1).any():
            yield "A group of near-duplicates lies in two folds of a manifest."
        if frame["path"].duplicated().any():
            yield "A manifest names a path twice."

    @cached_property
    def digest(self) -> str:
        """The version of the data: 32 hexadecimal digits.

        It depends on what is in the files, on their labels, parts, folds and groups; neither on where they lie nor on
        the order of the rows.
        """
        columns = zip(
            *(self.frame[name].tolist() for name in ("group", "sha256", "label", "split", "fold")), strict=True
        )
        groups: dict[int, list[str]] = {}
        for group, *values in columns:
            groups.setdefault(group, []).append(json.dumps(values))
        # A group's number is an accident of the order of rows, so its members stand for it.
        members = sorted(json.dumps(sorted(rows)) for rows in groups.values())
        return hashlib.sha256("\n".join(members).encode()).hexdigest()[:_DIGEST_LENGTH]

    @cached_property
    def labels(self) -> IntArray:
        """The class index of each row, shape (n,)."""
        place = {label: index for index, label in enumerate(self.classes)}
        return np.array([place[label] for label in self.frame["label"]], np.int64)

    @cached_property
    def train(self) -> IntArray:
        """The rows of the training part."""
        return np.flatnonzero(self.frame["split"].to_numpy() == "train").astype(np.int64)

    @cached_property
    def test(self) -> IntArray:
        """The rows of the test part."""
        return np.flatnonzero(self.frame["split"].to_numpy() == "test").astype(np.int64)

    @cached_property
    def leaked(self) -> npt.NDArray[np.bool_]:
        """Whether a near-duplicate of each test row lies in the training part, shape (test rows,)."""
        twin = self.frame["twin"].to_numpy()
        return np.isin(twin[self.test], twin[self.train])

    def hashes(self, rows: IntArray) -> tuple[HashArray, HashArray]:
        """Give the perceptual hashes of some rows and of their mirror images, uint64, shape (rows, 4) each."""
        return hashes_of(self.frame["hash"].iloc[rows].tolist())

    @property
    def n_folds(self) -> int:
        """The number of folds in the training part."""
        return int(self.frame["fold"].max()) + 1

    def fold_rows(self, fold: int) -> tuple[IntArray, IntArray]:
        """Give the rows to train on and those to validate on, in one fold of the training part.

        Raises
        ------
        ValueError
            Where there is no such fold.
        """
        if not 0 <= fold < self.n_folds:
            raise ValueError(f"There is no fold {fold}: the manifest has folds 0 to {self.n_folds - 1}.")
        folds = self.frame["fold"].to_numpy()
        validation = np.flatnonzero(folds == fold).astype(np.int64)
        return np.setdiff1d(self.train, validation), validation

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Images of each class: index `classes`, columns ``train`` and ``test``."""
        parts = {
            side: np.bincount(self.labels[rows], minlength=len(self.classes))
            for side, rows in (("train", self.train), ("test", self.test))
        }
        return pd.DataFrame(parts, index=pd.Index(self.classes, name="label"))

    def files(self, rows: Iterable[int] | None = None) -> list[Path]:
        """Give the full paths of some rows, or of all."""
        paths = self.frame["path"].tolist()
        return [self.root / (paths[row]) for row in (range(len(paths)) if rows is None else rows)]

    def parents(self, level: int) -> IntArray:
        """Give the id of each class's ancestor at one level of the hierarchy, shape (n_classes,).

        Raises
        ------
        ValueError
            Where the data have no such level.
        """
        column = f"level_{level}"
        if column not in self.frame.columns:
            raise ValueError(f"The data {self.name!r} have no {column}.")
        first = self.frame.groupby("label")[column].first()
        return first.loc[list(self.classes)].to_numpy(np.int64)

    @cached_property
    def levels(self) -> tuple[IntArray, ...]:
        """The ancestors of each class at every level that the data have, coarse to fine: `parents` of each."""
        found = [re.fullmatch(r"level_(\d+)", name) for name in self.frame.columns]
        return tuple(self.parents(number) for number in sorted(int(match[1]) for match in found if match))

    @property
    def hierarchy(self) -> dict[str, IntArray]:
        """The `levels` that group the classes, by column name: neither one parent for all nor one for each."""
        named = {f"level_{number}": parents for number, parents in enumerate(self.levels, 1)}
        return {name: ids for name, ids in named.items() if 1 < len(np.unique(ids)) < len(self.classes)}

    def save(self, folder: Path) -> Path:
        """Write the table to ``manifest.parquet`` in a folder, whole or not at all, and give its path.

        Raises
        ------
        StoreError
            Where it cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        about = {
            "root": str(self.root),
            "classes": self.classes,
            "name": self.name,
            "parent": self.parent,
            "notes": self.notes,
            "digest": self.digest,
            "cells": self._cells(),
        }
        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), _ABOUT: json.dumps(sealed(about)).encode()}
        )
        path = folder / FILE_NAME
        with write_whole(path) as beside:
            pq.write_table(table, beside, write_page_checksum=True)
        return path

    def _cells(self) -> str:
        """Hash every cell in its place: the digest alone says nothing of paths and sizes."""
        whole = [list(self.frame.columns), *(self.frame[name].tolist() for name in self.frame.columns)]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()

    @classmethod
    def load(cls, path: Path, digest: str | None = None) -> Manifest:
        """Read a manifest that `save` wrote.

        Parameters
        ----------
        path : Path
            The file, or the folder that it was saved to.
        digest : str, optional
            The version of the data that it must be.

        Raises
        ------
        StoreError
            Where there is none, where it is not as it was written, or another version's.
        """
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            raise StoreError(f"There is no manifest at {path}; type the command that makes it.")
        try:
            import pyarrow.parquet as pq

            table = pq.read_table(path, page_checksum_verification=True)
            about = unsealed(json.loads(table.schema.metadata[_ABOUT]))
            classes, notes = tuple(about["classes"]), tuple(about["notes"])
            manifest = cls(table.to_pandas(), Path(about["root"]), classes, about["name"], about["parent"], notes)
            whole = manifest.digest == about["digest"] and manifest._cells() == about["cells"]
        except Exception as error:  # a damaged Parquet file can raise almost anything
            raise StoreError(
                f"The manifest {path} is damaged ({error}); delete it and type the same command."
            ) from error
        if not whole:
            raise StoreError(f"The manifest {path} is not as it was written; delete it and type the same command.")
        if digest not in (None, manifest.digest):
            raise StoreError(
                f"The manifest {path} is that of the version {manifest.digest[:8]} and not of {str(digest)[:8]}; "
                "delete it and type the command that makes it."
            )
        return manifest


def read_about(path: Path) -> dict[str, Any]:
    """Read what a manifest that `Manifest.save` wrote says of itself, and none of its rows.

    Raises
    ------
    StoreError
        Where that is not as it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return unsealed(json.loads((pq.read_schema(path).metadata or {})[_ABOUT]))
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"The manifest {path} is damaged ({error}); delete it and type the same command.") from error
