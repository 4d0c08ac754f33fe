"""How a feature map becomes one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wellai_exp.errors import SettingError

if TYPE_CHECKING:
    import keras

# Layers of keras.layers whose outputs stand side by side.
_LAYERS = {
    "avg": ("GlobalAveragePooling2D",),
    "max": ("GlobalMaxPooling2D",),
    "avg_max": ("GlobalAveragePooling2D", "GlobalMaxPooling2D"),
}


def check_pooling(pooling: object) -> None:
    """Refuse an unknown pooling.

    Raises
    ------
    SettingError
        Where `pooling` is not one of avg, max and avg_max.
    """
    if pooling not in _LAYERS:
        raise SettingError(
            "backbone.pooling", pooling, "there is no such pooling", f"choose one of {', '.join(_LAYERS)}"
        )


def pool(feature_map: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """Pool over the positions.

    Parameters
    ----------
    feature_map : keras.KerasTensor
        Shape ``(n, height, width, channels)``.
    pooling : {"avg", "max", "avg_max"}
        The mean, the maximum, or both side by side.

    Returns
    -------
    keras.KerasTensor
        Shape ``(n, channels)``, or ``(n, 2 * channels)`` for both.
    """
    import keras

    pooled = [getattr(keras.layers, layer)()(feature_map) for layer in _LAYERS[pooling]]
    return pooled[0] if len(pooled) == 1 else keras.layers.Concatenate()(pooled)
