"""ONNX Runtime on the processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from wellai_exp.export._opened import Opened
from wellai_exp.export._runtime import Runtime

_ERRORS_ONLY = 3


@dataclass(frozen=True)
class OnnxRuntime(Runtime):
    """ONNX Runtime with an ``.onnx`` file."""

    name: ClassVar[str] = "onnxruntime"
    format: ClassVar[str] = "onnx"
    target: ClassVar[str] = "onnx"

    def _open(self, path: Path, size: int) -> Opened:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.n_threads, 1
        options.log_severity_level = _ERRORS_ONLY
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (source,) = session.get_inputs()
        return Opened(size, lambda frame: np.asarray(session.run(None, {source.name: frame})[0]))
