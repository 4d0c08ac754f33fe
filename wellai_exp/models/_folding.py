"""Batch normalisation folded into the convolution before it: the same function in fewer passes over the maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def folded(model: keras.Model, *, learning: bool = False, fixed: bool = False) -> keras.Model:
    """Give the same network without the batch normalisations that a convolution before them can take over.

    With its statistics fixed, batch normalisation is y = s (x - m) + b with one s, m and b a channel, and a convolution
    is linear: convolving with s times the kernel and adding b - s m gives the same (Jacob et al. 2018,
    arXiv 1712.05877, section 3.2). Only the kernel is gone over in place of whole maps, forward and backward, and
    TensorFlow joins what is left, convolution, shift and activation, in one operation.

    Parameters
    ----------
    model : keras.Model
        Folded where it is a functional one, in functional models within it too; any other is given back as it is.
    learning : bool
        Whether the result is for training: then only what is frozen is folded, since the others use the statistics of
        the batch.
    fixed : bool
        Whether the folded weights are constants, which TensorFlow lays out for its kernels once and not at each call.

    Returns
    -------
    keras.Model
        It shares its variables with `model`, whose weights may change at any time, unless they are fixed. To be called,
        not to be saved. What was traced with it must be traced again where ``trainable`` of a layer changes. What
        computes in less than float32 is left as it is, since scaled kernels would be rounded anew.
    """
    import keras

    if not _is_functional(model):
        return model
    merged, dropped = {}, set()
    for convolution, norm in _pairs(model, learning):
        merged[id(convolution)] = keras.layers.Lambda(_folding(convolution, norm, fixed), name=convolution.name)
        dropped.add(id(norm))

    def call(layer: Any, seen: Any, *rest: Any, **options: Any) -> Any:
        return seen if id(layer) in dropped else layer(seen, *rest, **options)

    return keras.models.clone_model(
        model, clone_function=lambda layer: merged.get(id(layer), layer), call_function=call, recursive=True
    )


def _pairs(model: Any, learning: bool) -> list[tuple[Any, Any]]:
    """Give each convolution whose answer goes to nothing but a batch normalisation, with that."""
    import keras

    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    makers = {id(tensor): node.operation for node in nodes for tensor in node.output_tensors}
    uses = Counter(map(id, [*(tensor for node in nodes for tensor in node.input_tensors), *model.outputs]))
    # A layer that is called twice would be folded for one call and missed by the other.
    calls = Counter(id(node.operation) for node in nodes)
    found = []
    for node in nodes:
        norm = node.operation
        if _is_functional(norm):
            found += _pairs(norm, learning)
        if not isinstance(norm, keras.layers.BatchNormalization) or (learning and norm.trainable):
            continue
        seen = id(node.input_tensors[0])
        before = makers.get(seen)
        if uses[seen] == calls[id(norm)] == calls[id(before)] == 1 and _can_take(before, norm):
            found.append((before, norm))
    return found


def _is_functional(layer: Any) -> bool:
    import keras

    # Keras gives no public name to the class, nor copies what lies within a Sequential in the same way.
    return isinstance(layer, keras.Model) and hasattr(layer, "_nodes_by_depth")


def _can_take(layer: Any, norm: Any) -> bool:
    import keras

    return (
        isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and norm.axis in (-1, 3)
        and {layer.compute_dtype, norm.compute_dtype} == {"float32"}
    )


def _folding(convolution: Any, norm: Any, fixed: bool) -> Callable[[Any], Any]:
    """Give the call of a convolution that does its normalisation's work too."""
    import keras
    from keras import ops

    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)

    def weights() -> tuple[Any, Any]:
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma
        shift = (convolution.bias if convolution.use_bias else 0.0) - norm.moving_mean
        shift = shift * scale + (norm.beta if norm.center else 0.0)
        kernel = convolution.kernel
        return kernel * (ops.reshape(scale, kernel.shape[2:]) if depthwise else scale), shift

    held = tuple(map(ops.convert_to_numpy, weights())) if fixed else None

    def call(inputs: Any) -> Any:
        kernel, shift = held or weights()
        if depthwise:
            own = convolution.strides, convolution.padding, convolution.data_format, convolution.dilation_rate
            return ops.depthwise_conv(inputs, kernel, *own) + shift
        return convolution.convolution_op(inputs, kernel) + shift

    return call
