"""The two engines of the live page as runtimes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.export._browser import BrowserRuntime


@dataclass(frozen=True)
class LiteRTJs(BrowserRuntime):
    """LiteRT.js with a ``.tflite`` file, in headless Chromium; XNNPACK's kernels as WebAssembly."""

    name: ClassVar[str] = "litert_js"
    format: ClassVar[str] = "tflite"
    target: ClassVar[str] = "tflite_float32"


@dataclass(frozen=True)
class TfJs(BrowserRuntime):
    """TensorFlow.js with a graph model, in headless Chromium; its WebAssembly backend."""

    name: ClassVar[str] = "tfjs"
    format: ClassVar[str] = "tfjs"
    target: ClassVar[str] = "tfjs_float32"
    model_file: ClassVar[str] = "model.json"
