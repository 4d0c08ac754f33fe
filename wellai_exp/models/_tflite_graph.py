"""A TFLite file's convolutional part as Keras layers with float weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float32]
# What only changes how numbers are stored.
_PASSING = ("QUANTIZE", "DEQUANTIZE", "CAST")
_ACTIVATIONS = {"NONE": None, "RELU": "relu", "RELU6": "relu6"}


class UnknownGraphError(ValueError):
    """The file holds what this reader does not know."""


@dataclass(frozen=True, eq=False)
class TFLiteGraph:
    """The first subgraph of a TFLite file.

    Parameters
    ----------
    content : bytes
        The file.

    Raises
    ------
    UnknownGraphError
        Where it is no TFLite file.
    """

    content: bytes

    def __post_init__(self) -> None:
        if self.content[4:8] != b"TFL3":
            raise UnknownGraphError("it is no TFLite file")

    @cached_property
    def _schema(self) -> Any:
        from ai_edge_litert import schema_py_generated

        return schema_py_generated

    @cached_property
    def _model(self) -> Any:
        return self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAsModel(self.content, 0))

    @property
    def _graph(self) -> Any:
        return self._model.subgraphs[0]

    @cached_property
    def operators(self) -> list[tuple[str, Any]]:
        """Each operator's name and what it is, in the order in which they run."""
        names = {code: name for name, code in vars(self._schema.BuiltinOperator).items() if not name.startswith("_")}
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self._model.operatorCodes]
        return [(names.get(codes[each.opcodeIndex], "?"), each) for each in self._graph.operators]

    def constant(self, tensor: int) -> Array | None:
        """Give a stored tensor as float32, whole numbers times their scale; None for one that is computed."""
        about = self._graph.tensors[tensor]
        data = self._model.buffers[about.buffer].data
        if data is None:
            return None
        kinds = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 9: np.int8}
        if about.type not in kinds:
            raise UnknownGraphError(f"its tensor {tensor} is of a kind that is not known")
        shape = () if about.shape is None else tuple(about.shape)
        values = np.frombuffer(bytes(data), kinds[about.type]).reshape(shape).astype(np.float32)
        quantized = about.quantization
        if quantized is None or quantized.scale is None or not len(quantized.scale):
            return values
        axes = [1] * len(shape)
        if len(quantized.scale) > 1:
            axes[quantized.quantizedDimension] = -1
        scale, zero = (np.asarray(part, np.float32).reshape(axes or ()) for part in _scales(quantized))
        return np.asarray((values - zero) * scale, np.float32)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Give a tensor's shape as the file states it."""
        return tuple(int(side) for side in self._graph.tensors[tensor].shape)

    def keras_outputs(self, image: keras.KerasTensor, wanted: Sequence[int]) -> list[keras.KerasTensor]:
        """Compute tensors of the graph from its input.

        Parameters
        ----------
        image : keras.KerasTensor
            What the graph's only input is.
        wanted : sequence of int
            Tensors, by their numbers.

        Returns
        -------
        list of keras.KerasTensor

        Raises
        ------
        UnknownGraphError
            Where a tensor depends on an operator that is no layer here.
        """
        known: dict[int, Any] = {int(self._graph.inputs[0]): image}
        for index, (name, operator) in enumerate(self.operators):
            if all(tensor in known for tensor in wanted):
                break
            first = int(operator.inputs[0])
            if name in _PASSING and first in known:
                known[int(operator.outputs[0])] = known[first]
            elif name in _LAYERS and first in known:
                known[int(operator.outputs[0])] = _LAYERS[name](_Step(self, operator, known, f"layer_{index:03d}"))
        if missing := [tensor for tensor in wanted if tensor not in known]:
            raise UnknownGraphError(f"its tensors {missing} cannot be computed by layers")
        return [known[tensor] for tensor in wanted]


def _scales(quantized: Any) -> tuple[Any, Any]:
    zero = quantized.zeroPoint
    return quantized.scale, np.zeros(1) if zero is None or not len(zero) else zero


@dataclass(frozen=True)
class _Step:
    """One operator about to become a layer."""

    graph: TFLiteGraph
    operator: Any
    known: dict[int, Any]
    name: str

    def value(self, place: int) -> Any:
        """Give an input: computed, or else stored."""
        tensor = int(self.operator.inputs[place])
        if tensor in self.known:
            return self.known[tensor]
        stored = self.graph.constant(tensor)
        if stored is None:
            raise UnknownGraphError(f"its tensor {tensor} cannot be computed by layers")
        return stored

    def activated(self, result: Any) -> Any:
        """Apply the activation that the operator ends in."""
        import keras

        kinds = {code: name for name, code in vars(self.graph._schema.ActivationFunctionType).items()}
        kind = kinds.get(self.operator.builtinOptions.fusedActivationFunction)
        if kind not in _ACTIVATIONS:
            raise UnknownGraphError(f"its activation {kind} is not known")
        activation = _ACTIVATIONS[kind]
        return result if activation is None else keras.layers.Activation(activation, name=f"{self.name}_act")(result)

    def layer(self, made: Any, weights: list[Array]) -> Any:
        """Apply a layer and give it its weights."""
        result = made(self.value(0))
        made.set_weights(weights)
        return self.activated(result)

    @property
    def window(self) -> dict[str, Any]:
        """Strides and padding of a convolution."""
        options = self.operator.builtinOptions
        return {"strides": (options.strideH, options.strideW), "padding": "valid" if options.padding else "same"}


def _convolution(step: _Step) -> Any:
    import keras

    kernel, bias = step.value(1), step.value(2)  # [out, height, width, in]
    made = keras.layers.Conv2D(kernel.shape[0], kernel.shape[1:3], name=step.name, **step.window)
    return step.layer(made, [kernel.transpose(1, 2, 3, 0), bias])


def _depthwise(step: _Step) -> Any:
    import keras

    kernel, bias = step.value(1), step.value(2)  # [1, height, width, channels]
    made = keras.layers.DepthwiseConv2D(kernel.shape[1:3], name=step.name, **step.window)
    return step.layer(made, [kernel[0][..., None], bias])


def _resized(step: _Step) -> Any:
    import keras

    options = step.operator.builtinOptions
    if options.alignCorners or not options.halfPixelCenters:
        raise UnknownGraphError("it resizes by another rule than Keras")
    height, width = (int(side) for side in step.value(1))
    return keras.layers.Resizing(height, width, name=step.name)(step.value(0))


def _added(step: _Step) -> Any:
    import keras

    if int(step.operator.inputs[1]) not in step.known:
        return _scaled(step, 1.0, _number(step))
    return step.activated(keras.layers.Add(name=step.name)([step.value(0), step.value(1)]))


def _scaled(step: _Step, factor: float, offset: float) -> Any:
    import keras

    return step.activated(keras.layers.Rescaling(factor, offset, name=step.name)(step.value(0)))


def _number(step: _Step) -> float:
    """Give the stored second input, one number for all channels."""
    stored = np.unique(np.asarray(step.value(1)))
    if len(stored) != 1:
        raise UnknownGraphError("it treats the channels of its image differently")
    return float(stored[0])


_LAYERS: dict[str, Callable[[_Step], Any]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "RESIZE_BILINEAR": _resized,
    "ADD": _added,
    "SUB": lambda step: _scaled(step, 1.0, -_number(step)),
    "MUL": lambda step: _scaled(step, _number(step), 0.0),
}
