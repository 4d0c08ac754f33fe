"""Values as a reader gets them: numbers with their digits, missing ones said to be missing, intervals drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

NOTHING = "–"

_WIDTH, _MARGIN = 200.0, 5.0


@dataclass(frozen=True)
class Code:
    """Text that a machine reads: a command, a digest, a commit. It is set in a fixed width and never hyphenated.

    Parameters
    ----------
    text : str
        One line or several.
    """

    text: str

    template = "code.html.j2"


@dataclass(frozen=True)
class Term:
    """A name with what it means beneath it, for a cell of a table.

    Parameters
    ----------
    name : str
        The name, by which the column is sorted.
    meaning : str
        One sentence; may be empty.
    """

    name: str
    meaning: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Whisker:
    """An estimate with its interval, for a cell of a table: a dot on a line. One column has one scale.

    Parameters
    ----------
    estimate : float
        NaN where there is none; the cell is then empty.
    low, high : float
        Ends of the interval; NaN where there is none, and the dot then stands alone.
    """

    estimate: float
    low: float = math.nan
    high: float = math.nan

    @property
    def known(self) -> list[float]:
        """The numbers that are finite."""
        return [value for value in (self.low, self.estimate, self.high) if math.isfinite(value)]


class Drawn(NamedTuple):
    """A whisker in units of its picture, 200 wide; `zero` is where 0 lies, None where it is an end or outside."""

    dot: float
    line: tuple[float, float] | None
    zero: float | None


class Scale(NamedTuple):
    """The values at the left and the right end of a column of whiskers."""

    low: float
    high: float

    @classmethod
    def around(cls, whiskers: Iterable[Whisker]) -> Scale:
        """Give round ends that hold every whisker of a column."""
        values = [value for whisker in whiskers for value in whisker.known] or [0.0, 1.0]
        low, high = min(values), max(values)
        spread = (high - low) or abs(high) or 1.0
        # Of the least floats there is no power of ten to divide by.
        step = 10.0 ** max(math.floor(math.log10(spread)), -300)
        # A value that is a multiple of the step but for its last bit is an end itself.
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)._widened(step)

    def _widened(self, step: float) -> Scale:
        return Scale(self.low - step, self.high + step) if self.low == self.high else self

    def draw(self, whisker: Whisker) -> Drawn:
        """Place a whisker that has an estimate."""
        ends = math.isfinite(whisker.low) and math.isfinite(whisker.high)
        line = (self._place(whisker.low), self._place(whisker.high)) if ends else None
        return Drawn(self._place(whisker.estimate), line, self._place(0) if self.low < 0 < self.high else None)

    def _place(self, value: float) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * (value - self.low) / (self.high - self.low), 1)


class Cell(NamedTuple):
    """One cell of a table.

    Parameters
    ----------
    text : str
        What is read.
    key : str
        What it is sorted by; empty where nothing is known, which sorts last.
    numeric : bool
        Whether the key is a number, and the text set flush right.
    note : str
        A second, quieter line.
    drawn : Drawn, optional
        A whisker in place of text.
    """

    text: str
    key: str = ""
    numeric: bool = False
    note: str = ""
    drawn: Drawn | None = None


def missing(value: object) -> bool:
    """Tell whether a value is None, NaN, NaT or an empty text."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, str) and not value.strip()):
        return True
    return isinstance(value, Real) and math.isnan(float(value))


def number(value: float, digits: int | None = None) -> str:
    """Write a number with so many decimals, or with three significant digits; a minus sign is a minus sign."""
    if digits is None:
        digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 0
        # Beyond six decimals the exponent reads better than the zeros.
        if digits > 6:
            return f"{value:.2e}".replace("-", "−")
    return f"{value:,.{digits}f}".replace("-", "−")


def cells(values: Sequence[Any], digits: int | None = None) -> list[Cell]:
    """Give the cells of one column of a table.

    Parameters
    ----------
    values : sequence
        Texts, numbers, truth values, `Term`, `Whisker`, or what is missing.
    digits : int, optional
        Decimals of its fractions; by default three where every one of them is then told from 0 and from 1, else three
        significant digits.
    """
    scale = Scale.around(value for value in values if isinstance(value, Whisker))
    if digits is None:
        digits = _decimals(values)
    return [_cell(value, digits, scale) for value in values]


def _decimals(values: Sequence[Any]) -> int | None:
    sizes = [abs(float(value)) for value in values if isinstance(value, Real) and np.isfinite(float(value)) and value]
    return 3 if all(0.01 <= size < 1000 for size in sizes) else None


def _cell(value: Any, digits: int | None, scale: Scale) -> Cell:
    if missing(value) or (isinstance(value, Whisker) and missing(value.estimate)):
        return Cell(NOTHING)
    if isinstance(value, Whisker):
        return Cell("", repr(float(value.estimate)), True, drawn=scale.draw(value))
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", str(int(value)))
    if isinstance(value, Real):
        return Cell(number(float(value), 0 if isinstance(value, Integral) else digits), repr(float(value)), True)
    return Cell(str(value), str(value), note=value.meaning if isinstance(value, Term) else "")
