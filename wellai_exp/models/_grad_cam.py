"""Where in a photograph a network sees the class it answers.

Shapes: N images, S pixels a side, C classes, K channels of a feature map of h × w positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError
from wellai_exp.metrics import ArrayError, check_labels
from wellai_exp.models._blocks import is_network

Array = npt.NDArray[np.float32]

# Images whose activations are held at once while gradients are taken.
_BATCH = 16
# Below it float32 has no reciprocal left for the gradient of a logarithm.
_LEAST = 1e-30


def grad_cam(model: Any, images: npt.NDArray[Any], classes: npt.ArrayLike) -> Array:
    """Map how much each part of an image speaks for a class.

    Each channel of the network's last feature map is weighted by the gradient of the class's score; the weighted sum's
    positive part, brought to the image's size and divided by its maximum, is the map. Where averages over positions
    are classified this is Grad-CAM (Selvaraju et al. 2017), and with a linear layer the class activation map of Zhou
    et al. (CVPR 2016). Elsewhere, as for a pose model's heat maps, Grad-CAM's mean of the gradient over positions would
    light up places that the class does not depend on (Draelos and Carin 2020).

    The score is the class's logit less the mean of all logits, which equals ``log p - mean(log p)``. A softmax does not
    see what is added to all logits alike, so the bare logit's gradient could change where no prediction does; that of
    the probability, or of its logarithm, vanishes where the network is sure.

    Parameters
    ----------
    model : keras.Model
        A functional model from images to probabilities [N, C], as `assemble` joins it.
    images : ndarray, shape [N, S, S, 3]
        RGB, 0 to 255.
    classes : array_like of int, shape [N]
        The class to explain in each image, e.g. the one predicted or the true one.

    Returns
    -------
    ndarray of float32, shape [N, S, S]
        In [0, 1], 1 at each map's maximum; all 0 where no position speaks for the class. Of several backbones side by
        side the mean of their maps, and of a model that also looks at the mirror image the mean of both views' maps,
        again divided by its maximum.

    Raises
    ------
    ArrayError
        Where images and classes do not fit each other or the model.
    SettingError
        Where the model has no feature map with more than one position.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations", 2020, arXiv 2011.08891.
    """
    images = np.asarray(images, np.float32)
    chosen = check_labels(classes, int(model.output_shape[-1]), "classes")
    expected = tuple(model.input_shape[1:])
    if images.shape[1:] != expected or len(images) != len(chosen):
        raise ArrayError(
            f"images must have the shape [N, {', '.join(map(str, expected))}] with N the number of classes, "
            f"{len(chosen)}, but it is {list(images.shape)}."
        )
    single = _single_view(model)
    opened = _opened(single)
    maps = _heat(opened, images, chosen)
    if single is not model:
        maps = maps + _heat(opened, images[:, :, ::-1], chosen)[:, :, ::-1]
    return _to_one(maps)


def _single_view(model: Any) -> Any:
    """Give the network inside a model that averages its answers for an image and its mirror image, or the model."""
    import keras

    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return inner[0] if len(inner) == 1 and inner[0].output_shape == model.output_shape else model


def _heat(opened: Any, images: Array, classes: npt.NDArray[np.int64]) -> Array:
    """Give the mean of the normalised maps of all feature maps, [N, S, S]."""
    parts = [slice(start, start + _BATCH) for start in range(0, len(images), _BATCH)]
    return np.concatenate([_heat_of_batch(opened, images[part], classes[part]) for part in parts])


def _heat_of_batch(opened: Any, images: Array, classes: npt.NDArray[np.int64]) -> Array:
    import tensorflow as tf
    from keras import ops

    held = tf.constant(images)
    with tf.GradientTape() as tape:
        # Without trainable variables, as in a frozen backbone, nothing else would be recorded.
        tape.watch(held)
        probabilities, *maps = opened(held, training=False)
        logs = ops.log(ops.maximum(probabilities, _LEAST))
        own = ops.take_along_axis(logs, classes[:, None], axis=1)[:, 0]
        score = ops.sum(own - ops.mean(logs, axis=1))
    heats = []
    for activation, gradient in zip(maps, tape.gradient(score, maps), strict=True):
        heat = ops.relu(ops.sum(gradient * activation, axis=-1, keepdims=True))
        resized = ops.image.resize(heat, images.shape[1:3], interpolation="bilinear")
        heats.append(_to_one(np.asarray(ops.cast(resized, "float32"))[..., 0]))
    mean: Array = np.mean(heats, axis=0, dtype=np.float32)
    return mean


def _to_one(maps: Array) -> Array:
    highest = maps.max(axis=(1, 2), keepdims=True)
    scaled: Array = np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)
    return scaled


def _opened(model: Any) -> Any:
    """Copy a model so that it also gives its last feature maps: [its output, map, …].

    A copy, because calling a layer once more would change the model that the caller goes on with.
    """
    import keras

    originals: dict[int, Any] = {}
    steps: list[tuple[list[Any], list[Any]]] = []

    def fresh(operation: Any) -> Any:
        if is_network(operation):
            return operation
        copy = type(operation).from_config(operation.get_config())
        originals[id(copy)] = operation
        return copy

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        inside: list[Any] = []
        if is_network(operation):
            result, *inside = _opened(operation)(*args, **kwargs)
            inside = inside if len(result.shape) < 4 else []
        else:
            result = operation(*args, **kwargs)
            original = originals.pop(id(operation), None)
            if isinstance(original, keras.layers.Layer):
                operation.set_weights(original.get_weights())
        given = [tensor for tensor in keras.tree.flatten((args, kwargs)) if keras.backend.is_keras_tensor(tensor)]
        steps.append((given, [*keras.tree.flatten(result), *inside]))
        return result

    copy = keras.models.clone_model(model, clone_function=fresh, call_function=call)
    maps = _last_maps(steps)
    if not maps:
        raise SettingError(
            "model", model.name, "it has no feature map with more than one position", "give it larger images"
        )
    return keras.Model(copy.inputs, [copy.outputs[0], *maps])


def _last_maps(steps: list[tuple[list[Any], list[Any]]]) -> list[Any]:
    """Give the feature maps from which no other feature map is made.

    A map inside squeeze-and-excitation is pooled too, but what is pooled there scales a later map. Images are square,
    and so are maps of them: other tensors of four axes hold something else.
    """
    last: list[Any] = []
    leading_on: set[int] = set()
    for given, made in reversed(steps):
        maps = [tensor for tensor in made if len(tensor.shape) == 4 and tensor.shape[1] == tensor.shape[2] > 1]
        if maps or any(id(tensor) in leading_on for tensor in made):
            leading_on.update(id(tensor) for tensor in given)
        last += [tensor for tensor in maps if id(tensor) not in leading_on]
    return last[::-1]
