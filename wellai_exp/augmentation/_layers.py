"""Keras layers of our own, where Keras' would resample an image many times, or turn a person upside down."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

GREY = (124.0, 117.0, 104.0)
"""ImageNet's mean colour: the most neutral thing to put where a photograph is hidden."""

_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype="float32")
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ).astype("float32")
_LUMA = _RGB_TO_YIQ[0]


class _RandomLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer with a seed generator, as Keras' random layers have; active where ``training`` is true."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(dtype="float32", trainable=False)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def _draw(self, images: Any, count: int) -> list[Any]:
        """Draw `count` numbers an image, each ``[N]``, uniform in [-1, 1)."""
        numbers = keras.random.uniform((ops.shape(images)[0], count), -1.0, 1.0, dtype="float32", seed=self.generator)
        return [numbers[:, i] for i in range(count)]


class RandomWarp(_RandomLayer):
    """Mirror, rotate, zoom, shear, tilt and shift in one projective map, so that pixels are interpolated once.

    Keras' RandomRotation, RandomZoom, RandomShear, RandomTranslation and RandomPerspective in a row interpolate five
    times: slower, and each blurs. RandomPerspective fills with a constant only. All amounts are symmetrical about
    "unchanged", around the image's centre, and bounded so that up stays up. Beyond the edge the nearest pixel is
    repeated: seen on photographs, a reflection grows second heads and upside-down feet, and a constant draws frames.

    Parameters
    ----------
    flip : bool
        Mirror left to right with probability 1/2.
    rotation : float
        Largest angle, degrees.
    zoom : float
        Largest enlargement less one: 0.2 draws a scale from 1/1.2 to 1.2, uniform in its logarithm.
    shift : float
        Largest move, as a fraction of width and of height.
    shear : float
        Largest tangent of the horizontal shear.
    perspective : float
        Largest tilt: the relative change of scale from the centre to the longer side's edge.
    """

    def __init__(
        self,
        flip: bool = True,
        rotation: float = 0.0,
        zoom: float = 0.0,
        shift: float = 0.0,
        shear: float = 0.0,
        perspective: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.flip = flip
        self.rotation = rotation
        self.zoom = zoom
        self.shift = shift
        self.shear = shear
        self.perspective = perspective

    def call(self, images: Any, training: bool = True) -> Any:
        """Warp images ``[N, H, W, 3]``; of uint8, by cv2 in whole grey levels, at a fifth of the cost."""
        if not training:
            return images
        transforms = self._transform(images)
        if keras.backend.standardize_dtype(images.dtype) == "uint8":
            return _warped_whole(images, transforms)
        return ops.image.affine_transform(
            images, transforms, interpolation="bilinear", fill_mode="nearest", data_format="channels_last"
        )

    def _transform(self, images: Any) -> Any:
        """Give ``[N, 8]``: the map from a pixel of the result to a pixel of the image, row by row, last entry 1."""
        mirror, turn, zoom, right, down, shear, tilt_x, tilt_y = self._draw(images, 8)
        height, width = ops.cast(ops.shape(images)[1], "float32"), ops.cast(ops.shape(images)[2], "float32")
        half = ops.maximum(height, width) / 2.0
        sign = ops.where(mirror < 0.0, -1.0, 1.0) if self.flip else ops.ones_like(mirror)
        angle = turn * math.radians(self.rotation)
        scale = ops.exp(zoom * math.log1p(self.zoom))
        slope = shear * self.shear
        cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
        # Linear part: mirror · rotate and zoom · shear, in units of half the longer side around the centre.
        a, b = sign * cos, sign * (cos * slope - sin)
        c, d = sin, sin * slope + cos
        p, q = tilt_x * self.perspective / half, tilt_y * self.perspective / half
        move_x, move_y = right * self.shift * width, down * self.shift * height
        cx, cy = (width - 1.0) / 2.0, (height - 1.0) / 2.0
        # Pixels: x = cx + move_x + (a u + b v) / (1 + p u + q v) with u = x' - cx and v = y' - cy.
        x0, y0 = cx + move_x, cy + move_y
        last = 1.0 - p * cx - q * cy
        entries = [
            a + x0 * p,
            b + x0 * q,
            x0 * last - a * cx - b * cy,
            c + y0 * p,
            d + y0 * q,
            y0 * last - c * cx - d * cy,
            p,
            q,
        ]
        return ops.stack(entries, axis=1) / last[:, None]


def _warped_whole(images: Any, transforms: Any) -> Any:
    """Warp uint8 images ``[N, H, W, 3]`` by ``[N, 8]`` as `RandomWarp` gives them."""
    import cv2
    import tensorflow as tf

    def warp(pixels: Any, maps: Any) -> Any:
        warped = np.empty_like(pixels)
        matrices = np.concatenate([maps, np.ones_like(maps[:, :1])], axis=1).reshape(-1, 3, 3)
        for source, matrix, target in zip(pixels, matrices, warped, strict=True):
            cv2.warpPerspective(
                source,
                matrix,
                (source.shape[1], source.shape[0]),
                dst=target,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return warped

    # Called stateful, op determinism would take its parallel calls and its prefetching from a tf.data pipeline.
    warped = tf.numpy_function(warp, [images, transforms], tf.uint8, stateful=False)
    return tf.ensure_shape(warped, images.shape)


class RandomColour(_RandomLayer):
    """Change light, contrast, saturation and hue in one linear map of the colours.

    Light multiplies all channels (exposure); contrast spreads them about the image's mean grey; saturation blends with
    the grey image; hue turns the chrominance plane of YIQ (the linear approximation of an HSV hue shift, with no cost
    for the conversion). Keras' four layers convert to HSV and back twice, and let saturation leave [0, 1].

    Parameters
    ----------
    brightness, contrast, saturation : float
        Largest change of the factor, which is drawn from ``[1 - x, 1 + x]``.
    hue : float
        Largest turn, as a fraction of the full circle.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def call(self, images: Any, training: bool = True) -> Any:
        """Change float images ``[N, H, W, 3]`` in [0, 255]; the result is clipped to that range."""
        if not training:
            return images
        light, contrast, saturation, hue = self._draw(images, 4)
        light = 1.0 + light * self.brightness
        contrast = 1.0 + contrast * self.contrast
        saturation = 1.0 + saturation * self.saturation
        angle = hue * (2.0 * math.pi * self.hue)
        zero, one = ops.zeros_like(angle), ops.ones_like(angle)
        cos, sin = saturation * ops.cos(angle), saturation * ops.sin(angle)
        # Saturation and hue leave luma alone: in YIQ they scale and turn (I, Q).
        yiq = ops.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], axis=1)
        matrix = ops.matmul(ops.matmul(_YIQ_TO_RGB, ops.reshape(yiq, (-1, 3, 3))), _RGB_TO_YIQ)
        # A whole grey level, so that the order in which a machine sums the pixels cannot change the picture.
        mean = ops.round(ops.sum(ops.mean(images, axis=(1, 2)) * _LUMA, axis=-1))
        matrix = matrix * (light * contrast)[:, None, None]
        offset = light * (1.0 - contrast) * mean
        shape = ops.shape(images)
        pixels = ops.reshape(images, (shape[0], shape[1] * shape[2], 3))
        changed = ops.matmul(pixels, ops.transpose(matrix, (0, 2, 1))) + offset[:, None, None]
        return ops.reshape(ops.clip(changed, 0.0, 255.0), shape)


class RandomErase(_RandomLayer):
    """Hide one rectangle behind neutral grey (Zhong et al., AAAI 2020, arXiv 1708.04896; DeVries & Taylor 2017).

    Keras' RandomErasing does the same with full-size masks and fills, at a tenth of the speed.

    Parameters
    ----------
    probability : float
        That an image is hidden in part.
    area : float
        Largest part of the image hidden; the least is a fifth of it. The sides' ratio lies between 1/2 and 2.
    """

    def __init__(self, probability: float, area: float, seed: int | None = None) -> None:
        super().__init__(seed)
        self.probability = probability
        self.area = area

    def call(self, images: Any, training: bool = True) -> Any:
        """Hide a part of float images ``[N, H, W, 3]``."""
        if not training:
            return images
        chance, area, ratio, x, y = self._draw(images, 5)
        rows, columns = ops.shape(images)[1], ops.shape(images)[2]
        part = self.area * (0.6 + 0.4 * area)
        stretch = ops.exp(0.5 * math.log(2.0) * ratio)
        used = ops.where((chance + 1.0) / 2.0 < self.probability, 1.0, 0.0)
        height, width = ops.sqrt(part) * stretch * used, ops.sqrt(part) / stretch * used
        # Rows of 3 W numbers: over a last axis of 3, the choice takes four times as long.
        inside_x = ops.repeat(_inside(x, width, columns), 3, axis=1)
        hidden = ops.logical_and(_inside(y, height, rows)[:, :, None], inside_x[:, None, :])
        grey = ops.tile(ops.convert_to_tensor(GREY, "float32"), [columns])
        flat = ops.reshape(images, (-1, rows, 3 * columns))
        return ops.reshape(ops.where(hidden, grey, flat), ops.shape(images))


def draws_for_each_image(layer: Any) -> bool:
    """Say whether a layer draws anew for each image of a batch; the others choose once for all they are given."""
    return isinstance(layer, _RandomLayer | keras.layers.RandomFlip | keras.layers.RandomGrayscale)


def _inside(centre: Any, length: Any, pixels: Any) -> Any:
    """Say which of `pixels` positions lie within a stretch of relative `length`; `centre` in [-1, 1] places it."""
    place = (ops.cast(ops.arange(pixels), "float32") + 0.5) / ops.cast(pixels, "float32")
    start = (centre + 1.0) / 2.0 * (1.0 - length)
    return ops.logical_and(place >= start[:, None], place < (start + length)[:, None])


def _beyond_edges(images: Any, margin: int, change: Any) -> Any:
    """Apply `change` to images continued past their edges: Keras' convolutions would mix in a black frame."""
    padded = ops.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]], mode="symmetric")
    return change(padded)[:, margin:-margin, margin:-margin, :]


