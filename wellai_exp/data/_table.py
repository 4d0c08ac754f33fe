"""A CSV table that names each photograph and its label."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wellai_exp.data._base import Listing, Source, shown
from wellai_exp.data._csv import column, read_csv
from wellai_exp.errors import DataError


@dataclass(frozen=True)
class ImageTable(Source):
    """A CSV table (UTF-8, a header, one row a photograph).

    Parameters
    ----------
    root : Path
        The folder that the paths in the table start from.
    table : Path
        The CSV file.
    path_column, label_column : str
        The columns of the paths and of the labels.
    split_column : str, optional
        A column of ``train`` and ``test``, where the data come with an official split.
    """

    table: Path
    path_column: str = "path"
    label_column: str = "label"
    split_column: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "table", Path(self.table))

    def _list(self) -> Listing:
        self._require_folder(self.root, "data.root", "set data.root to the folder that the table's paths start from")
        frame = read_csv(self.table, "data.table")
        paths = column(frame, self.table, "data.path_column", self.path_column)
        labels = column(frame, self.table, "data.label_column", self.label_column)
        for row, (path, label) in enumerate(zip(paths, labels, strict=True), start=1):
            if not path or not label.strip():
                what = "path" if not path else "label"
                raise DataError(f"Row {row} of {shown(str(self.table))} has an empty {what}; fill it, or take it out.")
        sides = None
        if self.split_column is not None:
            sides = column(frame, self.table, "data.split_column", self.split_column)
        return Listing(tuple(self._relative(path) for path in paths), labels, sides=sides)

    def _relative(self, path: str) -> str:
        """Give a path as seen from the root; one that leaves the root keeps its ``..`` and is refused later."""
        root = os.path.abspath(self.root)  # noqa: PTH100 - a link below the root may lead out of it
        return Path(os.path.relpath(os.path.join(root, path), root)).as_posix()  # noqa: PTH118 - lexical on purpose
