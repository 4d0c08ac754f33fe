"""The same weights in a network for images of another size."""

from __future__ import annotations

from typing import Any

from wellai_exp.errors import TrialFailed


def at_size(model: Any, size: int) -> Any:
    """Give a network with the same weights for images of another size.

    Parameters
    ----------
    model : keras.Model
        A functional model of images ``(n, side, side, 3)``.
    size : int
        The other side, in pixels.

    Returns
    -------
    keras.Model
        The model itself where it has that size.

    Raises
    ------
    TrialFailed
        Where the network has layers of a fixed size, e.g. a dense layer over all places of an image.
    """
    side = int(model.input_shape[1])
    if size == side:
        return model
    config = model.get_config()
    _resize_inputs(config, side, size)
    try:
        other = type(model).from_config(config)
        other.set_weights(model.get_weights())
    except Exception as error:  # layers refuse shapes in ways of their own
        said = " ".join(str(error).split())[:200]
        raise TrialFailed(f"{model.name} cannot take images of {size} px ({said})") from error
    return other


def _resize_inputs(node: Any, side: int, size: int) -> None:
    """Change, in a configuration, every input of that side, also those of networks within the network."""
    if isinstance(node, list):
        for each in node:
            _resize_inputs(each, side, size)
    elif isinstance(node, dict):
        shape = node.get("batch_shape")
        if isinstance(shape, (list, tuple)) and list(shape[1:3]) == [side, side]:
            node["batch_shape"] = [shape[0], size, size, *shape[3:]]
        for each in node.values():
            _resize_inputs(each, side, size)
