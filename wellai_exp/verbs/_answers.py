"""What a model sees in a picture, and how that is written: a table, JSON lines or CSV."""

from __future__ import annotations

import csv
import io
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellai_exp.data import Picture, is_utf8, shown

NONE = "none"
_DIGITS = 6


@dataclass(frozen=True)
class Seen:
    """What a model sees in a picture.

    Parameters
    ----------
    picture : Picture
        Which one.
    top : tuple of (str, float)
        The most probable classes with their probabilities, falling; empty where the picture cannot be read.
    sure : bool or None
        Whether the first one's probability reaches its threshold; None where none is known.
    """

    picture: Picture
    top: tuple[tuple[str, float], ...] = ()
    sure: bool | None = None

    @property
    def label(self) -> str:
        """The class that is seen, or ``none`` where the model is not sure."""
        if not self.top or self.sure is False:
            return NONE
        return self.top[0][0]

    @classmethod
    def of(
        cls,
        picture: Picture,
        probabilities: npt.NDArray[np.floating],
        class_names: Sequence[str],
        thresholds: Sequence[float | None],
        n: int,
    ) -> Seen:
        """Read a row of probabilities [c]; of equal ones the class that comes first is first."""
        order = np.argsort(-probabilities, kind="stable")[:n]
        top = tuple((class_names[index], float(probabilities[index])) for index in order)
        least = thresholds[order[0]]
        return cls(picture, top, None if least is None else bool(top[0][1] >= least))


class Writer(ABC):
    """Writes answers as they come."""

    name: ClassVar[str]

    @abstractmethod
    def write(self, answers: Sequence[Seen]) -> None:
        """Write some, so that who reads has them at once."""


class JsonLines(Writer):
    """An object a line, UTF-8."""

    name = "jsonl"

    def write(self, answers: Sequence[Seen]) -> None:
        """Write some."""
        _write("".join(f"{_json(_record(each))}\n" for each in answers))


def _record(seen: Seen) -> dict[str, object]:
    picture = seen.picture
    record: dict[str, object] = {"path": str(picture.path)}
    if picture.frame is not None:
        record |= {"frame": picture.frame, "seconds": round(picture.seconds or 0.0, 4)}
    if not seen.top:
        return record | {"error": picture.problem}
    top = [{"label": label, "probability": round(probability, _DIGITS)} for label, probability in seen.top]
    return record | {"label": seen.label, "sure": seen.sure, "top": top}


def _json(record: dict[str, object]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    # The bytes of a name that is not UTF-8, as Python writes and reads them back.
    return text if is_utf8(text) else json.dumps(record)


class Csv(Writer):
    """A row an answer, under a header; names are written byte by byte as they are.

    Parameters
    ----------
    n : int
        Classes an answer names.
    """

    name = "csv"

    def __init__(self, n: int) -> None:
        self._n = n
        self._header: list[str] | None = ["path", "frame", "seconds", "label", "sure", "error"]
        for place in range(1, n + 1):
            self._header += [f"label_{place}", f"probability_{place}"]

    def write(self, answers: Sequence[Seen]) -> None:
        """Write some."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if self._header is not None:
            rows.writerow(self._header)
            self._header = None
        for each in answers:
            picture = each.picture
            seconds = "" if picture.seconds is None else f"{picture.seconds:.4f}"
            found = [cell for label, probability in each.top for cell in (label, f"{probability:.{_DIGITS}f}")]
            sure = "" if each.sure is None else str(each.sure).lower()
            label = each.label if each.top else ""
            rows.writerow([picture.path, picture.frame, seconds, label, sure, picture.problem, *found])
        _write(text.getvalue())


class Lines(Writer):
    """A table for people, its rows printed as they come.

    Parameters
    ----------
    console : rich.console.Console
        Where.
    class_names : sequence of str
        All that may come, for the width of their column.
    """

    name = "table"

    def __init__(self, console: Console, class_names: Sequence[str]) -> None:
        self._console = console
        self._label = max(5, min(28, max(cell_len(_printable(name)) for name in class_names)))
        self._file = max(16, (console.width - self._label) * 2 // 5)
        self._headed = False

    def write(self, answers: Sequence[Seen]) -> None:
        """Write some."""
        # A table of its own each time with the same widths: a whole one could be printed only at the end.
        table = Table(box=None, pad_edge=False, show_header=not self._headed, expand=True)
        self._headed = True
        table.add_column("picture", width=self._file, overflow="fold")
        table.add_column("seen", width=self._label, overflow="fold")
        table.add_column("most probable", ratio=1, overflow="fold")
        for each in answers:
            picture = each.picture
            name = _printable(str(picture.path))
            if picture.seconds is not None:
                name += f" {picture.seconds:.2f} s"
            if not each.top:
                table.add_row(Text(name), Text("–"), Text(_printable(picture.problem), style="red"))
                continue
            top = ", ".join(f"{_printable(label)} {probability:.3f}" for label, probability in each.top)
            style = "dim" if each.label == NONE and each.sure is False else "bold"
            table.add_row(Text(name), Text(_printable(each.label), style=style), Text(top))
        self._console.print(table)


def _printable(text: str) -> str:
    """Write what a terminal might take for a command as escapes."""
    return "".join(mark if mark.isprintable() else f"\\x{ord(mark):02x}" for mark in shown(text))


def _write(text: str) -> None:
    """Write UTF-8 to standard output whatever the locale, with the bytes of names as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
