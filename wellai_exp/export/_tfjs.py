"""TensorFlow.js graph models, for browsers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from wellai_exp.errors import TrialFailed
from wellai_exp.export._converter import run_module
from wellai_exp.export._target import Served, Target
from wellai_exp.paths import write_whole

PINNED = "tensorflowjs==4.22.0"
_FUSED = ("_FusedConv2D", "FusedDepthwiseConv2dNative")


@dataclass(frozen=True)
class TfJsGraph(Target):
    """A folder with ``model.json`` and its weights.

    Parameters
    ----------
    weights : {"float32", "float16", "uint8"}
        How they are kept; a browser computes in float32 with any.
    """

    format: ClassVar[str] = "tfjs"
    kinds: ClassVar[tuple[str, ...]] = ("float32", "float16", "uint8")

    def _write(self, served: Served, path: Path) -> None:
        if find_spec("tensorflowjs") is None:
            raise TrialFailed(
                f"{served.name} cannot be written as {self.name}: tensorflowjs is not installed; "
                f"type pip install --no-deps {PINNED}"
            )
        # Its converter would otherwise make operations of oneDNN, which no browser knows.
        environment = {"TF_ENABLE_ONEDNN_OPTS": "0"}
        run_module("wellai_exp.export._tfjs_process", [str(served.folder), str(path), self.weights], environment)
        _flatten_biases(path / "model.json")


def _flatten_biases(path: Path) -> None:
    """Give the bias of every fused convolution the shape [C], where it has [1, 1, 1, C], which TF.js refuses."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    nodes: list[dict[str, Any]] = whole["modelTopology"]["node"]
    biases = {node["input"][2] for node in nodes if node["op"] in _FUSED and len(node["input"]) > 2}
    for group in whole["weightsManifest"]:
        for weight in group["weights"]:
            if weight["name"] in biases:
                weight["shape"] = _flat(weight["shape"])
    for node in nodes:
        if node["name"] in biases and "tensor" in node.get("attr", {}).get("value", {}):
            shape = node["attr"]["value"]["tensor"]["tensorShape"]
            shape["dim"] = [{"size": str(size)} for size in _flat([int(each["size"]) for each in shape.get("dim", [])])]
    with write_whole(path) as beside:
        beside.write_text(json.dumps(whole), encoding="utf-8")


def _flat(shape: list[int]) -> list[int]:
    return shape[-1:] if len(shape) == 4 and shape[:3] == [1, 1, 1] else shape
