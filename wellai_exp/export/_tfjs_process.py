"""What converts a SavedModel for TensorFlow.js, in a process of its own: ``python -m`` this, SAVED_MODEL OUT WEIGHTS.

tensorflowjs asks for packages that cannot be installed beside this TensorFlow and that this conversion never uses:
empty modules stand in their place.
"""

from __future__ import annotations

import sys
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
    from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model

    quantised = None if weights == "float32" else {weights: "*"}
    convert_tf_saved_model(saved_model, out, quantization_dtype_map=quantised)


if __name__ == "__main__":
    main(*sys.argv[1:])
