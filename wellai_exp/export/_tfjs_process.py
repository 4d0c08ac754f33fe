"""What converts a SavedModel for TensorFlow.js, in a process of its own: ``python -m`` this, SAVED_MODEL OUT WEIGHTS.

tensorflowjs asks for packages that cannot be installed beside this TensorFlow and that this conversion never uses:
empty modules stand in their place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

_ABSENT = (
    "tensorflow_decision_forests",
    "tensorflow_hub",
    "tf_keras",
    "jax",
    "jax.experimental",
    "jax.experimental.jax2tf",
)


def main(saved_model: str, out: str, weights: str) -> None:
    """Convert."""
    # Before the others stand in their place, because Keras looks whether there is a jax.
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401

    sys.modules.update({name: MagicMock(name=name) for name in _ABSENT})
    from tensorflowjs import write_weights
    from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model

    write_weights._quantize_entry = _kernels_alone(write_weights._quantize_entry)
    quantised = None if weights == "float32" else {weights: "*"}
    convert_tf_saved_model(saved_model, out, quantization_dtype_map=quantised)


def _kernels_alone(quantize: Callable[[dict[str, Any], str], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Leave all but the kernels of convolutions and dense layers in 32 bits.

    One scale serves a whole tensor. Biases, means and spreads of very different sizes, and depthwise kernels whose
    channels differ as much, would be rounded to nothing; together they are a few hundredths of a network's weights.
    """

    def chosen(entry: dict[str, Any], dtype: str) -> dict[str, Any]:
        shape = entry["data"].shape
        depthwise = len(shape) == 4 and shape[3] == 1
        vector = sum(side > 1 for side in shape) < 2
        return entry if vector or (depthwise and dtype == "uint8") else quantize(entry, dtype)

    return chosen


if __name__ == "__main__":
    main(*sys.argv[1:])
