"""Photographs of nothing: pictures with enough in them that every check of single files lets them pass."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

Image = npt.NDArray[np.uint8]


def scene(seed: int, width: int = 200, height: int = 150) -> Image:
    """Draw coloured shapes on a shaded ground, uint8 [height, width, 3], red first."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.integers(5, width // 4)), int(rng.integers(5, height // 4)))
        cv2.ellipse(image, centre, axes, float(rng.integers(0, 180)), 0, 360, colour, -1)
    return np.asarray(image, np.uint8)


def save(path: Path, image: Image, **options: Any) -> Path:
    """Write a picture in the format of its suffix, or of the option ``format``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(image).save(path, **({"quality": 92} if path.suffix == ".jpg" else {}) | options)
    return path


def encoded(image: Image, kind: str, **options: Any) -> bytes:
    """Give the bytes of a picture in one of Pillow's formats."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def folder_of_scenes(root: Path, classes: int = 3, each: int = 6) -> Path:
    """Fill class folders with different scenes."""
    for label in range(classes):
        for index in range(each):
            save(root / f"pose {label}" / f"{index:03d}.jpg", scene(1000 * label + index))
    return root
