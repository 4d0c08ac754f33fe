"""What every augmentation policy is and can be asked."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from wellai_exp.errors import SettingError

VERSION = 1
"""The implementation's number: raise it when the same settings begin to give other pixels."""

REGIMES = frozenset({"probe", "finetune", "representation"})
MAX_VIEWS = 32


class Policy(ABC):
    """An augmentation policy: random image operations for training, or a few fixed views of each image for a probe.

    A policy never enters the inference graph: random layers inside an exported model stay active there. Members are
    frozen dataclasses, checked when they are made. None of them ever turns an image upside down, since an inverted
    pose is another class.

    Attributes
    ----------
    name : str
        The option's name, ``augmentation=<name>``.
    regimes : frozenset of str
        Where it can be used, out of ``probe``, ``finetune`` and ``representation``.
    mixes_labels : bool
        Whether `mix` changes anything.
    mirror_view : bool
        Whether view 1 is the plain mirror image; such views are shared by all policies that have them.
    """

    name: ClassVar[str]
    regimes: ClassVar[frozenset[str]] = REGIMES
    mixes_labels: ClassVar[bool] = False
    # What a traced `mix` takes as numbers, so that policies that differ in nothing else share it.
    numbers: ClassVar[tuple[str, ...]] = ()
    views: int

    @property
    def mirror_view(self) -> bool:
        """Whether view 1 is the plain mirror image."""
        return False

    @abstractmethod
    def layers(self) -> list[Any]:
        """Give fresh Keras layers for RGB images in [0, 255], float32 ``[N, H, W, 3]``, in the order of use.

        `view` calls them with single images (``N = 1``), `augment` with whole batches where they draw for each image.
        """

    def check_regime(self, regime: str) -> None:
        """Refuse a regime in which the policy cannot work.

        Raises
        ------
        SettingError
            Naming ``augmentation`` or, for an unknown regime, ``regime``.
        """
        if regime not in REGIMES:
            raise SettingError(
                "regime", regime, f"it must be one of {', '.join(sorted(REGIMES))}", "choose one of these"
            )
        if regime not in self.regimes:
            raise SettingError("augmentation", self.name, *self._refusal(regime))

    def _refusal(self, regime: str) -> tuple[str, str]:
        """Say why `regime` cannot work, and what to do."""
        others = " or ".join(f"regime={other}" for other in sorted(self.regimes))
        return f"it cannot work in the {regime} regime", f"set {others}"

    def augment(self, images: Any, seed: Any) -> Any:
        """Augment a batch, each image by itself, with fresh randomness for each.

        The same images and the same seed give the same result. It can be called eagerly, in a ``tf.function`` and in
        ``tf.data.Dataset.map``; its own graph is traced once for an image size and type. It runs on the CPU.

        Parameters
        ----------
        images : tensor or array
            RGB ``[N, H, W, 3]`` in [0, 255], uint8 or float32. A warp of uint8 costs a fifth and gives whole grey
            levels, so the two types agree but for that rounding.
        seed : int, integer tensor (scalar or ``[2]``) or keras.random.SeedGenerator
            A generator moves on with each call; of the others, pass a new one each step.

        Returns
        -------
        tf.Tensor
            float32 ``[N, H, W, 3]`` in [0, 255].
        """
        import tensorflow as tf

        from wellai_exp.augmentation._streams import seed_pair

        images = tf.convert_to_tensor(images)
        _check_images(images)
        if images.dtype != tf.uint8:
            images = tf.cast(images, tf.float32)
        return _traced_batch(self, images.shape[1], images.shape[2], images.dtype)(images, seed_pair(seed))

    def view(self, images: Any, index: int, keys: Sequence[str]) -> np.ndarray[Any, Any]:
        """Give the `index`-th fixed view of each image.

        A view depends on the policy's settings, `index` and the image's key alone, never on the batch it comes in, so
        its features can be kept and a grown data set computes only what is new.

        Parameters
        ----------
        images : array
            RGB uint8 ``[N, H, W, 3]``.
        index : int
            In ``[0, views)``. View 0 is the image itself.
        keys : sequence of str
            One a image: its content hash.

        Returns
        -------
        array
            uint8 ``[N, H, W, 3]``.

        Raises
        ------
        ValueError
            Where the index, the shape, the type or the number of keys does not fit.
        """
        self._check_index(index)
        images = np.asarray(images)
        _check_images(images)
        if images.dtype != np.uint8:
            raise ValueError(f"views are made from uint8 images, not {images.dtype}")
        if len(keys) != len(images):
            raise ValueError(f"{len(images)} images came with {len(keys)} keys")
        if index == 0 or len(images) == 0:
            return np.asarray(images)
        if index == 1 and self.mirror_view:
            return np.ascontiguousarray(images[:, :, ::-1])
        from wellai_exp.augmentation._streams import image_seeds

        # The seed leaves the strengths out, so that views at two strengths differ in strength only.
        seeds = image_seeds(f"{self.name}\x1f{VERSION}\x1f{index}", keys)
        traced = _traced_views(self, images.shape[1], images.shape[2])
        result: np.ndarray[Any, Any] = traced(images, seeds).numpy()
        return result

    def view_key(self, index: int) -> str:
        """Give a short name for everything that decides the pixels of view `index`, but for the image itself."""
        self._check_index(index)
        if index == 0:
            return "original"
        if index == 1 and self.mirror_view:
            return "mirror"
        text = json.dumps([self.name, VERSION, index, self._pixel_settings()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _pixel_settings(self) -> dict[str, Any]:
        """Give the settings that decide pixels; numbers as floats, so that 1 and 1.0 are one setting."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "views"}  # type: ignore[arg-type]
        return {
            key: float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
            for key, value in settings.items()
        }

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.views:
            raise ValueError(f"augmentation={self.name} has views 0 to {self.views - 1}, not {index}")

    def mix(self, x: Any, targets: Any, weights: Any, seed: Any) -> tuple[Any, Any, Any]:
        """Mix rows with other rows of the same fold, and their targets with them.

        Pure in its arguments, so it can run in a ``tf.function`` with a seed tensor a step. Policies that mix nothing
        return their input.

        Parameters
        ----------
        x : tensor
            Features ``[..., N, D]`` or images ``[..., N, H, W, 3]``; the leading axes, if any, are folds, and no row
            leaves its fold.
        targets : tensor
            float ``[..., N, C]``; each row sums to 1.
        weights : tensor
            float ``[..., N]``, at least 0. A row of weight 0 is padding: it stays as it is and enters no other row.
        seed : int, integer tensor (scalar or ``[2]``) or keras.random.SeedGenerator

        Returns
        -------
        tuple
            x, targets and weights, of the same shapes.

        Raises
        ------
        ValueError
            Where the shapes do not fit each other.
        """
        if not self.mixes_labels:
            return x, targets, weights
        from keras import ops

        from wellai_exp.augmentation._streams import SeedStream, seed_pair

        x, targets, weights = (ops.cast(value, "float32") for value in (x, targets, weights))
        rows = len(weights.shape)
        if len(targets.shape) != rows + 1 or len(x.shape) <= rows:
            shapes = ", ".join(str(tuple(value.shape)) for value in (x, targets, weights))
            raise ValueError(f"x, targets and weights must be [..., N, D], [..., N, C] and [..., N], not {shapes}")
        return self._mix(x, targets, weights, SeedStream().restart(seed_pair(seed)))

    def _mix(self, x: Any, targets: Any, weights: Any, stream: Any) -> tuple[Any, Any, Any]:
        """Mix checked float32 tensors, drawing from `stream`."""
        raise NotImplementedError


def _check_images(images: Any) -> None:
    if len(images.shape) != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must be [N, H, W, 3], not {tuple(images.shape)}")


def _one_image(layers: Sequence[Any]) -> Any:
    """Give a function (image ``[H, W, 3]``, seed ``[2]``) -> float32 ``[H, W, 3]`` in [0, 255]."""
    import tensorflow as tf

    from wellai_exp.augmentation._streams import SeedStream, attach

    stream = SeedStream()
    for layer in layers:
        attach(layer, stream)

    def one(image: Any, seed: Any) -> Any:
        stream.restart(seed)
        batch = tf.cast(image, tf.float32)[None]
        for layer in layers:
            batch = layer(batch, training=True)
        return tf.ensure_shape(tf.clip_by_value(batch[0], 0.0, 255.0), image.shape)

    return one


def _whole_batch(layer: Any) -> Any:
    """Give a function (images, seed ``[2]``) -> images, for a layer that draws for each image."""
    import tensorflow as tf

    from wellai_exp.augmentation._layers import RandomWarp
    from wellai_exp.augmentation._streams import SeedStream, attach

    stream = SeedStream()
    attach(layer, stream)

    def whole(images: Any, seed: Any) -> Any:
        stream.restart(seed)
        return layer(images if isinstance(layer, RandomWarp) else tf.cast(images, tf.float32), training=True)

    return whole


def _image_by_image(layer: Any) -> Any:
    """Give a function (images, seed ``[2]``) -> images, for a layer that would choose once for a whole batch."""
    import tensorflow as tf

    one = _one_image([layer])

    def each(images: Any, seed: Any) -> Any:
        return _map_images(one, images, _draw_seeds(tf.shape(images)[0], seed), lambda image: image, tf.float32)

    return each


def _draw_seeds(count: Any, seed: Any) -> Any:
    """Draw int32 ``[count, 2]`` seeds from one of shape ``[2]``."""
    import tensorflow as tf

    return tf.random.stateless_uniform([count, 2], seed=seed, minval=0, maxval=0x3FFFFFFF, dtype=tf.int32)


def _map_images(one: Any, images: Any, seeds: Any, finish: Any, dtype: Any) -> Any:
    """Apply `one` to each image with its own seed: so no image's result depends on its neighbours."""
    import tensorflow as tf

    return tf.map_fn(
        lambda pair: finish(one(*pair)),
        (images, seeds),
        fn_output_signature=tf.TensorSpec(images.shape[1:], dtype),
        parallel_iterations=4,
    )


def _fresh_layers(policy: Policy) -> list[Any]:
    import tensorflow as tf

    # The layers' own seed variables must belong to no graph, even where this is reached from within one.
    with tf.init_scope():
        return policy.layers()


@lru_cache(maxsize=64)
def _traced_views(policy: Policy, height: int, width: int) -> Any:
    """Give the traced function (uint8 images, seeds ``[N, 2]``) -> uint8 views."""
    import tensorflow as tf

    one = _one_image(_fresh_layers(policy))

    signature = [tf.TensorSpec([None, height, width, 3], tf.uint8), tf.TensorSpec([None, 2], tf.int32)]

    def views(images: Any, seeds: Any) -> Any:
        # On the CPU everywhere, so that a view is the same on every machine.
        with tf.device("CPU:0"):
            return _map_images(one, images, seeds, lambda image: tf.cast(tf.round(image), tf.uint8), tf.uint8)

    return tf.function(views, input_signature=signature)


@lru_cache(maxsize=64)
def _traced_batch(policy: Policy, height: int | None, width: int | None, dtype: Any) -> Any:
    """Give the traced function (images of `dtype`, seed ``[2]``) -> float32 images."""
    import tensorflow as tf

    from wellai_exp.augmentation._layers import draws_for_each_image

    layers = _fresh_layers(policy)
    changes = [_whole_batch(layer) if draws_for_each_image(layer) else _image_by_image(layer) for layer in layers]

    signature = [tf.TensorSpec([None, height, width, 3], dtype), tf.TensorSpec([2], tf.int64)]

    def batch(images: Any, seed: Any) -> Any:
        small = tf.cast(tf.math.floormod(seed, 0x3FFFFFFF), tf.int32)
        with tf.device("CPU:0"):
            # Drawn, so that no two layers and no two steps whose seeds are neighbours share their numbers.
            for change, own in zip(changes, tf.unstack(_draw_seeds(len(changes), small)), strict=True):
                images = change(images, own)
            return tf.cast(images, tf.float32)

    return tf.function(batch, input_signature=signature)
