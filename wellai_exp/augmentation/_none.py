"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._policy import Policy


@dataclass(frozen=True)
class NoAugmentation(Policy):
    """Images as they are: the baseline."""

    name: ClassVar[str] = "none"
    views: ClassVar[int] = 1  # type: ignore[misc]

    def layers(self) -> list[Any]:
        """Give no layer."""
        return []