class EdgeBlur(keras.layers.RandomGaussianBlur):  # type: ignore[misc]
    """Keras' RandomGaussianBlur without the dark frame that its zero padding leaves."""

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        """Blur float images ``[N, H, W, 3]``."""
        plain = super().transform_images
        return _beyond_edges(images, max(self.kernel_size) // 2, lambda x: plain(x, transformation, training))


class EdgeSharpness(keras.layers.RandomSharpness):  # type: ignore[misc]
    """Keras' RandomSharpness without the frame that its zero padding leaves."""

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        """Sharpen or soften float images ``[N, H, W, 3]``."""
        plain = super().transform_images
        return _beyond_edges(images, 1, lambda x: plain(x, transformation, training))


class HighSolarization(keras.layers.Solarization):  # type: ignore[misc]
    """Invert what is brighter than a threshold of at least ``255 (1 - magnitude)``, as RandAugment's paper has it.

    Keras draws the threshold from 0 to ``255 · factor``, so the weaker the factor, the more is inverted.
    """

    def __init__(self, magnitude: float, **kwargs: Any) -> None:
        super().__init__(value_range=(0, 255), **kwargs)
        self.magnitude = magnitude

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Draw a threshold for each of the images ``[N, H, W, 3]``."""
        if not training:
            return None
        seed = self.generator if seed is None else seed
        shape = (ops.shape(data)[0], 1, 1, 1)
        thresholds = keras.random.uniform(shape, 255.0 * (1.0 - self.magnitude), 255.0, dtype="float32", seed=seed)
        return {"additions": ops.zeros_like(thresholds), "thresholds": thresholds}


class UprightRandAugment(keras.layers.RandAugment):  # type: ignore[misc]
    """Keras' RandAugment with amounts that leave people upright (Cubuk et al. 2020, arXiv 1909.13719).

    Keras 3.15 draws rotations from 0 to ``factor`` turns (180 degrees at its default 0.5), moves and brightens one way
    only, posterises down to 1 bit whatever the factor, solarises the more the *weaker* the factor, and chooses one set
    of operations for a whole batch. Here rotation has its own bound, amounts are symmetrical, posterisation (8 to 4
    bits) and solarisation follow the paper, and only the operation chosen is computed. Call it on one image at a time
    to choose operations for each.

    Parameters
    ----------
    operations : int
        How many operations an image passes through.
    magnitude : float
        In [0, 1]; 1 is the paper's M = 10 of 10.
    rotation : float
        Largest angle, degrees, at magnitude 1.
    """

    def __init__(self, operations: int, magnitude: float, rotation: float, seed: int | None = None) -> None:
        kwargs: dict[str, Any] = {"dtype": "float32", "seed": seed}
        super().__init__(value_range=(0, 255), num_ops=operations, factor=magnitude, **kwargs)
        amount = 0.3 * magnitude
        self.random_shear = keras.layers.RandomShear(amount, amount, fill_mode="nearest", **kwargs)
        self.random_translation = keras.layers.RandomTranslation(amount, amount, fill_mode="nearest", **kwargs)
        self.random_rotation = keras.layers.RandomRotation(rotation * magnitude / 360.0, fill_mode="nearest", **kwargs)
        self.random_brightness = keras.layers.RandomBrightness(0.5 * magnitude, value_range=(0, 255), **kwargs)
        self.random_sharpness = EdgeSharpness(magnitude, value_range=(0, 255), **kwargs)
        bits = (round(7 - 3 * magnitude), 8)
        self.random_posterization = keras.layers.RandomPosterization(bits, value_range=(0, 255), **kwargs)
        self.solarization = HighSolarization(magnitude, **kwargs)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Apply the chosen operations to float images ``[N, H, W, 3]`` in [0, 255]."""
        images = ops.cast(images, "float32")
        if not training:
            return images
        names = list(transformation["transforms"])

        def branch(name: str) -> Any:
            layer, amount = getattr(self, name), transformation["transforms"][name]
            return lambda x: ops.reshape(ops.clip(layer.transform_images(x, amount), 0.0, 255.0), ops.shape(x))

        for i in range(self.num_ops):
            images = ops.switch(transformation["layer_idxes"][i], [branch(name) for name in names], images)
        return images
