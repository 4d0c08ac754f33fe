"""Fit one head for every cross-validation fold at once.

All folds are one problem: [F, N, D] features against [F, C, D] class vectors, or blocks of rows that folds share
(`wellai_exp.models.crossed_logits`). The folds share nothing but the matrix products, which are large enough together
to keep every core busy; fitted one after another they are not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from wellai_exp.augmentation import NoAugmentation, Policy
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import BatchPlan, NoStrategy, Strategy, smoothed
from wellai_exp.models import FittedHead, Head, crossed_logits
from wellai_exp.seeding import derive_seed, generator
from wellai_exp.training._fold_rows import Array, FoldData, Labels, Problem, SharedRows, may_share, state

Part = Head | Strategy | Policy
# Adam's decay rates and the number that keeps it from dividing by zero, as Keras has them.
_BETAS = 0.9, 0.999
_EPSILON = 1e-7


def _draw_batches(folds: Sequence[FoldData], plan: BatchPlan, steps: int, seed: int) -> Labels:
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
    head: Head,
    strategy: Strategy,
    policy: Policy,
    rows: Sequence[FoldData] | SharedRows,
    n_classes: int,
    seed: int,
) -> list[FittedHead]:
    """Fit `head` on every fold and finish its last layer as `strategy` asks.

    Adam (Kingma and Ba 2015) with cosine decay (Loshchilov and Hutter 2017), full batch unless the strategy draws
    batches.

    Parameters
    ----------
    head, strategy, policy
        The trial's choices; the policy acts here only where it mixes labels.
    rows : sequence of FoldData, or SharedRows
        Training rows of each fold; shared ones where :func:`may_share` allows it.
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
    problem = state(rows, strategy, n_classes)
    weights = _solved(head, strategy, policy, rows, problem, seed)
    kernels = np.swapaxes(np.asarray(head.class_vectors(weights), np.float32), -1, -2)
    biases = np.asarray(head.class_bias(weights), np.float32)
    fitted = []
    for index, (scaler, counts) in enumerate(zip(problem.scalers, problem.counts, strict=True)):
        kernel, bias = strategy.finalise(kernels[index], biases[index, 0], counts)
        hidden = tuple(weight[index] for weight in head.hidden_weights(weights))
        fitted.append(FittedHead(head, scaler, hidden, kernel, bias))
    return fitted


def solve(
    head: Head,
    strategy: Strategy,
    policy: Policy,
    rows: Sequence[FoldData] | SharedRows,
    n_classes: int,
    seed: int,
) -> list[Array]:
    """Give the head's weights as :func:`fit_heads` fits them, before the strategy finishes the last layer.

    Parameters and errors are those of :func:`fit_heads`.

    Returns
    -------
    list of numpy.ndarray
        As ``head.initial`` lists them, each float32 [F, ...].
    """
    return _solved(head, strategy, policy, rows, state(rows, strategy, n_classes), seed)


def _solved(
    head: Head,
    strategy: Strategy,
    policy: Policy,
    rows: Sequence[FoldData] | SharedRows,
    problem: Problem,
    seed: int,
) -> list[Array]:
    """Minimise what `rows` state."""
    batches = None
    if isinstance(rows, SharedRows):
        if not may_share(head, strategy, policy):
            raise ValueError(f"head {head.name}, imbalance {strategy.name} or {policy.name} needs rows of its own")
    elif (plan := strategy.batches(problem.counts[0])) is not None:
        batches = _draw_batches(rows, plan, head.steps, seed)
    folds, _, dim = problem.features.shape
    shape = _Shape(folds, dim, problem.counts.shape[1], batches is not None, bool(problem.lens))
    # A strategy that leaves the loss alone, and a policy that mixes nothing, do not tell one loop from another.
    own = strategy if strategy.changes_loss else NoStrategy()
    parts = head, own, policy if policy.mixes_labels else NoAugmentation()
    plain, *others = (_with(part, dict.fromkeys(_numbers(part), 0.0)) for part in parts)
    loop = _loop(_with(plain, {"steps": 1}), *others, shape)
    start = head.initial(folds, dim, shape.classes, seed)
    weights, loss = loop.run(parts, problem, batches, start, derive_seed(seed, "mix"))
    if not np.isfinite(loss) or not all(np.isfinite(weight).all() for weight in weights):
        raise TrialFailed(
            f"the loss of the {head.name} head was no longer a number (learning rate {head.learning_rate})"
        )
    return weights


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
    """What a traced loop is made for: F, D, C, whether its batches are drawn, and whether its rows are crossed."""

    folds: int
    dim: int
    classes: int
    drawn: bool
    crossed: bool

    def specs(self) -> list[Any]:
        """Give what :class:`Problem` and the drawn batches look like."""
        import tensorflow as tf

        partners = (self.folds - 1,) if self.crossed else ()
        rows = self.folds, None
        block = tf.TensorSpec((None, self.dim))
        features = [block] * self.folds if self.crossed else tf.TensorSpec((*rows, self.dim))
        shapes = [(*rows, *partners), (self.folds, 1, *partners, self.classes)]
        shapes += [(self.folds, 1, self.dim)] * (2 if self.crossed else 0)
        drawn = tf.TensorSpec((None, *rows), tf.int32)
        return [[features, tf.TensorSpec(rows, tf.int32), *map(tf.TensorSpec, shapes)], drawn]


