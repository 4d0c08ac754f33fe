"""What became of each entry: a line at once in a journal, and a table at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from wellai_exp.data import COLLECTED, Link
from wellai_exp.errors import StoreError
from wellai_exp.paths import write_whole

JOURNAL = "collected.jsonl"
"""The journal, in a source's root."""


@dataclass(frozen=True)
class Record:
    """What became of one entry of a list.

    Parameters
    ----------
    path : str
        The file, relative to the root; empty where there is none.
    label, split, listed : str
        What the list says of it.
    verdict : {"got", "dead", "refused"}
        Whether it is there, cannot be had, or is not wanted as it is.
    reason : str
        Why, in plain words.
    url, final_url : str
        The URL listed, and the one that answered.
    status : int or None
        The HTTP status of the last answer; None where none came.
    content_type : str
        As the server calls it.
    bytes : int
        The file's size.
    sha256 : str
        The file's SHA-256, in hexadecimal.
    time : str
        When, in UTC (ISO 8601).
    """

    path: str
    label: str
    split: str
    listed: str
    verdict: str
    reason: str
    url: str
    final_url: str = ""
    status: int | None = None
    content_type: str = ""
    bytes: int = 0
    sha256: str = ""
    time: str = ""

    @property
    def key(self) -> str:
        """The key of its entry, see :class:`wellai_exp.data.Link`."""
        return Link(self.url, self.label, self.listed).key


_FIELDS = frozenset(each.name for each in fields(Record))


class Journal:
    """An append-only file of records, one JSON object a line, the last line of an entry counts.

    A line that a kill or a full disk has torn off ends the file; it is cut away, and its entry is done again.

    Parameters
    ----------
    root : Path
        The folder it lies in.

    Raises
    ------
    StoreError
        Where it cannot be read or written, or an earlier line is damaged.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / JOURNAL
        self.records: dict[str, Record] = {}
        try:
            self._handle = self._path.open("a+b")
            self._handle.seek(0)
            whole, _, torn = self._handle.read().rpartition(b"\n")
            if torn:
                self._handle.truncate(len(whole) + 1 if whole else 0)
        except OSError as error:
            raise self._failure(error) from error
        for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
            record = self._record(number, line)
            self.records[record.key] = record

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    def add(self, record: Record) -> None:
        """Append a record; it is with the operating system when this returns, so that only a power cut can lose it."""
        self.records[record.key] = record
        try:
            self._handle.write(json.dumps(vars(record)).encode() + b"\n")
            self._handle.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _record(self, number: int, line: bytes) -> Record:
        try:
            values: dict[str, Any] = json.loads(line)
            return Record(**{name: value for name, value in values.items() if name in _FIELDS})
        except (ValueError, TypeError, AttributeError):
            raise StoreError(
                f"Line {number} of {self._path} is damaged; take the line out, and type the same command."
            ) from None

    def _failure(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self._path} cannot be written ({error.strerror or error}); "
            "free the disk or the folder and type the same command."
        )


def write_table(root: Path, records: Iterable[Record]) -> Path:
    """Write the provenance table, whole or not at all.

    Raises
    ------
    StoreError
        Where it cannot be written.
    """
    import csv

    import pandas as pd

    frame = pd.DataFrame([vars(record) for record in records], columns=[each.name for each in fields(Record)])
    frame["status"] = frame["status"].astype("Int64")
    path = root / COLLECTED
    with write_whole(path) as beside:
        # Every text in quotes, because a bare carriage return in a label would end the row for most readers.
        frame.to_csv(beside, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator=os.linesep)
    return path
