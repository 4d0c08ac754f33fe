"""Pictures without anybody: drawn ones, and pieces of the two photographs that scikit-learn brings along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.seeding import generator

Image = npt.NDArray[np.uint8]
_SIDE = 256


def person_free(n: int, seed: int) -> list[Image]:
    """Make pictures in which nobody is, of every kind in turn.

    They are easier than the web's: no statues, no dolls, no animals.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Decides each of them.

    Returns
    -------
    list of array of uint8, each of shape (256, 256, 3)
        Landscapes, rooms, charts, pages of text, heaps of round things, textures, logos; and pieces of two photographs
        (a palace, a flower).
    """
    photographs = _photographs()
    kinds: list[Callable[[Any], Image]] = [_landscape, _room, _chart, _page, _round_things, _texture, _logo]
    kinds += [lambda rng, whole=whole: _piece(whole, rng) for whole in photographs] * 2
    return [kinds[index % len(kinds)](generator(seed, "person free", index)) for index in range(n)]


def _photographs() -> list[Image]:
    from sklearn.datasets import load_sample_images

    return [np.asarray(image, np.uint8) for image in load_sample_images().images]


def _piece(whole: Image, rng: np.random.Generator) -> Image:
    import cv2

    side = int(rng.integers(150, min(whole.shape[:2])))
    top, left = (int(rng.integers(0, length - side + 1)) for length in whole.shape[:2])
    piece = cv2.resize(whole[top : top + side, left : left + side], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(piece[:, ::-1] if rng.random() < 0.5 else piece).astype(np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _ground(rng: np.random.Generator) -> Image:
    """Shade one colour into another from top to bottom."""
    ramp = np.linspace(0, 1, _SIDE)[:, None, None]
    shaded = (1 - ramp) * np.array(_colour(rng)) + ramp * np.array(_colour(rng))
    return np.ascontiguousarray(np.broadcast_to(shaded, (_SIDE, _SIDE, 3)).astype(np.uint8))


def _landscape(rng: np.random.Generator) -> Image:
    import cv2

    image = _ground(rng)
    cv2.circle(image, tuple(rng.integers(20, 236, 2).tolist()), int(rng.integers(10, 30)), _colour(rng), -1)
    for _ in range(3):
        heights = rng.integers(90, 240, 9)
        ridge = [[0, _SIDE], *zip(np.linspace(0, _SIDE, 9).astype(int), heights, strict=True), [_SIDE, _SIDE]]
        cv2.fillPoly(image, [np.array(ridge, np.int32)], _colour(rng))
    return image


def _room(rng: np.random.Generator) -> Image:
    import cv2

    image = _ground(rng)
    cv2.rectangle(image, (0, int(rng.integers(150, 210))), (_SIDE, _SIDE), _colour(rng), -1)
    for _ in range(6):
        left, top = rng.integers(0, 200, 2).tolist()
        right, bottom = left + int(rng.integers(20, 120)), top + int(rng.integers(15, 110))
        cv2.rectangle(image, (left, top), (right, bottom), _colour(rng), -1)
        cv2.rectangle(image, (left, top), (right, bottom), _colour(rng), 2)
    return image


def _chart(rng: np.random.Generator) -> Image:
    import cv2

    image = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    for index, height in enumerate(rng.integers(20, 200, 8).tolist()):
        cv2.rectangle(image, (20 + 28 * index, 230 - height), (40 + 28 * index, 230), _colour(rng), -1)
    cv2.line(image, (15, 20), (15, 230), (0, 0, 0), 2)
    cv2.line(image, (15, 230), (245, 230), (0, 0, 0), 2)
    return image


def _page(rng: np.random.Generator) -> Image:
    import cv2

    image = np.full((_SIDE, _SIDE, 3), 250, np.uint8)
    for line in range(24, 250, 16):
        letters = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz   "), 30))
        cv2.putText(image, letters, (10, line), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return image


def _round_things(rng: np.random.Generator) -> Image:
    import cv2

    image = _ground(rng)
    for _ in range(int(rng.integers(8, 30))):
        centre, axes = tuple(rng.integers(0, _SIDE, 2).tolist()), tuple(rng.integers(8, 45, 2).tolist())
        cv2.ellipse(image, centre, axes, float(rng.integers(0, 180)), 0, 360, _colour(rng), -1, cv2.LINE_AA)
    return image


def _texture(rng: np.random.Generator) -> Image:
    import cv2

    coarse = rng.integers(0, 256, (int(rng.integers(4, 64)),) * 2 + (3,), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def _logo(rng: np.random.Generator) -> Image:
    import cv2

    image = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    corners = rng.integers(30, 226, (int(rng.integers(3, 7)), 2)).astype(np.int32)
    cv2.fillPoly(image, [corners], _colour(rng), cv2.LINE_AA)
    letters = "".join(rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 4))
    cv2.putText(image, letters, (30, 230), cv2.FONT_HERSHEY_DUPLEX, 2.0, _colour(rng), 3, cv2.LINE_AA)
    return image
