"""Files that cannot be decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.cleaning._check import Problem


@dataclass(frozen=True)
class Unreadable(Problem):
    """The file is empty, cut short, damaged, or took more time or memory than one may take."""

    title: ClassVar[str] = "Cannot be read"
