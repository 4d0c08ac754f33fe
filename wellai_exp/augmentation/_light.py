"""Small changes of the camera's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._checks import MAX_ROTATION, check_between, check_count
from wellai_exp.augmentation._policy import MAX_VIEWS, Policy


@dataclass(frozen=True)
class Light(Policy):
    """Mirror left to right, and small rotations, shifts and zooms.

    Parameters
    ----------
    views : int
        Fixed views of an image in a probe, itself included.
    rotation : float
        Largest angle, degrees.
    shift : float
        Largest move, as a fraction of width and of height.
    zoom : float
        Largest enlargement less one; as far the other way.
    """

    name: ClassVar[str] = "light"
    views: int = 4
    rotation: float = 5.0
    shift: float = 0.05
    zoom: float = 0.1

    def __post_init__(self) -> None:
        check_count("views", self.views, 1, MAX_VIEWS, "the number of views", 4)
        check_between("rotation", self.rotation, 0, MAX_ROTATION, "the largest angle in degrees", 5)
        check_between("shift", self.shift, 0, 0.3, "the largest move as a fraction of the image", 0.05)
        check_between("zoom", self.zoom, 0, 1, "the largest enlargement less one", 0.1)

    def layers(self) -> list[Any]:
        """Give one warp."""
        from wellai_exp.augmentation._layers import RandomWarp

        return [RandomWarp(rotation=self.rotation, shift=self.shift, zoom=self.zoom)]
