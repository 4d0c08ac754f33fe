"""What a camera, a hand or a network connection may do to a photograph, at strengths in units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError
from wellai_exp.seeding import derive_seed

Image = npt.NDArray[np.uint8]
Apply = Callable[[Image, float, np.random.Generator], Any]

# Sigmas of the blur are given at this side, so that one strength hides the same detail from networks of every size.
_BLUR_SIDE = 224


@dataclass(frozen=True)
class Perturbation:
    """One kind of change to an image, at one strength or several.

    Parameters
    ----------
    name : str
        Its name.
    unit : str
        What the strengths count.
    strengths : tuple of float
        From the weakest to the strongest.
    apply : callable
        ``apply(image, strength, rng)`` gives the changed image [S, S, 3], as any real numbers.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Apply

    def __post_init__(self) -> None:
        if not self.strengths:
            raise SettingError("strengths", [], f"{self.name} has no strength to apply", "give at least one")

    def __call__(self, images: Image, strength: float, seed: int, first: int = 0) -> Image:
        """Change a batch of images.

        Parameters
        ----------
        images : ndarray of uint8, shape [B, S, S, 3]
            RGB.
        strength : float
            One of `strengths`, or any other value in the unit.
        seed : int
            With an image's row it decides what is drawn (a direction, a sign, noise). The strength does not: a stronger
            change of an image is more of the same.
        first : int
            The row of the first image, so that batches of another size change nothing.

        Returns
        -------
        ndarray of uint8, shape [B, S, S, 3]
        """
        changed = np.empty_like(images)
        for index, image in enumerate(images):
            rng = np.random.default_rng(derive_seed(seed, self.name, first + index))
            result = np.asarray(self.apply(image, strength, rng))
            changed[index] = result if result.dtype == np.uint8 else np.clip(np.rint(result), 0, 255)
        return changed

    def shown(self, strength: float) -> str:
        """Give a strength in print; the only one there is is merely on."""
        return f"{strength:g}" if len(self.strengths) > 1 else "on"


def _warped(image: Image, matrix: npt.NDArray[np.float64]) -> Image:
    import cv2

    # Edges are drawn out, as in training's warps: a border of one colour would be a perturbation of its own.
    size = image.shape[1], image.shape[0]
    warped = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _about_the_centre(image: Image, degrees: float, factor: float) -> Image:
    import cv2

    height, width = image.shape[:2]
    return _warped(image, cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, factor))


def _either(rng: np.random.Generator) -> int:
    return int(rng.integers(2)) * 2 - 1


def _rotation(image: Image, degrees: float, rng: np.random.Generator) -> Image:
    return _about_the_centre(image, degrees * _either(rng), 1.0)


def _shift(image: Image, share: float, rng: np.random.Generator) -> Image:
    angle = rng.uniform(0.0, 2 * math.pi)
    right, down = share * image.shape[1] * math.cos(angle), share * image.shape[0] * math.sin(angle)
    return _warped(image, np.array([[1.0, 0.0, right], [0.0, 1.0, down]]))


def _scale(image: Image, factor: float, rng: np.random.Generator) -> Image:
    return _about_the_centre(image, 0.0, factor ** _either(rng))


def _brightness(image: Image, factor: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return image * np.float32(factor ** _either(rng))


def _blur(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * max(image.shape[:2]) / _BLUR_SIDE), np.uint8)


def _noise(image: Image, levels: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return image + np.float32(levels) * rng.standard_normal(image.shape, np.float32)


def _jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    import cv2

    # The codec takes blue first, and gives red first where asked.
    _, coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB), np.uint8)


def _mirror(image: Image, _: float, rng: np.random.Generator) -> Image:
    return image[:, ::-1]


PERTURBATIONS = (
    Perturbation("rotation", "degrees, either way", (5.0, 15.0, 30.0), _rotation),
    Perturbation("shift", "share of the side, any way", (0.05, 0.1, 0.2), _shift),
    Perturbation("scale", "factor, up or down", (1.15, 1.35, 1.7), _scale),
    Perturbation("brightness", "factor, up or down", (1.3, 1.8, 2.5), _brightness),
    Perturbation("blur", f"sigma, px at {_BLUR_SIDE} px", (1.0, 2.0, 4.0), _blur),
    Perturbation("noise", "sigma, grey levels", (10.0, 25.0, 50.0), _noise),
    Perturbation("jpeg", "quality, 0 to 100", (40.0, 20.0, 8.0), _jpeg),
    Perturbation("mirror", "left to right", (1.0,), _mirror),
)
"""What a photograph of a pose meets between a camera and the network, after the kinds of corruption and the fixed steps
of severity of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019 (arXiv 1903.12261); the strengths are our own, from hardly visible to barely legible."""
