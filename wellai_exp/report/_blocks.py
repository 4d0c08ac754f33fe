"""What a report is made of: blocks of text, facts, tables and pictures, in sections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.report._pictures import data_uri, pixels_of
from wellai_exp.report._values import Cell, Code, Scale, Whisker, cells, missing

if TYPE_CHECKING:
    from wellai_exp.report._pictures import Image

_LONG = 25


@dataclass(frozen=True)
class Text:
    """Paragraphs without any markup.

    Parameters
    ----------
    paragraphs : sequence of str
        A single text is one paragraph.
    """

    paragraphs: Sequence[str]

    template: ClassVar[str] = "text.html.j2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "paragraphs", _texts(self.paragraphs))


@dataclass(frozen=True)
class Points:
    """A list of sentences.

    Parameters
    ----------
    items : sequence of str
        At least one.
    """

    items: Sequence[str]

    template: ClassVar[str] = "points.html.j2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", _texts(self.items))


class Fact(NamedTuple):
    """A term and what is known of it."""

    term: str
    value: object

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not missing(self.value)

    @property
    def is_code(self) -> bool:
        """Whether the value is one that a machine reads."""
        return isinstance(self.value, Code)


@dataclass(frozen=True)
class Facts:
    """Terms with their values.

    Parameters
    ----------
    rows : mapping or sequence of (str, object)
        Term and value: a text, a `Code`, or None or an empty text where the value is unknown, which is then said.
    """

    rows: Mapping[str, object] | Sequence[tuple[str, object]]

    template: ClassVar[str] = "facts.html.j2"

    @property
    def entries(self) -> tuple[Fact, ...]:
        """The rows, each of which says whether its value is known."""
        pairs = self.rows.items() if isinstance(self.rows, Mapping) else self.rows
        return tuple(Fact(term, value) for term, value in pairs)


class Highlight(NamedTuple):
    """One number worth a large type: its label, the number, and what must be read with it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Highlights:
    """The few numbers that a reader in haste takes away.

    Parameters
    ----------
    items : sequence of Highlight
        Label, value and note of each.
    """

    items: Sequence[Highlight]

    template: ClassVar[str] = "highlights.html.j2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))


class Heading(NamedTuple):
    """The head of a column: its text, whether numbers stand under it, and the scale of its whiskers, if any."""

    text: str
    numeric: bool
    scale: Scale | None


@dataclass(frozen=True, eq=False)
class Table:
    """A table that can be sorted by each column and scrolled without losing its head.

    Parameters
    ----------
    frame : DataFrame
        The first column names the rows. A cell is a text, a number, a `Term`, a `Whisker`, or missing.
    caption : str
        What the table holds, in a sentence.
    headings : mapping of str to str
        Column -> its heading, where the column's own name is not fit to be read.
    digits : mapping of str to int
        Column -> the decimals of its fractions, where the values do not say them.
    """

    frame: pd.DataFrame
    caption: str
    headings: Mapping[str, str] = field(default_factory=dict)
    digits: Mapping[str, int] = field(default_factory=dict)

    template: ClassVar[str] = "table.html.j2"

    def __post_init__(self) -> None:
        if not self.caption.strip():
            raise DataError("A table of a report needs a caption, which is also what a screen reader calls it.")
        if not self.frame.columns.is_unique:
            raise DataError(f"The columns of a table must differ, but they are {list(self.frame.columns)}.")
        unknown = sorted((set(self.headings) | set(self.digits)) - {str(name) for name in self.frame.columns})
        if unknown:
            raise DataError(f"The table {self.caption!r} has no column {unknown[0]!r}.")

    @cached_property
    def _columns(self) -> list[list[Cell]]:
        return [cells(self.frame[name].tolist(), self.digits.get(str(name))) for name in self.frame.columns]

    @property
    def head(self) -> list[Heading]:
        """The heads of the columns."""
        return [
            Heading(
                self.headings.get(str(name), str(name)),
                any(cell.numeric for cell in column),
                Scale.around(whiskers) if (whiskers := _whiskers(self.frame[name])) else None,
            )
            for name, column in zip(self.frame.columns, self._columns, strict=True)
        ]

    @property
    def is_long(self) -> bool:
        """Whether the rows are more than a screen holds, so that they scroll under their head."""
        return len(self.frame) > _LONG

    @property
    def body(self) -> list[tuple[Cell, ...]]:
        """The cells, row by row."""
        return list(zip(*self._columns, strict=True))


