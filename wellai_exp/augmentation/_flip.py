"""Mirror images left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._policy import Policy


@dataclass(frozen=True)
class HorizontalFlip(Policy):
    """Mirror left to right: with probability 1/2 in training; as the one further view in a probe."""

    name: ClassVar[str] = "flip"
    views: ClassVar[int] = 2  # type: ignore[misc]

    @property
    def mirror_view(self) -> bool:
        """View 1 is the plain mirror image."""
        return True

    def layers(self) -> list[Any]:
        """Give a mirror, with probability 1/2."""
        from wellai_exp.augmentation._layers import RandomWarp

        return [RandomWarp()]
