"""A CSV table that names each photograph and its label."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wellai_exp.data._base import Listing, Source, shown
from wellai_exp.errors import DataError, SettingError


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
        frame = self._read()
        paths = self._column(frame, "path_column", self.path_column)
        labels = self._column(frame, "label_column", self.label_column)
        for row, (path, label) in enumerate(zip(paths, labels, strict=True), start=1):
            if not path or not label.strip():
                what = "path" if not path else "label"
                raise DataError(f"Row {row} of {shown(str(self.table))} has an empty {what}; fill it, or take it out.")
        sides = None if self.split_column is None else self._column(frame, "split_column", self.split_column)
        return Listing(tuple(self._relative(path) for path in paths), labels, sides=sides)

    def _read(self) -> pd.DataFrame:
        where = shown(str(self.table))
        if not self.table.is_file():
            raise SettingError("data.table", where, "there is no such file", "set data.table to a CSV file")
        try:
            with warnings.catch_warnings():
                # A row with more cells than the header is otherwise cut with a warning.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                # Every cell is text as it stands: a class may be called "NA", "None" or "007".
                return pd.read_csv(
                    self.table, dtype=object, keep_default_na=False, encoding="utf-8-sig", index_col=False
                )
        except UnicodeDecodeError as error:
            raise DataError(f"data.table={where} is not UTF-8; save it as CSV UTF-8.") from error
        except (OSError, ValueError, pd.errors.ParserWarning) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"data.table={where} cannot be read as CSV ({reason}); save it as CSV UTF-8.") from error

    def _column(self, frame: pd.DataFrame, setting: str, column: str) -> tuple[str, ...]:
        if column not in frame.columns:
            raise SettingError(
                f"data.{setting}",
                column,
                f"{shown(str(self.table))} has no such column",
                f"set data.{setting} to one of {', '.join(map(str, frame.columns))}",
            )
        # A row with too few cells has NaN where the others have text.
        return tuple(cell if isinstance(cell, str) else "" for cell in frame[column])

    def _relative(self, path: str) -> str:
        """Give a path as seen from the root; one that leaves the root keeps its ``..`` and is refused later."""
        root = os.path.abspath(self.root)  # noqa: PTH100 - a link below the root may lead out of it
        return Path(os.path.relpath(os.path.join(root, path), root)).as_posix()  # noqa: PTH118 - lexical on purpose
