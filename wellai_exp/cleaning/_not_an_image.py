"""Files that are something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.cleaning._check import Problem


@dataclass(frozen=True)
class NotAnImage(Problem):
    """The bytes are of no image format: a web page, a text, an archive."""

    title: ClassVar[str] = "No images"
