"""How deep a layer lies: a network cut into blocks, and which of them learn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from wellai_exp.errors import SettingError

if TYPE_CHECKING:
    import keras

# Begins the name of a network that never learns here.
FIXED = "fixed_"

# What the layers of one block of keras.applications share in their names.
_NAMED_BLOCK = re.compile(
    r"^conv_(?:dw|pw)_(?P<mobilenet>\d+)(?:_|$)"
    r"|^(?P<mobilenet_v2_v3>expanded_conv(?:_\d+)?|block_\d+)_[a-zA-Z]"
    r"|^(?P<efficientnet>block\d+[a-z])_"
    r"|^(?P<resnet_densenet>conv\d+_block\d+)_"
    r"|^(?P<densenet_transition>pool\d+)_(?:bn|conv)$"
    r"|_(?P<convnext>stage_\d+_block_\d+)_"
    r"|_downsampling_(?:layernorm|conv)_(?P<convnext_transition>\d+)$"
    r"|(?:^|_)(?:normal|adjust|reduction)_(?:.*?_)??(?P<nasnet>(?:stem_|reduce_)?\d+)$"
)


def blocks(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """Cut a network into blocks by depth.

    A block is what keras.applications names as one (an inverted residual, a bottleneck, a cell). What has no such name
    (stems, our own networks) makes a block of each convolution or dense layer with the normalisation after it.

    Parameters
    ----------
    model : keras.Model
        A backbone. The blocks of a fusion's members are joined from the output on, so that its last three are the
        last three of each member.

    Returns
    -------
    list of list of keras.layers.Layer
        The layers that hold weights, each in one block, from input to output; none of a network that never learns.
    """
    if model.name.startswith(FIXED):
        return []
    members = [layer for layer in model.layers if is_network(layer)]
    if not members:
        return _single(model)
    cut = [found for member in members if (found := blocks(member))]
    deepest = max(map(len, cut), default=0)
    joined: list[list[Any]] = [[] for _ in range(deepest)]
    for member in cut:
        for index, block in enumerate(member, start=deepest - len(member)):
            joined[index] += block
    return joined


def set_trainable(
    model: keras.Model, unfrozen: int | None, freeze_batch_norm: bool
) -> list[tuple[keras.Variable, int]]:
    """Freeze all but the last blocks.

    Parameters
    ----------
    model : keras.Model
        A backbone; whatever was frozen before counts no longer. What was traced with it before must be traced again.
    unfrozen : int or None
        Blocks that learn, counted from the output, at least 0; None for all.
    freeze_batch_norm : bool
        Whether every batch normalisation keeps its scale and shift, and its statistics, which it then uses in training
        too. That of frozen blocks always does.

    Returns
    -------
    list of (keras.Variable, int)
        What learns, in the order of ``model.trainable_variables``, with its block's distance from the last block.

    Raises
    ------
    SettingError
        Where the network has fewer blocks than `unfrozen`.
    """
    import keras

    cut = blocks(model)
    if unfrozen is not None and not 0 <= unfrozen <= len(cut):
        raise SettingError(
            "regime.unfrozen",
            unfrozen,
            f"{model.name} has {len(cut)} blocks",
            f"set regime.unfrozen to a number from 0 to {len(cut)}, or to null for all",
        )
    learning = len(cut) if unfrozen is None else unfrozen
    # A frozen container would freeze what lies in it, whatever its layers say.
    model.trainable = bool(cut)
    for layer in model.layers:
        if is_network(layer):
            layer.trainable = not layer.name.startswith(FIXED)
    depths: dict[int, int] = {}
    for depth, block in enumerate(reversed(cut)):
        for layer in block:
            layer.trainable = depth < learning and not (
                freeze_batch_norm and isinstance(layer, keras.layers.BatchNormalization)
            )
            depths |= {id(variable): depth for variable in layer.trainable_variables}
    return [(variable, depths[id(variable)]) for variable in model.trainable_variables]


def _single(model: Any) -> list[list[Any]]:
    """Cut a network without members."""
    unnamed = count()
    current: object = None
    grouped: dict[object, list[Any]] = {}
    for name, layer in _weighted(model.layers):
        found = _NAMED_BLOCK.search(name)
        if found:
            current = found.lastgroup, found[found.lastgroup or 0]
        elif current is None or not _normalises(layer):
            current = next(unnamed)
        grouped.setdefault(current, []).append(layer)
    return list(grouped.values())


def _weighted(layers: list[Any]) -> Iterator[tuple[str, Any]]:
    """Give the layers with weights, those within a Sequential too, each with its name."""
    import keras

    for layer in layers:
        if isinstance(layer, keras.Sequential):
            yield from _weighted(layer.layers)
        elif layer.weights:
            yield layer.name, layer


def is_network(layer: Any) -> bool:
    """Say whether a layer is a network to look into; a Sequential, in which ConvNeXt keeps some layers, is one layer.

    Parameters
    ----------
    layer : keras.layers.Layer or operation
        Of a functional model.
    """
    import keras

    return isinstance(layer, keras.Model) and not isinstance(layer, keras.Sequential)


def _normalises(layer: Any) -> bool:
    import keras

    kinds = (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.GroupNormalization)
    return isinstance(layer, kinds)
