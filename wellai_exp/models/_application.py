"""The networks of keras.applications as backbones."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wellai_exp.errors import SettingError
from wellai_exp.models._backbone import Backbone, check_size
from wellai_exp.models._pooling import check_pooling, pool
from wellai_exp.models._weights import check_file, download_failed, load_into

if TYPE_CHECKING:
    import keras

Triple = tuple[float, float, float]

# A host that drops packets would otherwise hold a sweep until the system gives up, which takes minutes.
_DOWNLOAD_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained to see, as ``pixel * scale + offset`` per channel.

    Parameters
    ----------
    scale, offset : tuple of float
        One value a channel, in the order the network sees them.
    bgr : bool
        Whether the network sees blue first.
    """

    scale: Triple
    offset: Triple
    bgr: bool = False

    @classmethod
    def standardised(cls, mean: Triple, deviation: Triple, *, bgr: bool = False) -> Preprocessing:
        """Subtract `mean` and divide by `deviation`, both in pixel values 0 to 255."""
        scale = tuple(1.0 / d for d in deviation)
        offset = tuple(-m / d for m, d in zip(mean, deviation, strict=True))
        return cls(scale, offset, bgr)  # type: ignore[arg-type]

    def __call__(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Give the tensor that the network sees, from RGB pixels 0 to 255."""
        import keras

        if self.bgr:
            image = keras.ops.flip(image, axis=-1)
        return keras.layers.Rescaling(list(self.scale), list(self.offset), name="preprocessing")(image)


@dataclass(frozen=True)
class Network:
    """One entry of the table: how Keras builds it and what may be chosen.

    Parameters
    ----------
    preprocessing : Preprocessing
        What the network was trained to see.
    includes_preprocessing : bool
        Whether Keras would put preprocessing inside, and has to be told not to.
    imagenet_alphas : tuple of float
        The widths with ImageNet weights; empty where the width is fixed.
    minimalistic : bool
        Whether there is a variant without squeeze-and-excitation, hard swish and 5×5 kernels.
    """

    preprocessing: Preprocessing
    includes_preprocessing: bool = False
    imagenet_alphas: tuple[float, ...] = ()
    minimalistic: bool = False


# The constants are Keras' own (applications/imagenet_utils.py and each network's `include_preprocessing` branch).
_UNIT = Preprocessing((1 / 127.5,) * 3, (-1.0,) * 3)
_UNIT_128 = Preprocessing((1 / 128.0,) * 3, (-1.0,) * 3)
_TORCH = Preprocessing.standardised((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
_CAFFE = Preprocessing.standardised((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True)

NETWORKS: dict[str, Network] = {
    "MobileNet": Network(_UNIT, imagenet_alphas=(0.25, 0.5, 0.75, 1.0)),
    "MobileNetV2": Network(_UNIT, imagenet_alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    "MobileNetV3Small": Network(_UNIT, True, imagenet_alphas=(0.75, 1.0), minimalistic=True),
    "MobileNetV3Large": Network(_UNIT, True, imagenet_alphas=(0.75, 1.0), minimalistic=True),
    "EfficientNetV2B0": Network(_TORCH, True),
    "EfficientNetV2B1": Network(_TORCH, True),
    "EfficientNetV2B2": Network(_TORCH, True),
    "EfficientNetV2B3": Network(_TORCH, True),
    "EfficientNetV2S": Network(_UNIT_128, True),
    "ConvNeXtTiny": Network(_TORCH, True),
    "ConvNeXtSmall": Network(_TORCH, True),
    "NASNetMobile": Network(_UNIT),
    "ResNet50": Network(_CAFFE),
    "ResNet50V2": Network(_UNIT),
    "DenseNet121": Network(_TORCH),
}
_SMALLEST = 32


@dataclass(frozen=True)
class Application(Backbone):
    """A network of keras.applications without its classifier, with its preprocessing inside.

    Parameters
    ----------
    application : str
        The constructor's name in ``keras.applications``; a key of ``NETWORKS``.
    size : int
        Height and width of the images in pixels, 32 to 1024.
    weights : str, Path or None
        ``imagenet`` lets Keras download its own; a path loads a ``.weights.h5``, ``.h5`` or ``.keras`` file of this
        network without its classifier; None trains it from nothing.
    sha256 : str or None
        Pins the file of `weights`. A flipped byte in an HDF5 file loads without complaint, so pin what you ship.
    pooling : {"avg", "max", "avg_max"}
        How the last feature map becomes one vector; ``avg_max`` gives both, side by side. ConvNeXt normalises after
        pooling (``avg``, ``max``) as it was trained to, and before it with ``avg_max``.
    alpha : float
        Width of the MobileNets as a multiple of the paper's; 1.0 for all others.
    minimalistic : bool
        MobileNetV3 without the parts that some accelerators lack.
    batch_norm_folded : bool
        Whether the weights had batch normalisation folded in; it must then stay frozen when fine-tuning.

    Raises
    ------
    SettingError
        Where a setting cannot work. A weights file is looked at by `weights_digest` and `build`.

    References
    ----------
    Keras Applications, https://keras.io/api/applications/, which names the paper of each network.
    """

    application: str
    size: int = 224
    weights: str | Path | None = "imagenet"
    sha256: str | None = None
    pooling: str = "avg"
    alpha: float = 1.0
    minimalistic: bool = False
    batch_norm_folded: bool = False

    def __post_init__(self) -> None:
        if self.application not in NETWORKS:
            raise SettingError(
                "backbone.application",
                self.application,
                "there is no such network here",
                f"choose one of {', '.join(NETWORKS)}",
            )
        check_size(self.size, _SMALLEST)
        check_pooling(self.pooling)
        self._check_variant()
        self._check_weights()

    def _check_variant(self) -> None:
        network = NETWORKS[self.application]
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, (int, float)) or not 0.1 <= self.alpha <= 4:
            raise SettingError("backbone.alpha", self.alpha, "a width lies between 0.1 and 4", "set backbone.alpha=1.0")
        if self.alpha != 1.0 and not network.imagenet_alphas:
            raise SettingError(
                "backbone.alpha", self.alpha, f"{self.application} has one width only", "set backbone.alpha=1.0"
            )
        if self.minimalistic and not network.minimalistic:
            raise SettingError(
                "backbone.minimalistic", True, f"{self.application} has no such variant", "set it to false"
            )
        available = (1.0,) if self.minimalistic else network.imagenet_alphas
        if self.weights == "imagenet" and available and self.alpha not in available:
            raise SettingError(
                "backbone.alpha",
                self.alpha,
                f"there are no ImageNet weights of {self.application} at this width",
                f"set backbone.alpha to one of {', '.join(map(str, available))}, or backbone.weights=null",
            )

    def _check_weights(self) -> None:
        if not isinstance(self.weights, (str, Path, type(None))) or self.weights == "":
            raise SettingError(
                "backbone.weights", self.weights, "it names no weights", "set backbone.weights=imagenet, a path or null"
            )
        if self.sha256 is not None:
            if not (isinstance(self.sha256, str) and re.fullmatch(r"[0-9a-f]{64}", self.sha256)):
                raise SettingError(
                    "backbone.sha256", self.sha256, "a SHA-256 has 64 hexadecimal digits", "set backbone.sha256=null"
                )
            if self._path is None:
                raise SettingError(
                    "backbone.sha256", self.sha256, "it pins a file, and none is given", "set backbone.weights=PATH"
                )
        if self.batch_norm_folded and self._path is None:
            raise SettingError(
                "backbone.batch_norm_folded", True, "only a weights file can be folded", "set backbone.weights=PATH"
            )

    @property
    def _path(self) -> Path | None:
        return None if self.weights in (None, "imagenet") else Path(self.weights).expanduser()

    @property
    def name(self) -> str:
        """The network, its width in hundredths where it has one, and its size, e.g. ``mobilenet_075_224``."""
        parts = [self.application.lower()]
        if NETWORKS[self.application].imagenet_alphas:
            parts.append(f"{round(self.alpha * 100):03d}")
        parts += ["minimalistic"] * self.minimalistic + [str(self.size)]
        return "_".join(parts)

    @property
    def pretrained(self) -> bool:
        """Whether weights are given."""
        return self.weights is not None

    def weights_digest(self) -> str:
        """Name the weights, as `Backbone.weights_digest`."""
        if self._path is None:
            return self.weights if isinstance(self.weights, str) else "none"
        return check_file(self._path, self.sha256)

    def feature_settings(self) -> dict[str, object]:
        """Give what decides the features, as `Backbone.feature_settings`."""
        return {
            "application": self.application,
            "size": self.size,
            "pooling": self.pooling,
            "alpha": float(self.alpha),
            "minimalistic": bool(self.minimalistic),
        }

    def at_size(self, size: int) -> Self:
        """Give the same network for another image size, as `Backbone.at_size`."""
        return replace(self, size=size)

    def build(self) -> keras.Model:
        """Make the Keras model, as `Backbone.build`; its layers are the network's own, without nesting."""
        import keras

        if self._path is not None:
            check_file(self._path, self.sha256)
        image = keras.Input((self.size, self.size, 3), name="image")
        network = self._network(NETWORKS[self.application].preprocessing(image))
        if self._path is not None:
            load_into(network, self._path)
        features = network.output
        if len(features.shape) == 4:
            features = pool(features, self.pooling)
        model = keras.Model(image, features, name=self.name)
        model.trainable = not self.pretrained
        return model

    def _network(self, seen: keras.KerasTensor) -> keras.Model:
        """Build the network on what it is to see, with Keras' own weights where asked for."""
        import keras

        network = NETWORKS[self.application]
        options: dict[str, Any] = {"include_top": False, "input_tensor": seen, "input_shape": tuple(seen.shape[1:])}
        # Keras itself knows where ConvNeXt normalises; the pooling it does not know comes after.
        options["pooling"] = self.pooling if self.pooling in ("avg", "max") else None
        if network.includes_preprocessing:
            options["include_preprocessing"] = False
        if network.imagenet_alphas:
            options["alpha"] = self.alpha
        if network.minimalistic:
            options["minimalistic"] = self.minimalistic
        construct: Callable[..., keras.Model] = getattr(keras.applications, self.application)
        if self.weights != "imagenet":
            return construct(weights=None, **options)
        try:
            with _download_timeout():
                return construct(weights="imagenet", **options)
        except Exception as error:
            # Keras raises bare Exception for a failed download, and OSError or ValueError for a bad file.
            raise download_failed(self.application, error) from error


@contextmanager
def _download_timeout() -> Iterator[None]:
    """Let a silent host fail: Keras downloads through urllib, which takes the process-wide default only."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
