"""RandAugment for people who stay upright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._checks import MAX_ROTATION, check_between, check_count, check_flag
from wellai_exp.augmentation._policy import MAX_VIEWS, Policy


@dataclass(frozen=True)
class RandAugment(Policy):
    """A few operations chosen at random out of eleven, at one magnitude (Cubuk et al. 2020, arXiv 1909.13719).

    Keras' layer at its default turns images by up to 180 degrees; here rotation has its own bound.

    Parameters
    ----------
    views : int
        Fixed views of an image in a probe, itself included.
    operations : int
        Operations an image passes through (the paper's N).
    magnitude : float
        Strength of each, in (0, 1] (the paper's M over 10).
    rotation : float
        Largest angle, degrees, at magnitude 1.
    flip : bool
        Mirror left to right with probability 1/2, before.
    """

    name: ClassVar[str] = "rand_augment"
    views: int = 4
    operations: int = 2
    magnitude: float = 0.4
    rotation: float = 30.0
    flip: bool = True

    def __post_init__(self) -> None:
        check_count("views", self.views, 1, MAX_VIEWS, "the number of views", 4)
        check_count("operations", self.operations, 1, 6, "the number of operations", 2)
        check_between("magnitude", self.magnitude, 0.01, 1, "the magnitude of the operations", 0.4)
        check_between("rotation", self.rotation, 0, MAX_ROTATION, "the largest angle in degrees", 30)
        check_flag("flip", self.flip)

    def layers(self) -> list[Any]:
        """Give a horizontal flip, if asked for, and RandAugment."""
        import keras

        from wellai_exp.augmentation._layers import UprightRandAugment

        flips = [keras.layers.RandomFlip("horizontal", dtype="float32")] if self.flip else []
        return [*flips, UprightRandAugment(self.operations, self.magnitude, self.rotation)]
