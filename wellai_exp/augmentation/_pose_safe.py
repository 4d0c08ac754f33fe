"""Everything that leaves a pose what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._checks import MAX_ROTATION, check_between, check_count, check_flag
from wellai_exp.augmentation._policy import MAX_VIEWS, Policy
from wellai_exp.errors import SettingError

_LIMITS: dict[str, tuple[float, str]] = {
    "rotation": (MAX_ROTATION, "the largest angle in degrees"),
    "zoom": (1.0, "the largest enlargement less one"),
    "shift": (0.3, "the largest move as a fraction of the image"),
    "shear": (0.3, "the largest tangent of the shear"),
    "perspective": (0.3, "the largest tilt"),
    "brightness": (0.8, "the largest change of light"),
    "contrast": (0.8, "the largest change of contrast"),
    "saturation": (1.0, "the largest change of saturation"),
    "hue": (0.5, "the largest turn of the hue"),
    "erasing": (1.0, "the probability that a part is hidden"),
    "erasing_area": (0.5, "the largest part hidden"),
}


@dataclass(frozen=True)
class PoseSafe(Policy):
    """Changes of camera, light and view that leave a pose what it is; never upside down, never far from upright.

    Each amount is multiplied by `strength` and is the largest change either way, drawn uniformly.

    Parameters
    ----------
    views : int
        Fixed views of an image in a probe, itself included.
    strength : float
        Factor for all amounts but `flip`.
    flip : bool
        Mirror left to right with probability 1/2.
    rotation : float
        Degrees; times `strength` at most 30, so that who stands stays standing.
    zoom : float
        Enlargement less one.
    shift : float
        Fraction of width and of height.
    shear : float
        Tangent of the horizontal shear.
    perspective : float
        Relative change of scale from the centre to the edge.
    brightness, contrast, saturation : float
        Change of the factor.
    hue : float
        Turn of the hue, as a fraction of the full circle.
    erasing : float
        Probability that a rectangle is hidden.
    erasing_area : float
        Largest part of the image hidden.
    """

    name: ClassVar[str] = "pose_safe"
    views: int = 4
    strength: float = 1.0
    flip: bool = True
    rotation: float = 12.0
    zoom: float = 0.2
    shift: float = 0.08
    shear: float = 0.08
    perspective: float = 0.08
    brightness: float = 0.2
    contrast: float = 0.15
    saturation: float = 0.2
    hue: float = 0.01
    erasing: float = 0.2
    erasing_area: float = 0.1

    def __post_init__(self) -> None:
        check_count("views", self.views, 1, MAX_VIEWS, "the number of views", 4)
        check_flag("flip", self.flip)
        # Strength 0 would make every view a copy of the image.
        check_between("strength", self.strength, 0.05, 4, "the factor of all amounts", 1)
        for setting, (limit, meaning) in _LIMITS.items():
            value = getattr(self, setting)
            check_between(setting, value, 0, limit, meaning, f"{limit / 4:g}")
            if value * self.strength > limit:
                raise SettingError(
                    f"augmentation.{setting}",
                    value,
                    f"{meaning} is at most {limit:g}, and strength={self.strength:g} makes it "
                    f"{value * self.strength:g}",
                    f"set augmentation.{setting}={limit / self.strength:.3g} or a smaller augmentation.strength",
                )

    def layers(self) -> list[Any]:
        """Give a warp, a change of colours and an erasure."""
        from wellai_exp.augmentation._layers import RandomColour, RandomErase, RandomWarp

        amount = {setting: getattr(self, setting) * self.strength for setting in _LIMITS}
        geometry = {key: amount[key] for key in ("rotation", "zoom", "shift", "shear", "perspective")}
        colour = {key: amount[key] for key in ("brightness", "contrast", "saturation", "hue")}
        return [
            RandomWarp(flip=self.flip, **geometry),
            RandomColour(**colour),
            RandomErase(amount["erasing"], amount["erasing_area"]),
        ]
