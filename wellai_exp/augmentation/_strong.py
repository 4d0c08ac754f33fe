"""Strong augmentation, for representations learnt from few images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._checks import check_between
from wellai_exp.augmentation._pose_safe import PoseSafe


@dataclass(frozen=True)
class Strong(PoseSafe):
    """`PoseSafe` with larger amounts, and grey and blurred images (as SimCLR, Chen et al. 2020, arXiv 2002.05709).

    Parameters
    ----------
    grayscale : float
        Probability that an image loses its colours.
    blur : float
        Probability that an image is blurred, by a Gaussian of 0.1 to 1.5 pixels.
    """

    name: ClassVar[str] = "strong"
    rotation: float = 20.0
    zoom: float = 0.4
    shift: float = 0.12
    shear: float = 0.15
    perspective: float = 0.12
    brightness: float = 0.35
    contrast: float = 0.3
    saturation: float = 0.4
    hue: float = 0.03
    erasing: float = 0.4
    erasing_area: float = 0.15
    grayscale: float = 0.1
    blur: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("grayscale", self.grayscale, 0, 1, "the probability of a grey image", 0.1)
        check_between("blur", self.blur, 0, 1, "the probability of a blurred image", 0.2)

    def layers(self) -> list[Any]:
        """Give `PoseSafe`'s layers with Keras' RandomGrayscale and a blur before the erasure."""
        import keras

        from wellai_exp.augmentation._layers import EdgeBlur

        warp, colour, erase = super().layers()
        grey = keras.layers.RandomGrayscale(self.grayscale, dtype="float32")
        # Two equal bounds: Keras draws the probability itself between them.
        blur = EdgeBlur((self.blur, self.blur), kernel_size=7, sigma=(0.1, 1.5), value_range=(0, 255), dtype="float32")
        return [warp, colour, grey, blur, erase]
