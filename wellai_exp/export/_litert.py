"""LiteRT, which also runs in browsers and on telephones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from wellai_exp.errors import TrialFailed
from wellai_exp.export._opened import Array, Opened
from wellai_exp.export._runtime import Runtime
from wellai_exp.runtime import native_stderr_hidden


@dataclass(frozen=True)
class LiteRT(Runtime):
    """LiteRT with a ``.tflite`` file.

    Its kernels are XNNPACK's (https://github.com/google/XNNPACK) where it has them.
    """

    name: ClassVar[str] = "litert"
    format: ClassVar[str] = "tflite"
    target: ClassVar[str] = "tflite_float32"

    def _open(self, path: Path, size: int) -> Opened:
        from ai_edge_litert.interpreter import Interpreter

        # LiteRT tells its users on stderr which delegate it made.
        with native_stderr_hidden():
            interpreter = Interpreter(model_path=str(path), num_threads=self.n_threads)
            interpreter.allocate_tensors()
        source, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        whole = source["dtype"] == np.uint8
        if whole and tuple(source["quantization"]) != (1.0, 0):
            raise TrialFailed(f"{path.name} takes pixels in steps of {source['quantization'][0]:.4g} and not of 1")

        def classify(frame: Array) -> Array:
            interpreter.set_tensor(source["index"], np.rint(frame).astype(np.uint8) if whole else frame)
            try:
                interpreter.invoke()
            except RuntimeError as error:
                # Its kernels check their numbers, e.g. that nothing is divided by what eight bits have made zero.
                reason = " ".join(str(error).split()).rstrip(".")
                raise TrialFailed(f"{path.name} gave no answer to an image ({reason})") from error
            found: Array = interpreter.get_tensor(output["index"])
            return found

        return Opened(size, classify)
