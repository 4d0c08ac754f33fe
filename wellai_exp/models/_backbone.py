"""What every backbone promises: images in, pooled features out, and a key for keeping those features."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from wellai_exp.errors import SettingError

if TYPE_CHECKING:
    import keras

LARGEST_SIZE = 1024

# Enters every feature key: raise it when the same settings begin to give other features.
_FEATURE_REVISION = 1


def check_size(size: object, smallest: int) -> None:
    """Refuse an image size that the network cannot take.

    Parameters
    ----------
    size : object
        Height and width in pixels.
    smallest : int
        The smallest size that leaves something to pool.

    Raises
    ------
    SettingError
        Where `size` is not a whole number from `smallest` to 1024.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise SettingError("backbone.size", size, "an image size is a whole number of pixels", "set backbone.size=224")
    if not smallest <= size <= LARGEST_SIZE:
        raise SettingError(
            "backbone.size",
            size,
            f"this backbone takes square images of {smallest} to {LARGEST_SIZE} px",
            f"set backbone.size={max(smallest, min(224, LARGEST_SIZE))}",
        )


class Backbone(ABC):
    """Maps photographs to pooled features; a frozen value that builds a Keras model.

    The model takes RGB images of shape ``(n, size, size, 3)`` with pixels 0 to 255, uint8 or float32, and gives
    float32 features of shape ``(n, d)``. Preprocessing is part of the model, and nothing in it is random, so every
    user of it (feature store, training, export, browser) feeds raw pixels and sees the same features.
    """

    # A dataclass that makes one of these properties a field must give it a default, or it takes the property for one.

    @property
    @abstractmethod
    def size(self) -> int:
        """Height and width of the images in pixels."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A short name, unique among different settings as far as a reader needs, e.g. ``mobilenet_075_224``."""

    @property
    @abstractmethod
    def pretrained(self) -> bool:
        """Whether weights are loaded; False for a network that is trained from nothing."""

    @property
    def members(self) -> tuple[Backbone, ...]:
        """The backbones whose features stand side by side; itself alone for a single one."""
        return (self,)

    @property
    def batch_norm_folded(self) -> bool:
        """Whether batch normalisation was folded into the weights, so that it must stay frozen when fine-tuning."""
        return False

    @abstractmethod
    def at_size(self, size: int) -> Self:
        """Give the same network, with the same weights, for images of another size.

        Parameters
        ----------
        size : int
            Height and width in pixels; of a fusion's largest member, the others keep their proportion to it.
        """

    @abstractmethod
    def build(self) -> keras.Model:
        """Make the Keras model.

        Returns
        -------
        keras.Model
            Input ``image`` of shape ``(n, size, size, 3)``, pixels 0 to 255; output float32 ``(n, d)``. Weights are
            loaded, and ``trainable`` is False, where the backbone is pretrained.

        Raises
        ------
        SettingError
            Where the weights cannot be loaded. A network with some weights left random is never returned.
        """

    @abstractmethod
    def weights_digest(self) -> str:
        """Name the weights: the SHA-256 of the file, ``imagenet``, or ``none`` for a network trained from nothing.

        Keras names its own ImageNet files and does not change them, so ``imagenet`` needs no download here.

        Raises
        ------
        SettingError
            Where the weights file is missing, cannot be read, or is not the pinned one. A sweep that asks every
            backbone for its digest first finds a wrong path before any work is done.
        """

    @abstractmethod
    def feature_settings(self) -> dict[str, object]:
        """Give all that decides the features except the weights' digest, as JSON values."""

    def feature_key(self) -> str:
        """Give a short key that differs wherever features can differ.

        Returns
        -------
        str
            16 hexadecimal digits over architecture, width, pooling, size and the weights' digest. For a network
            trained from nothing it names the architecture only: features kept after training want the digest of the
            trained weights beside it.

        Raises
        ------
        SettingError
            As `weights_digest`.
        """
        decides = {
            "revision": _FEATURE_REVISION,
            "class": type(self).__name__,
            "settings": self.feature_settings(),
            "weights": self.weights_digest(),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
