"""What converts a SavedModel for TensorFlow.js, in a process of its own: ``python -m`` this, SAVED_MODEL OUT WEIGHTS.

tensorflowjs asks for packages that cannot be installed beside this TensorFlow and that this conversion never uses:
empty modules stand in their place.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import numpy as np

_FUSED = ("_FusedConv2D", "FusedDepthwiseConv2dNative")
_MIXING = ("Conv2D", "_FusedConv2D", "MatMul", "_FusedMatMul")
# Numbers of a kernel below which 8 bits would save little and spoil much.
_SMALL = 4096
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

    def write(topology: dict[str, Any], groups: list[list[dict[str, Any]]], *more: Any, **named: Any) -> None:
        topology, groups = with_vector_biases(topology, groups)
        if weights == "uint8":
            topology, groups = with_scaled_kernels(topology, groups)
        write_artifacts(topology, groups, *more, **named)

    conversion.write_artifacts = write
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
        topology["node"].append(_constant(name, [channels]))
        node["input"][2] = name
    return topology, groups


def with_scaled_kernels(topology: dict[str, Any], groups: list[list[dict[str, Any]]]) -> tuple[Any, Any]:
    """Bring each output channel of a kernel to [-1, 1], and multiply by its scale again in the graph.

    TF.js keeps one scale for a whole tensor, and folding batch normalisation into a kernel leaves its channels of very
    different sizes (Krishnamoorthi 2018, arXiv:1806.08342): the small ones would be rounded to nothing.
    """
    entries = {entry["name"]: entry for group in groups for entry in group}
    users: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for node in topology["node"]:
        for place, name in enumerate(node.get("input", [])):
            mixed = node["op"] in _MIXING and place == 1 and not _transposed(node)
            users[name].append(node if mixed else {})
    for kernel, nodes in users.items():
        if kernel not in entries or entries[kernel]["data"].size < _SMALL or not all(nodes):
            continue
        data = entries[kernel]["data"]
        scale = np.abs(data).max(axis=tuple(range(data.ndim - 1)))
        scale = np.where(scale > 0, scale, 1).astype(data.dtype)
        entries[kernel]["data"] = data / scale
        name, scaled = f"{kernel}/channel_scale", f"{kernel}/scaled"
        groups[0].append({"name": name, "data": scale})
        product = {"name": scaled, "op": "Mul", "input": [kernel, name], "attr": {"T": {"type": "DT_FLOAT"}}}
        topology["node"] += [_constant(name, list(scale.shape)), product]
        for node in nodes:
            node["input"][1] = scaled
    return topology, groups


def _transposed(node: dict[str, Any]) -> bool:
    return bool(node.get("attr", {}).get("transpose_b", {}).get("b", False))


def _constant(name: str, shape: list[int]) -> dict[str, Any]:
    tensor = {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": str(side)} for side in shape]}}
    return {"name": name, "op": "Const", "attr": {"dtype": {"type": "DT_FLOAT"}, "value": {"tensor": tensor}}}


def _kernels_alone(quantize: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Leave all but the kernels of convolutions and dense layers in 32 bits.

    One scale serves a whole tensor. Biases, means, spreads and scales of very different sizes, and depthwise kernels
    whose channels differ as much, would be rounded to nothing. An error made in the first layers, whose kernels are
    small, goes through all that follow. Together they are a few hundredths of a network's weights.
    """

    def chosen(entry: dict[str, Any], dtype: Any) -> dict[str, Any]:
        shape = entry["data"].shape
        depthwise = len(shape) == 4 and shape[3] == 1
        vector = sum(side > 1 for side in shape) < 2
        spared = np.dtype(dtype) == np.uint8 and (depthwise or entry["data"].size < _SMALL)
        return entry if vector or spared else quantize(entry, dtype)

    return chosen


if __name__ == "__main__":
    main(*sys.argv[1:])
