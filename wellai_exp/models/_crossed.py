"""Linear heads of all cross-validation folds on rows that the folds share.

Every fold trains on the same rows but those that it holds out. Instead of a copy of its rows for each fold, the rows
lie once, in one block for each fold that holds them out, and a block meets the class vectors of all other folds in one
product: as many operations, on wider matrices, and with F folds of 1 / (F - 1) of the numbers to read.

Shapes: F folds and blocks, n rows a block, D features, C classes. Block b is held out by fold b, and its partners, the
folds that train on it, are b + 1, b + 2, … round to b - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellai_exp.gradients import Gradient, by_hand
from wellai_exp.models._heads import Head, IntArray


def partners(folds: int) -> IntArray:
    """Give the folds that train on each block, int [F, F - 1]."""
    return (np.arange(folds)[:, None] + np.arange(1, folds)) % folds


def crossed_logits(head: Head, weights: list[Any], blocks: Sequence[Any], scale: Any, shift: Any) -> Any:
    """Give the logits of every block for every fold that trains on it.

    Parameters
    ----------
    head : Head
        Linear in its features (``head.linear``).
    weights : list of tensor
        As ``head.initial`` lists them, each [F, ...].
    blocks : sequence of F tensors
        float32 [n, D].
    scale, shift : tensor
        float32 [F, 1, D]: fold f means ``(x - shift[f]) * scale[f]`` where a block says x.

    Returns
    -------
    tensor
        float32 [F, n, F - 1, C], differentiable in `weights`; the folds of block b are ``partners(F)[b]``.
    """
    from keras import ops

    # What a fold does to its features it may as well do to its vectors, which are fewer.
    vectors = head.class_vectors(weights) * scale
    # No product of matrices: its gradient would be one of columns with rows, which TensorFlow takes long for.
    bias = head.class_bias(weights)[:, 0] - ops.sum(vectors * shift, axis=-1)
    folds, classes = bias.shape
    products = ops.reshape(_products(blocks, vectors), (folds, -1, folds - 1, classes))
    return products + ops.take(bias, partners(folds), axis=0)[:, None]


def _products(blocks: Sequence[Any], vectors: Any) -> Any:
    """Multiply each block [n, D] with the vectors [F, C, D] of its partners: [F, n, (F - 1) C].

    The gradient is written by hand: that of a slice would be as large as what it was cut from, mostly zeros.
    """
    from keras import ops

    folds, classes, dim = vectors.shape

    @by_hand
    def products(vectors: Any) -> tuple[Any, Gradient]:
        # Partners follow one another, so that their vectors are a slice, which is no copy.
        round_twice = ops.concatenate([vectors, vectors[:-1]])
        own = [ops.reshape(round_twice[index + 1 : index + folds], (-1, dim)) for index in range(folds)]
        made = [ops.matmul(block, ops.transpose(part)) for block, part in zip(blocks, own, strict=True)]

        def gradient(upstream: Any) -> Any:
            shares: list[list[Any]] = [[] for _ in range(folds)]
            for index, block in enumerate(blocks):
                share = ops.reshape(ops.matmul(ops.transpose(upstream[index]), block), (folds - 1, classes, dim))
                for slot, fold in enumerate(partners(folds)[index]):
                    shares[fold].append(share[slot])
            return ops.stack([sum(several[1:], several[0]) for several in shares])

        return ops.stack(made), gradient

    return products(vectors)
