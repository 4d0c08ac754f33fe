"""What converts a SavedModel for TensorFlow.js, in a process of its own: ``python -m`` this, SAVED_MODEL OUT WEIGHTS.

tensorflowjs asks for packages that cannot be installed beside this TensorFlow and that this conversion never uses:
empty modules stand in their place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import numpy as np

_FUSED = ("_FusedConv2D", "FusedDepthwiseConv2dNative")
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
    from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion

    write_artifacts = conversion.write_artifacts
    conversion.write_artifacts = lambda topology, groups, *more, **named: write_artifacts(
        *with_vector_biases(topology, groups), *more, **named
    )
    write_weights._quantize_entry = _kernels_alone(write_weights._quantize_entry)
    quantised = None if weights == "float32" else {weights: "*"}
    conversion.convert_tf_saved_model(saved_model, out, quantization_dtype_map=quantised)


def with_vector_biases(topology: dict[str, Any], groups: list[list[dict[str, Any]]]) -> tuple[Any, Any]:
    """Give every fused convolution a bias of shape [C], which alone TF.js takes.

    TensorFlow makes one of any shape that can be added: [1, 1, 1, C] in EfficientNetV2, a single number where one
    was added to a convolution without one.
    """
    weights = {entry["name"]: entry["data"] for group in groups for entry in group}
    for node in list(topology["node"]):
        if node["op"] not in _FUSED or len(node["input"]) < 3:
            continue
        kernel, bias = (weights.get(name) for name in node["input"][1:3])
        if kernel is None or bias is None or bias.ndim == 1:
            continue
        channels = kernel.shape[3] if node["op"] == _FUSED[0] else kernel.shape[2] * kernel.shape[3]
        name = f"{node['name']}/vector_bias"
        groups[0].append({"name": name, "data": np.broadcast_to(bias.reshape(-1), (channels,)).copy()})
        tensor = {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": str(channels)}]}}
        attributes = {"dtype": {"type": "DT_FLOAT"}, "value": {"tensor": tensor}}
        topology["node"].append({"name": name, "op": "Const", "attr": attributes})
        node["input"][2] = name
    return topology, groups


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
