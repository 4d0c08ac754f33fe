"""ONNX, which ONNX Runtime and many other programs read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.export._converter import run_module
from wellai_exp.export._graph import INPUT, OUTPUT
from wellai_exp.export._target import Served, Target
from wellai_exp.export._tflite import TFLite

_LEAST_OPSET, _MOST_OPSET = 13, 18
_MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Onnx(Target):
    """One ``.onnx`` file, float32.

    The converter writes invalid files without complaint, so that each is opened and run before it counts as written.
    Where the straight way gives none (ConvNeXt's activation), TFLite's graph is converted instead.

    Parameters
    ----------
    opset : int
        Version of ONNX's operators, 13 to 18.

    Raises
    ------
    SettingError
        Where there is no such version.
    """

    format: ClassVar[str] = "onnx"

    opset: int = 18

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted: object = self.opset
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not _LEAST_OPSET <= wanted <= _MOST_OPSET:
            raise SettingError(
                "target.onnx.opset",
                wanted,
                f"it must be a whole number from {_LEAST_OPSET} to {_MOST_OPSET}",
                f"set target.onnx.opset={_MOST_OPSET}",
            )

    @property
    def name(self) -> str:
        """As its file in ``conf/target`` is called."""
        return self.format

    def path(self, size: int | None = None) -> str:
        """Give where it lies in a bundle, as `Target.path`."""
        return super().path(size) + ".onnx"

    def _write(self, served: Served, path: Path) -> None:
        source = ["--saved-model", str(served.folder), "--tag", "serve", "--signature_def", "serving_default"]
        if self._converted(source, path, served.size):
            path.unlink(missing_ok=True)
            with tempfile.TemporaryDirectory() as folder:
                detour = Path(folder) / "model.tflite"
                TFLite().write(served, detour)
                problem = self._converted(["--tflite", str(detour)], path, served.size)
            if problem:
                path.unlink(missing_ok=True)
                raise RuntimeError(problem)

    def _converted(self, source: Sequence[str], path: Path, size: int) -> str:
        """Convert, and say why the file cannot be used; empty where it can."""
        try:
            run_module("tf2onnx.convert", [*source, "--opset", str(self.opset), "--output", str(path)])
        except RuntimeError as error:
            return str(error)
        _mend(path)
        return _problem(path, size)


def _mend(path: Path) -> None:
    """Give input and output their names, and TFLite's activation, which ONNX lacked until version 20, Microsoft's."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        if node.op_type == "TFL_GELU":
            quick = any(attribute.name == "approximate" and attribute.i for attribute in node.attribute)
            node.op_type, node.domain = "FastGelu" if quick else "Gelu", _MICROSOFT
            del node.attribute[:]
    if all(known.domain != _MICROSOFT for known in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_MICROSOFT, 1))
    onnx.save(model, path)


def _problem(path: Path, size: int) -> str:
    """Say why a file cannot be used; empty where it can."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            return f"its graph has {len(inputs)} inputs and {len(outputs)} outputs instead of one of each"
        (answer,) = session.run(None, {inputs[0].name: np.zeros((1, size, size, 3), np.float32)})
    except Exception as error:  # ONNX Runtime has a class of its own for each of its codes
        return " ".join(str(error).split())[:200]
    return "" if np.isfinite(answer).all() else "it gives what are no numbers"
