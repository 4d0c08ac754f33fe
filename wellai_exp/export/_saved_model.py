"""TensorFlow's own format, as servers take it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wellai_exp.export._target import Served, Target


@dataclass(frozen=True)
class SavedModelFolder(Target):
    """The SavedModel itself."""

    format: ClassVar[str] = "saved_model"

    @property
    def name(self) -> str:
        """As its file in ``conf/target`` is called."""
        return self.format

    def path(self, size: int | None = None) -> str:
        """Give where it lies in a bundle, as `Target.path`."""
        return self.format + ("" if size is None else f"-{size}")

    def _write(self, served: Served, path: Path) -> None:
        shutil.copytree(served.folder, path)