class _Loop:
    """The optimiser's loop over its steps, traced once for many trials.

    Tracing takes as long as a third of a fit, and TensorFlow never gives back the memory of what was traced.
    """

    def __init__(self, head: Head, strategy: Strategy, policy: Policy, shape: _Shape) -> None:
        import tensorflow as tf

        self.parts: tuple[Part, ...] = (head, strategy, policy)
        self.shape = shape
        initial = head.initial(shape.folds, shape.dim, shape.classes, 0)
        self.variables = [tf.Variable(value) for value in initial]
        self.moments = [(tf.Variable(np.zeros_like(value)), tf.Variable(np.zeros_like(value))) for value in initial]
        self._run = self._traced()

    def run(
        self,
        parts: tuple[Head, Strategy, Policy],
        problem: Problem,
        batches: Labels | None,
        start: list[Array],
        mix_seed: int,
    ) -> tuple[list[Array], float]:
        """Fit from `start` with the numbers and steps of these parts; gives weights and the last loss."""
        import tensorflow as tf

        for variable, moments, value in zip(self.variables, self.moments, start, strict=True):
            variable.assign(value)
            for moment in moments:
                moment.assign(tf.zeros_like(moment))
        drawn = np.zeros((0, self.shape.folds, 0), np.int32) if batches is None else batches.astype(np.int32)
        numbers = [tf.constant(list(_numbers(part).values()), tf.float32) for part in parts]
        steps = tf.constant(parts[0].steps)
        loss = self._run(list(problem.tensors), drawn, numbers, steps, tf.constant(mix_seed, tf.int64))
        return [np.array(variable.numpy()) for variable in self.variables], float(loss)

    def _batch(self, whole: Sequence[Any], rows: Any, parts: Sequence[Any], prior: Any, seed: Any) -> Sequence[Any]:
        """Give the features, targets, weights and smoothed targets of one step."""
        import tensorflow as tf

        head, _, policy = parts
        if not (self.shape.drawn or policy.mixes_labels):
            return whole
        x, targets, weights, _ = whole
        if self.shape.drawn:
            # Drawn by class already: weighting rows as well would count the strategy twice.
            x, targets = (tf.gather(part, rows, batch_dims=1) for part in (x, targets))
            weights = tf.ones_like(rows, tf.float32) / tf.cast(tf.shape(rows)[1], tf.float32)
        if policy.mixes_labels:
            x, targets, weights = policy.mix(x, targets, weights, seed)
        return x, targets, weights, smoothed(targets, prior, head.label_smoothing)

    def _loss(self, parts: Sequence[Any], batch: Sequence[Any], prior: Any, lens: Sequence[Any]) -> Any:
        from keras import ops

        head, strategy, _ = parts
        x, targets, weights, smooth = batch
        values = [variable.read_value() for variable in self.variables]
        logits = crossed_logits(head, values, x, *lens) if lens else head.logits(values, x)
        losses = strategy.loss(logits, smooth, prior) + head.extra_loss(logits, targets)
        return ops.sum(losses * weights) + head.l2 * head.penalty(values)

    def _step(self, gradients: Sequence[Any], rate: Any, done: Any) -> None:
        """Take a step of Adam, which TensorFlow has in one pass over the weights where Keras needs ten."""
        import tensorflow as tf

        for variable, (mean, square), gradient in zip(self.variables, self.moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=_BETAS[0] ** (done + 1.0),
                beta2_power=_BETAS[1] ** (done + 1.0),
                lr=rate,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                epsilon=_EPSILON,
                grad=gradient,
            )

    def _traced(self) -> Any:
        import tensorflow as tf

        numbers = [tf.TensorSpec(len(_numbers(part))) for part in self.parts]
        signature = [*self.shape.specs(), numbers, tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int64)]

        # Folds never meet in the loss but by a sum, and Adam works weight by weight: together equals one by one.
        def run(data: Any, drawn: Any, numbers: Any, steps: Any, mix_seed: Any) -> Any:
            x, labels, weights, prior, *lens = data
            # Made here, as they are large; partners share them, and padding belongs to no class.
            targets = tf.one_hot(labels[..., None] if lens else labels, self.shape.classes)
            parts = [
                _with(part, dict(zip(_numbers(part), tf.unstack(own), strict=True)))
                for part, own in zip(self.parts, numbers, strict=True)
            ]
            head = parts[0]
            smooth = smoothed(targets, prior, head.label_smoothing)
            whole = x, targets, weights, smooth
            loss = tf.constant(0.0)
            for step in tf.range(steps):
                rows = drawn[step] if self.shape.drawn else None
                batch = self._batch(whole, rows, parts, prior, tf.stack([mix_seed, tf.cast(step, tf.int64)]))
                with tf.GradientTape() as tape:
                    loss = self._loss(parts, batch, prior, lens)
                done = tf.cast(step, tf.float32)
                rate = head.learning_rate * 0.5 * (1.0 + tf.cos(math.pi * done / tf.cast(steps, tf.float32)))
                self._step(tape.gradient(loss, self.variables), rate, done)
            return loss

        return tf.function(run, input_signature=signature, jit_compile=False)


@lru_cache(maxsize=8)
def _loop(head: Head, strategy: Strategy, policy: Policy, shape: _Shape) -> _Loop:
    return _Loop(head, strategy, policy, shape)
