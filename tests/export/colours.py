"""A tiny real model that names the colour of a picture, as a bundle with the live page."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wellai_exp.export import Artifact, Bundle, Served, add_page, seal_bundle, target_named, write_saved_model

SIZE = 32
NAMES = ("Red_pose_or_Rakta_", "<b>Green</b>", "파랑_자세")
SHOWN = ("Red pose or Rakta", "<b>Green</b>", "파랑 자세")
THRESHOLDS = (0.6, 0.9, None)
RED, GREEN, BLUE, GREY = (235, 20, 20), (20, 235, 20), (20, 20, 235), (128, 128, 128)
STEEPNESS = 0.02

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed on this machine")


def network() -> Any:
    """Make a network whose probabilities are the softmax of the mean colour."""
    import keras

    image = keras.Input((SIZE, SIZE, 3), name="image")
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)), name="colours")
    dense.set_weights([np.eye(3) * STEEPNESS, np.zeros(3)])
    return model


def write_tfjs(folder: Path) -> None:
    """Write the same network as a graph model of TensorFlow.js."""

    def tensor(dtype: str, *shape: int) -> dict[str, Any]:
        dims = {"dim": [{"size": str(side)} for side in shape]}
        return {"dtype": {"type": dtype}, "value": {"tensor": {"dtype": dtype, "tensorShape": dims}}}

    kind = {"T": {"type": "DT_FLOAT"}}
    shape = {"shape": {"dim": [{"size": str(side)} for side in (1, SIZE, SIZE, 3)]}}
    nodes: list[dict[str, Any]] = [
        {"name": "image", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": shape}},
        {"name": "axes", "op": "Const", "attr": tensor("DT_INT32", 2)},
        {"name": "mean", "op": "Mean", "input": ["image", "axes"], "attr": {"keep_dims": {"b": False}, **kind}},
        {"name": "weights", "op": "Const", "attr": tensor("DT_FLOAT", 3, 3)},
        {"name": "logits", "op": "MatMul", "input": ["mean", "weights"],
         "attr": {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **kind}},
        {"name": "probabilities", "op": "Softmax", "input": ["logits"], "attr": kind},
    ]  # fmt: skip
    weights = [
        {"name": "axes", "shape": [2], "dtype": "int32"},
        {"name": "weights", "shape": [3, 3], "dtype": "float32"},
    ]
    model = {
        "format": "graph-model",
        "modelTopology": {"node": nodes, "versions": {"producer": 1}},
        "weightsManifest": [{"paths": ["weights.bin"], "weights": weights}],
    }
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(model))
    values = np.array([1, 2], "<i4").tobytes() + (np.eye(3) * STEEPNESS).astype("<f4").tobytes()
    (folder / "weights.bin").write_bytes(values)


def make_bundle(folder: Path, store: Path) -> Bundle:
    """Write a sealed bundle with a model for each engine, one of them not fit, and the page."""
    served = folder.parent / "served"
    write_saved_model(network(), served)
    artifacts = []
    for name in ("tflite_float32", "tflite_float16"):
        target = target_named(name)
        megabytes = target.write(Served(served, "colours", SIZE), folder / target.path())
        artifacts.append(Artifact(name, "tflite", target.path(), SIZE, megabytes, fit=name == "tflite_float32"))
    write_tfjs(folder / "tfjs" / "float32")
    artifacts.append(Artifact("tfjs_float32", "tfjs", "tfjs/float32", SIZE, 0.001, fit=True))
    add_page(folder, store)
    bundle = Bundle(
        folder, "colours", 3, "ab" * 32, NAMES, {"level_1": ("warm", "cold", "cold")}, THRESHOLDS, SIZE, "stretch",
        tuple(artifacts), "2026-01-02T00:00:00+00:00",
    )  # fmt: skip
    seal_bundle(bundle)
    return bundle


def picture(colour: tuple[int, int, int], width: int = 120, height: int = 90) -> bytes:
    """Draw a JPEG of one colour with a little grain."""
    grain = np.random.default_rng(0).integers(-15, 16, (height, width, 3))
    pixels = np.clip(np.array(colour) + grain, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def huge_png(side: int) -> bytes:
    """Make a valid PNG of side × side black pixels, of a few hundred kilobytes at most."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
