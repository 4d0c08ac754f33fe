"""Fit one head for every cross-validation fold at once.

All folds are one stacked problem: [F, N, D] features against [F, C, D] class vectors. The folds share nothing but the
matrix products, which are large enough stacked to keep every core busy; fitted one after another they are not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import NoAugmentation, Policy
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import BatchPlan, NoStrategy, Strategy, smoothed
from wellai_exp.models import FittedHead, Head, Scaler
from wellai_exp.seeding import derive_seed, generator

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Part = Head | Strategy | Policy


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
    """Run the optimiser; gives the weights and the last loss."""
    folds, _, dim = stack.features.shape
    shape = _Shape(folds, dim, stack.targets.shape[2], batches is not None)
    # A strategy that leaves the loss alone, and a policy that mixes nothing, do not tell one loop from another.
    own = strategy if strategy.changes_loss else NoStrategy()
    parts = head, own, policy if policy.mixes_labels else NoAugmentation()
    plain, *others = (_with(part, dict.fromkeys(_numbers(part), 0.0)) for part in parts)
    loop = _loop(_with(plain, {"steps": 1}), *others, shape)
    return loop.run(parts, stack, batches, start, derive_seed(seed, "mix"))


def _numbers(part: Part) -> dict[str, float]:
    """Give what enters a traced loop as a number, by the field's name."""
    given = {name: getattr(part, name) for name in part.numbers}
    return {name: float(value) for name, value in given.items() if isinstance(value, (int, float))}


def _with(part: Any, values: Mapping[str, Any]) -> Any:
    """Copy a part with other values, which may be tensors or no sound ones and so are not checked."""
    copied = copy.copy(part)
    for name, value in values.items():
        object.__setattr__(copied, name, value)
    return copied


@dataclass(frozen=True)
class _Shape:
    """What a traced loop is made for: F, D, C, and whether its batches are drawn."""

    folds: int
    dim: int
    classes: int
    drawn: bool


class _Loop:
    """The optimiser's loop over its steps, traced once for many trials.

    Tracing takes as long as a third of a fit, and TensorFlow never gives back the memory of what was traced.
    """

    def __init__(self, head: Head, strategy: Strategy, policy: Policy, shape: _Shape) -> None:
        import keras

        self.parts: tuple[Part, ...] = (head, strategy, policy)
        self.shape = shape
        initial = head.initial(shape.folds, shape.dim, shape.classes, 0)
        self.variables = [keras.Variable(np.zeros_like(value)) for value in initial]
        self.optimizer = keras.optimizers.Adam(1.0)
        self.optimizer.build(self.variables)
        self._run = self._traced()

    def run(
        self,
        parts: tuple[Head, Strategy, Policy],
        stack: _Stack,
        batches: Labels | None,
        start: list[Array],
        mix_seed: int,
    ) -> tuple[list[Array], float]:
        """Fit from `start` with the numbers and steps of these parts; gives weights and the last loss."""
        import tensorflow as tf

        for variable in self.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        for variable, value in zip(self.variables, start, strict=True):
            variable.assign(value)
        drawn = np.zeros((0, self.shape.folds, 0), np.int32) if batches is None else batches.astype(np.int32)
        data = (tf.constant(part) for part in (stack.features, stack.targets, stack.weights, stack.prior, drawn))
        numbers = [tf.constant(list(_numbers(part).values()), tf.float32) for part in parts]
        loss = self._run(*data, numbers, tf.constant(parts[0].steps), tf.constant(mix_seed, tf.int64))
        return [np.array(variable.numpy()) for variable in self.variables], float(loss)

    def _loss(self, parts: Sequence[Any], batch: Sequence[Any], prior: Any, seed: Any) -> Any:
        from keras import ops

        head, strategy, policy = parts
        x, targets, weights = batch
        if policy.mixes_labels:
            x, targets, weights = policy.mix(x, targets, weights, seed)
        values = [variable.value for variable in self.variables]
        logits = head.logits(values, x)
        losses = strategy.loss(logits, smoothed(targets, prior, head.label_smoothing), prior)
        losses = losses + head.extra_loss(logits, targets)
        rows = ops.maximum(ops.sum(ops.cast(weights > 0, "float32"), axis=-1), 1.0)
        return ops.sum(ops.sum(losses * weights, axis=-1) / rows) + head.l2 * head.penalty(values)

    def _traced(self) -> Any:
        import tensorflow as tf

        folds, dim, classes = self.shape.folds, self.shape.dim, self.shape.classes
        data = [(folds, None, dim), (folds, None, classes), (folds, None), (folds, 1, classes)]
        signature = [tf.TensorSpec(shape) for shape in data]
        numbers = [tf.TensorSpec(len(_numbers(part))) for part in self.parts]
        signature += [tf.TensorSpec((None, folds, None), tf.int32), numbers]
        signature += [tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int64)]

        # Folds never meet in the loss but by a sum, and Adam works weight by weight: stacked equals one by one.
        def run(
            x: Any,
            targets: Any,
            weights: Any,
            prior: Any,
            drawn: Any,
            numbers: Any,
            steps: Any,
            mix_seed: Any,
        ) -> Any:
            filled = [
                _with(part, dict(zip(_numbers(part), tf.unstack(own), strict=True)))
                for part, own in zip(self.parts, numbers, strict=True)
            ]
            loss = tf.constant(0.0)
            for step in tf.range(steps):
                batch = (x, targets, weights)
                if self.shape.drawn:
                    # Drawn by class already: weighting rows as well would count the strategy twice.
                    rows = drawn[step]
                    parts = (tf.gather(part, rows, batch_dims=1) for part in (x, targets))
                    batch = (*parts, tf.ones_like(rows, tf.float32))
                with tf.GradientTape() as tape:
                    loss = self._loss(filled, batch, prior, tf.stack([mix_seed, tf.cast(step, tf.int64)]))
                gradients = tape.gradient(loss, [variable.value for variable in self.variables])
                share = tf.cast(step, tf.float32) / tf.cast(steps, tf.float32)
                rate = filled[0].learning_rate * 0.5 * (1.0 + tf.cos(math.pi * share))
                self.optimizer.learning_rate.assign(rate)
                self.optimizer.apply(gradients, self.variables)
            return loss

        return tf.function(run, input_signature=signature, jit_compile=False)


@lru_cache(maxsize=8)
def _loop(head: Head, strategy: Strategy, policy: Policy, shape: _Shape) -> _Loop:
    return _Loop(head, strategy, policy, shape)
