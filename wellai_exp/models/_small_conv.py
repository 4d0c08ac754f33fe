"""A small convolutional network that learns from nothing on two cores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from wellai_exp.errors import SettingError
from wellai_exp.models._backbone import Backbone, check_size
from wellai_exp.models._pooling import check_pooling, pool

if TYPE_CHECKING:
    import keras

# Channels of the stages, in units of the width; the first halves the image by its stride.
_STAGES = (1, 2, 3, 4, 6)
_SMALLEST = 32
# Keras' 0.99 wants hundreds of steps before the moving averages can be used; a small data set has ten an epoch.
_MOMENTUM = 0.9


@dataclass(frozen=True)
class SmallConvNet(Backbone):
    """Five stages of plain convolutions, always trained from nothing.

    Parameters
    ----------
    size : int
        Height and width of the images in pixels, 32 to 1024.
    width : int
        Channels of the first stage, 4 to 128; the later ones have 2, 3, 4 and 6 times as many.
    depth : int
        Convolutions in each of the three middle stages, 1 to 6.
    pooling : {"avg", "max", "avg_max"}
        How the last feature map becomes one vector: ``6 * width`` features, or twice as many for ``avg_max``.

    Notes
    -----
    3×3 convolutions, batch normalisation, ReLU and max-pooling, after Simonyan and Zisserman, ICLR 2015 (arXiv
    1409.1556). From a thousand images and in a dozen epochs this learns far more than a residual network of the same
    size. Full convolutions stand here rather than separable ones, which train no faster on a CPU.
    """

    size: int = 96
    width: int = 24
    depth: int = 1
    pooling: str = "avg_max"

    def __post_init__(self) -> None:
        check_size(self.size, _SMALLEST)
        check_pooling(self.pooling)
        for setting, value, least, most, usual in (("width", self.width, 4, 128, 24), ("depth", self.depth, 1, 6, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise SettingError(
                    f"backbone.{setting}",
                    value,
                    f"it is a whole number from {least} to {most}",
                    f"set backbone.{setting}={usual}",
                )

    @property
    def name(self) -> str:
        """Width, depth and size, e.g. ``small_conv_24x1_96``."""
        return f"small_conv_{self.width}x{self.depth}_{self.size}"

    @property
    def pretrained(self) -> bool:
        """False: there are no weights of this network to load."""
        return False

    def weights_digest(self) -> str:
        """Give ``none``."""
        return "none"

    def feature_settings(self) -> dict[str, object]:
        """Give what decides the features, as `Backbone.feature_settings`."""
        return {"size": self.size, "width": self.width, "depth": self.depth, "pooling": self.pooling}

    def at_size(self, size: int) -> Self:
        """Give the same network for another image size, as `Backbone.at_size`."""
        return replace(self, size=size)

    def build(self) -> keras.Model:
        """Make the Keras model with fresh weights, as `Backbone.build`; Keras' global seed decides them."""
        import keras

        image = keras.Input((self.size, self.size, 3), name="image")
        x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(image)
        x = _convolve(x, self.width, strides=2)
        for factor in _STAGES[1:-1]:
            for _ in range(self.depth):
                x = _convolve(x, factor * self.width)
            x = keras.layers.MaxPooling2D(2)(x)
        x = _convolve(x, _STAGES[-1] * self.width)
        return keras.Model(image, pool(x, self.pooling), name=self.name)


def _convolve(x: keras.KerasTensor, channels: int, strides: int = 1) -> keras.KerasTensor:
    """Convolve (without a bias, which the normalisation holds), normalise, rectify."""
    import keras

    x = keras.layers.Conv2D(
        channels, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=_MOMENTUM)(x))
