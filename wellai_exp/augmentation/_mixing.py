"""How rows find partners and how far they are mixed: shared by MixUp and CutMix. Keras operations only."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def draw_shares(weights: Any, alpha: float, stream: Any) -> Any:
    """Draw the share that each row keeps of itself, Beta(alpha, alpha), in the shape of `weights`."""
    shares = keras.random.beta(ops.shape(weights), alpha, alpha, dtype="float32", seed=stream)
    # For a small alpha both gamma draws can fall below float32, which gives 0/0: such a row stays as it is.
    return ops.where(ops.isfinite(shares), shares, ops.ones_like(shares))


def draw_partners(weights: Any, stream: Any) -> Any:
    """Draw each row's partner ``[..., N]``: a random permutation of its fold's rows of weight above 0.

    A row of weight 0 is its own partner, and nobody else's.
    """
    real = weights > 0.0
    number = ops.shape(weights)[-1]
    numbers = keras.random.uniform(ops.shape(weights), dtype="float32", seed=stream)
    # Real rows sort first, in random order; the r-th real row then takes the r-th of that order.
    order = ops.cast(ops.argsort(ops.where(real, numbers, 2.0), axis=-1), "int32")
    rank = ops.maximum(ops.cumsum(ops.cast(real, "int32"), axis=-1) - 1, 0)
    partner = ops.take_along_axis(order, rank, axis=-1)
    return ops.where(real, partner, ops.arange(number, dtype="int32"))


def take_rows(values: Any, partners: Any) -> Any:
    """Take rows of ``[..., N, *rest]`` by indices ``[..., N]`` within each fold."""
    shape, lead = ops.shape(values), len(partners.shape)
    number = shape[lead - 1]
    rows = ops.reshape(values, (-1, *shape[lead:]))
    folds = ops.reshape(partners, (-1, number))
    flat = folds + ops.arange(ops.shape(folds)[0], dtype="int32")[:, None] * number
    return ops.reshape(ops.take(rows, ops.reshape(flat, (-1,)), axis=0), shape)


def blend(values: Any, others: Any, shares: Any) -> Any:
    """Give ``share · value + (1 - share) · other``, row by row."""
    extra = len(values.shape) - len(shares.shape)
    shares = ops.reshape(shares, (*ops.shape(shares), *([1] * extra)))
    return others + shares * (values - others)