def _whiskers(column: pd.Series[Any]) -> list[Whisker]:
    return [value for value in column if isinstance(value, Whisker)]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, kept inside the report.

    Parameters
    ----------
    image : Figure or bytes
        A matplotlib figure, or the content of a PNG, JPEG or WebP file.
    alt : str
        What is to be seen, for those who do not see it.
    caption : str
        What stands below it.
    photograph : bool
        Whether it shows photographs, whose colours a dark page must not turn over.
    """

    image: Image
    alt: str
    caption: str = ""
    photograph: bool = False

    template: ClassVar[str] = "picture.html.j2"

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise DataError("A picture of a report needs alt, a sentence that says what is to be seen.")

    @cached_property
    def uri(self) -> str:
        """The image as a ``data:`` address."""
        return data_uri(self.image, photograph=self.photograph)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return pixels_of(self.uri)


@dataclass(frozen=True, eq=False)
class Plot:
    """An interactive plotly figure.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Drawn when the reader comes near it, so that a report of many plots opens at once.
    alt : str
        What is to be seen, for those who do not see it.
    caption : str
        What stands below it.
    still : Figure or bytes, optional
        What stands in its place on paper, and where the browser runs no script.
    """

    figure: Any
    alt: str
    caption: str = ""
    still: Image | None = None

    template: ClassVar[str] = "plot.html.j2"

    def __post_init__(self) -> None:
        if not hasattr(self.figure, "to_json"):
            raise DataError(f"A plot of a report must be a plotly figure, but it is a {type(self.figure).__name__}.")
        if not self.alt.strip():
            raise DataError("A plot of a report needs alt, a sentence that says what is to be seen.")

    @property
    def json(self) -> str:
        """The figure as JSON that may stand inside a ``script`` element."""
        return str(self.figure.to_json()).replace("<", r"\u003c")

    @cached_property
    def picture(self) -> Picture | None:
        """The still as a picture."""
        return None if self.still is None else Picture(self.still, self.alt)


Block: TypeAlias = Text | Points | Facts | Highlights | Code | Table | Picture | Plot


@dataclass(frozen=True)
class Section:
    """A part of a report with a heading, which the table of contents names.

    Parameters
    ----------
    title : str
        The heading.
    blocks : sequence of Block
        What it holds, in order.
    lead : str
        A sentence or two below the heading that say what is to be learnt here.
    """

    title: str
    blocks: Sequence[Block]
    lead: str = ""

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise DataError("A section of a report needs a title.")
        object.__setattr__(self, "blocks", tuple(self.blocks))


@dataclass(frozen=True)
class Report:
    """A whole report.

    Parameters
    ----------
    title : str
        Its name, and that of the browser's tab.
    subtitle : str
        What stands below the title.
    sections : sequence of Section
        In order.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise DataError("A report needs a title.")
        object.__setattr__(self, "sections", tuple(self.sections))

    @property
    def anchors(self) -> list[str]:
        """The address of each section within the file; they differ."""
        taken: list[str] = []
        for section in self.sections:
            plain = re.sub(r"[\W_]+", "-", section.title.casefold()).strip("-") or "section"
            anchor, times = plain, 2
            while anchor in taken:
                anchor, times = f"{plain}-{times}", times + 1
            taken.append(anchor)
        return taken

    @property
    def has_plots(self) -> bool:
        """Whether any block is interactive."""
        return any(isinstance(block, Plot) for section in self.sections for block in section.blocks)


def _texts(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
