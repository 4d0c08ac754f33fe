"""Fit one head for every cross-validation fold at once.

All folds are one stacked problem: [F, N, D] features against [F, C, D] class vectors. The folds share nothing but the
matrix products, which are large enough stacked to keep every core busy; fitted one after another they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import Policy
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import BatchPlan, Strategy
from wellai_exp.models import FittedHead, Head, Scaler
from wellai_exp.seeding import derive_seed, generator

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoldData:
    """One fold's training rows after scaling and resampling.

    Parameters
    ----------
    features : numpy.ndarray
        float32 [N, D], scaled.
    labels : numpy.ndarray
        int [N].
    scaler : Scaler
        What scaled the features.
    """

    features: Array
    labels: Labels
    scaler: Scaler


@dataclass(frozen=True)
class _Stack:
    """The folds padded to one length; padding has weight 0."""

    features: Array
    targets: Array
    weights: Array
    prior: Array
    counts: Labels
    lengths: Labels


def _stack(folds: list[FoldData], strategy: Strategy, n_classes: int) -> _Stack:
    longest = max(len(fold.labels) for fold in folds)
    shape = (len(folds), longest)
    # A fold alone is stacked as it lies: a large one should not be held twice.
    alone = len(folds) == 1
    features = folds[0].features[None] if alone else np.zeros((*shape, folds[0].features.shape[1]), np.float32)
    targets = np.zeros((*shape, n_classes), np.float32)
    weights = np.zeros(shape, np.float32)
    counts = np.stack([np.bincount(fold.labels, minlength=n_classes) for fold in folds])
    for index, fold in enumerate(folds):
        rows = len(fold.labels)
        if not alone:
            features[index, :rows] = fold.features
        targets[index, np.arange(rows), fold.labels] = 1.0
        weights[index, :rows] = strategy.class_weight(counts[index])[fold.labels]
    prior = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)[:, None, :]
    return _Stack(features, targets, weights, prior, counts, np.array([len(fold.labels) for fold in folds]))


def _draw_batches(folds: list[FoldData], plan: BatchPlan, steps: int, seed: int) -> Labels:
    """Draw the rows of every step: a class by its probability, then a row of that class; int [steps, F, B]."""
    drawn = []
    for index, fold in enumerate(folds):
        rng = generator(seed, "batches", index)
        counts = np.bincount(fold.labels, minlength=len(plan.probability))
        probability = np.where(counts > 0, plan.probability, 0.0)
        per_row = (probability / np.maximum(counts, 1) / probability.sum())[fold.labels]
        drawn.append(rng.choice(len(fold.labels), (steps, plan.batch_size), p=per_row / per_row.sum()))
    return np.stack(drawn, axis=1)


def fit_heads(
    head: Head, strategy: Strategy, policy: Policy, folds: list[FoldData], n_classes: int, seed: int
) -> list[FittedHead]:
    """Fit `head` on every fold and finish its last layer as `strategy` asks.

    Adam (Kingma and Ba 2015) with cosine decay (Loshchilov and Hutter 2017), full batch unless the strategy draws
    batches.

    Parameters
    ----------
    head, strategy, policy
        The trial's choices; the policy acts here only where it mixes labels.
    folds : list of FoldData
        Training rows of each fold.
    n_classes : int
        C.
    seed : int
        Of the start, the batches and the mixing.

    Returns
    -------
    list of FittedHead
        One a fold.

    Raises
    ------
    TrialFailed
        Where the loss is no longer a number.
    """
    weights = solve(head, strategy, policy, folds, n_classes, seed)
    kernels = np.swapaxes(np.asarray(head.class_vectors(weights), np.float32), -1, -2)
    biases = np.asarray(head.class_bias(weights), np.float32)
    fitted = []
    for index, fold in enumerate(folds):
        counts = np.bincount(fold.labels, minlength=n_classes)
        kernel, bias = strategy.finalise(kernels[index], biases[index, 0], counts)
        hidden = tuple(weight[index] for weight in head.hidden_weights(weights))
        fitted.append(FittedHead(head, fold.scaler, hidden, kernel, bias))
    return fitted


def solve(
    head: Head, strategy: Strategy, policy: Policy, folds: list[FoldData], n_classes: int, seed: int
) -> list[Array]:
    """Give the head's weights as :func:`fit_heads` fits them, before the strategy finishes the last layer.

    Parameters and errors are those of :func:`fit_heads`.

    Returns
    -------
    list of numpy.ndarray
        As ``head.initial`` lists them, each float32 [F, ...].
    """
    stack = _stack(folds, strategy, n_classes)
    plans = [strategy.batches(counts) for counts in stack.counts]
    batches = _draw_batches(folds, plans[0], head.steps, seed) if plans[0] is not None else None
    start = head.initial(len(folds), stack.features.shape[2], n_classes, seed)
    weights, loss = _minimise(head, strategy, policy, stack, batches, start, seed)
    if not np.isfinite(loss) or not all(np.isfinite(weight).all() for weight in weights):
        raise TrialFailed(
            f"the loss of the {head.name} head was no longer a number (learning rate {head.learning_rate})"
        )
    return weights


def _minimise(
    head: Head,
    strategy: Strategy,
    policy: Policy,
    stack: _Stack,
    batches: Labels | None,
    start: list[Array],
    seed: int,
) -> tuple[list[Array], float]:
    """Run the optimiser in one traced loop; gives the weights and the last loss."""
    import keras
    import tensorflow as tf
    from keras import ops

    variables = [keras.Variable(value) for value in start]
    schedule = keras.optimizers.schedules.CosineDecay(head.learning_rate, head.steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(variables)
    mix_seed = derive_seed(seed, "mix")

    def step_loss(x: Any, targets: Any, weights: Any, prior: Any, step: Any) -> Any:
        if policy.mixes_labels:
            x, targets, weights = policy.mix(x, targets, weights, ops.stack([mix_seed, step]))
        logits = head.logits([variable.value for variable in variables], x)
        losses = strategy.loss(logits, targets, prior, head.label_smoothing) + head.extra_loss(logits, targets)
        rows = ops.maximum(ops.sum(ops.cast(weights > 0, "float32"), axis=-1), 1.0)
        data = ops.sum(ops.sum(losses * weights, axis=-1) / rows)
        return data + head.l2 * head.penalty([variable.value for variable in variables])

    # Folds never meet in the loss but by a sum, and Adam works weight by weight: stacked equals one by one.
    @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
    def run(x: Any, targets: Any, weights: Any, prior: Any, drawn: Any) -> Any:
        loss = tf.constant(0.0)
        for step in tf.range(head.steps):
            if drawn is None:
                batch = (x, targets, weights)
            else:
                # Drawn by class already: weighting rows as well would count the strategy twice.
                rows = drawn[step]
                batch = (
                    tf.gather(x, rows, batch_dims=1),
                    tf.gather(targets, rows, batch_dims=1),
                    tf.ones_like(rows, tf.float32),
                )
            with tf.GradientTape() as tape:
                loss = step_loss(*batch, prior, step)
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            optimizer.apply(gradients, variables)
        return loss

    drawn = None if batches is None else tf.constant(batches, tf.int32)
    loss = run(*(tf.constant(part) for part in (stack.features, stack.targets, stack.weights, stack.prior)), drawn)
    return [np.asarray(variable, np.float32) for variable in variables], float(loss)
