"""Supervised contrastive learning (Khosla et al. 2020, arXiv 2004.11362), as a warm-up of a network that classifies.

Shapes: N images (every view of an image counts as one), D features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.seeding import derive_seed


@dataclass(frozen=True)
class ContrastiveWarmUp:
    """Epochs of contrastive learning before the classifier joins.

    Parameters
    ----------
    epochs : int
        How many; 0 for none.
    temperature : float
        What the similarities are divided by.
    projection : int
        Width of the space in which images are compared.
    """

    epochs: int = 0
    temperature: float = 0.1
    projection: int = 128

    def __post_init__(self) -> None:
        whole = {name: isinstance(getattr(self, name), int) for name in ("epochs", "projection")}
        number = isinstance(self.temperature, (int, float))
        self._check("epochs", whole["epochs"] and self.epochs >= 0, "a whole number, 0 or more", 0)
        self._check("temperature", number and 0 < self.temperature < float("inf"), "above 0", 0.1)
        self._check("projection", whole["projection"] and self.projection >= 1, "a whole number, at least 1", 128)

    def _check(self, name: str, fine: bool, need: str, example: object) -> None:
        if not fine:
            setting = f"regime.contrastive.{name}"
            raise SettingError(setting, getattr(self, name), f"it must be {need}", f"set {setting}={example}")


def projection(dim: int, width: int, seed: int) -> Any:
    """Give the network that maps features [N, D] to where they are compared, [N, width]; thrown away after the warm-up.

    One hidden layer of D ReLU units, as in section 3.1 of the paper.

    Parameters
    ----------
    dim : int
        D.
    width : int
        Its outputs.
    seed : int
        Of its starting weights.

    Returns
    -------
    keras.Sequential
        Built.
    """
    import keras

    first, second = (keras.initializers.GlorotUniform(derive_seed(seed, "projection", layer)) for layer in (1, 2))
    return keras.Sequential(
        [
            keras.Input((dim,)),
            keras.layers.Dense(dim, activation="relu", kernel_initializer=first, name="hidden"),
            keras.layers.Dense(width, kernel_initializer=second, name="compared"),
        ],
        name="projection",
    )


def anchors(labels: Any) -> Any:
    """Tell which images have another of their class in the batch: 1 or 0, float32 [N].

    Parameters
    ----------
    labels : [N, C]
        One-hot; a row of zeros is of no class.
    """
    from keras import ops

    return ops.cast(ops.sum(_positives(labels), axis=-1) > 0, "float32")


def supervised_contrastive_loss(features: Any, labels: Any, temperature: float) -> Any:
    """Give the loss of each image as an anchor among the others of its batch (L_out, equation 2).

    The batch's loss is the mean over anchors that have a positive: the sum of these losses over that of
    :func:`anchors`.

    Parameters
    ----------
    features : [N, D]
        Of any length; they are compared by direction, and a row of zeros is like nothing.
    labels : [N, C]
        One-hot; a row of zeros is of no class, and every other image's negative.
    temperature : float
        Above 0.

    Returns
    -------
    float32 [N]
        0 for an image without another of its class.
    """
    from keras import ops

    rows = ops.cast(features, "float32")
    # ops.normalize would give a row of zeros a gradient that is no number.
    unit = rows * ops.rsqrt(ops.maximum(ops.sum(ops.square(rows), axis=-1, keepdims=True), 1e-12))
    similarity = ops.matmul(unit, ops.transpose(unit)) / temperature
    positives = _positives(labels)
    others = ops.where(_itself(labels), float(np.finfo(np.float32).min), similarity)
    log_share = similarity - ops.logsumexp(others, axis=-1, keepdims=True)
    return -ops.sum(positives * log_share, axis=-1) / ops.maximum(ops.sum(positives, axis=-1), 1.0)


def _positives(labels: Any) -> Any:
    """Give 1 where two different images are of one class, else 0: float32 [N, N]."""
    from keras import ops

    classes = ops.cast(labels, "float32")
    return ops.where(_itself(labels), 0.0, ops.matmul(classes, ops.transpose(classes)))


def _itself(labels: Any) -> Any:
    """Say where an image would be compared with itself: bool [N, N]."""
    from keras import ops

    place = ops.arange(ops.shape(labels)[0])
    return place[:, None] == place[None, :]
