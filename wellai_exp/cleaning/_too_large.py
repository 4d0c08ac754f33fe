"""Files that are larger than anything useful."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.cleaning._check import Problem


@dataclass(frozen=True)
class TooLarge(Problem):
    """More than 50 megapixels, which is judged from the header alone, or more than 256 MiB."""

    title: ClassVar[str] = "Too large to decode"
