"""TensorFlow.js graph models, for browsers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from wellai_exp.errors import TrialFailed
from wellai_exp.export._converter import run_module
from wellai_exp.export._target import Served, Target

PINNED = "tensorflowjs==4.22.0"


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
