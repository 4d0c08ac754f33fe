"""A backbone and a head that learn together: one traced step, one traced inference, and all state as arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError
from wellai_exp.imbalance import Strategy
from wellai_exp.models import Backbone, FittedHead, Head, Scaler, folded, set_trainable
from wellai_exp.training._optimizers import Optimizer, averaged, restore, state

Array = npt.NDArray[np.float32]
Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """Everything that is traced into a training step; networks of equal recipes can be used again.

    Parameters
    ----------
    backbone, head, strategy, optimizer
        One member of each family.
    unfrozen : int or None
        Blocks that learn, counted from the output; None for all.
    freeze_batch_norm : bool
        Whether batch normalisation keeps the statistics, scales and shifts it came with.
    label_smoothing : float
        Share of the target spread over the classes.
    dropout : float
        Share of the features set to zero.
    precision : str
        Keras' dtype policy.
    xla : {"auto", "on", "off"}
        Whether XLA compiles the step.
    """

    backbone: Backbone
    head: Head
    strategy: Strategy
    optimizer: Optimizer
    unfrozen: int | None
    freeze_batch_norm: bool
    label_smoothing: float
    dropout: float
    precision: str
    xla: str

    @property
    def key(self) -> Recipe:
        """What decides the traced graph: the optimiser's rates and decays enter it as variables."""
        return replace(self, optimizer=self.optimizer.traced)


@dataclass(frozen=True)
class Teacher:
    """What a student's predictions are drawn towards (Hinton et al. 2015, arXiv 1503.02531).

    Parameters
    ----------
    models : tuple
        Keras models from images [N, S, S, 3] in [0, 255] to probabilities [N, C]; their mean teaches.
    weight : float
        Share of this loss, the rest being that of the labels.
    temperature : float
        What the logits of both are divided by.
    """

    models: tuple[Any, ...]
    weight: float
    temperature: float

    @cached_property
    def key(self) -> str:
        """A hash of all that it teaches by: two teachers of one key give one student."""
        digest = hashlib.sha256(repr((self.weight, self.temperature)).encode())
        for model in self.models:
            for weight in model.weights:
                digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
        return digest.hexdigest()

    @cached_property
    def _quick(self) -> tuple[Any, ...]:
        return tuple(map(folded, self.models))

    def loss(self, images: Any, logits: Any) -> Any:
        """Give T² times the cross-entropy against the softened teacher, [N]; its gradient is that of the divergence."""
        from keras import ops

        probabilities = sum(model(images, training=False) for model in self._quick) / len(self._quick)
        soft = ops.softmax(ops.log(probabilities + 1e-8) / self.temperature, axis=-1)
        student = ops.log_softmax(logits / self.temperature, axis=-1)
        return -(self.temperature**2) * ops.sum(soft * student, axis=-1)


class Network:
    """One network at one image size.

    Parameters
    ----------
    recipe : Recipe
        How it learns.
    size : int
        Side of its images, pixels.
    n_classes : int
        Classes C.
    seed : int
        Of the starting weights that are random.
    teacher : Teacher, optional
        For distillation.
    """

    def __init__(self, recipe: Recipe, size: int, n_classes: int, seed: int, teacher: Teacher | None = None) -> None:
        import keras

        self.recipe = recipe
        self.size = size
        self.n_classes = n_classes
        self._teacher = teacher
        keras.utils.set_random_seed(seed)
        with _dtype_policy(recipe.precision):
            self.trunk = recipe.backbone.at_size(size).build()
        self.compiled = _compiles(self.trunk, recipe.xla)
        self.dim = dim = int(self.trunk.output_shape[-1])
        self._first = [variable.numpy() for variable in self.trunk.variables]
        learning = set_trainable(self.trunk, recipe.unfrozen, recipe.freeze_batch_norm)
        self._quick = folded(self.trunk, learning=True)
        initial = [weight[0] for weight in recipe.head.initial(1, dim, n_classes, seed)]
        self._head = [keras.Variable(weight) for weight in initial]
        self._scale = [keras.Variable(np.full(dim, fill, np.float32), trainable=False) for fill in (0.0, 1.0)]
        self.variables = [variable for variable, _ in learning] + self._head
        self._depths = [depth + 1 for _, depth in learning] + [0] * len(self._head)
        self.optimizer = recipe.optimizer.make(self.variables, self._multipliers(recipe.optimizer))
        self._step = self._traced_step()
        self._features = self._traced_features()

    def _multipliers(self, optimizer: Optimizer) -> list[float]:
        """Give each variable's share of the rate: the head learns at the full one."""
        return [optimizer.layer_decay**depth for depth in self._depths]

    def begin(self, optimizer: Optimizer, scaler: Scaler, head: Sequence[Array]) -> None:
        """Start afresh from the trunk's first weights, with this scaling and head (weights without a fold axis)."""
        optimizer.adjust(self.optimizer, self._multipliers(optimizer))
        self.set_head(scaler, head)
        for variable, value in zip(self.trunk.variables, self._first, strict=True):
            variable.assign(value)
        self.optimizer.restart()

    def set_head(self, scaler: Scaler, head: Sequence[Array]) -> None:
        """Take another scaling and head."""
        for variable, value in zip(self._scale, _shift_and_scale(scaler), strict=True):
            variable.assign(value)
        for variable, value in zip(self._head, head, strict=True):
            variable.assign(value)

    def step(self, batch: Sequence[Any], prior: Any, rate: float, seed: tuple[int, int]) -> Any:
        """Learn from images [B, S, S, 3], targets [B, C] and weights [B]; gives the loss before the step.

        `seed` decides dropout: another one each step.
        """
        import tensorflow as tf

        self.optimizer.learning_rate.assign(rate)
        images, targets, weights = batch
        return self._step(images, targets, weights, prior, tf.constant(seed, tf.int32))

    def features(self, images: Any) -> Array:
        """Give features [N, D] of images [N, S, S, 3], pixels 0 to 255."""
        return np.asarray(self._features(images), np.float32)

    def fitted_head(self, counts: npt.NDArray[np.int64]) -> FittedHead:
        """Give the head as it stands, its last layer finished as the strategy asks."""
        weights = [variable.numpy() for variable in self._head]
        vectors = np.asarray(self.recipe.head.class_vectors(weights), np.float32)
        bias = np.asarray(self.recipe.head.class_bias(weights), np.float32).reshape(-1)
        kernel, bias = self.recipe.strategy.finalise(vectors.T, bias, counts)
        mean, std = (variable.numpy() for variable in self._scale)
        scaler = Scaler(self.recipe.head.scaling, mean, std)
        hidden = tuple(self.recipe.head.hidden_weights(weights))
        return FittedHead(self.recipe.head, scaler, hidden, kernel, bias)

    @property
    def arrays(self) -> Arrays:
        """All that the next step depends on."""
        return [*self._weights(), *state(self.optimizer)]

    @arrays.setter
    def arrays(self, arrays: Arrays) -> None:
        held = len(self._holders)
        self._assign(arrays[:held])
        restore(self.optimizer, arrays[held:])

    @property
    def inference_arrays(self) -> Arrays:
        """The weights to predict with: averaged where the optimiser averages."""
        with self.averaged():
            return self._weights()

    def load_inference(self, arrays: Arrays) -> None:
        """Take weights that `inference_arrays` gave."""
        self._assign(arrays)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Hold the averaged weights within the block."""
        mean = averaged(self.optimizer, self.variables)
        if mean is None:
            yield
            return
        kept = [np.array(variable.numpy()) for variable in self.variables]
        for variable, value in zip(self.variables, mean, strict=True):
            variable.assign(value)
        try:
            yield
        finally:
            for variable, value in zip(self.variables, kept, strict=True):
                variable.assign(value)

    @property
    def _holders(self) -> list[Any]:
        return [*self.trunk.variables, *self._head, *self._scale]

    def _weights(self) -> Arrays:
        return [np.array(variable.numpy()) for variable in self._holders]

    def _assign(self, arrays: Arrays) -> None:
        for variable, value in zip(self._holders, arrays, strict=True):
            variable.assign(value)

    def _logits(self, features: Any, seed: Any) -> Any:
        """Give logits [B, C] of unscaled features [B, D] while training."""
        import tensorflow as tf
        from keras import ops

        mean, std = (variable.value for variable in self._scale)
        scaled = (ops.cast(features, "float32") - mean) / std
        if self.recipe.head.scaling == "unit":
            scaled = ops.normalize(scaled, axis=-1, order=2, epsilon=1e-12)
        if self.recipe.dropout:
            kept = tf.random.stateless_uniform(tf.shape(scaled), seed) >= self.recipe.dropout
            scaled = scaled * ops.cast(kept, "float32") / (1.0 - self.recipe.dropout)
        return self.recipe.head.logits([variable.value for variable in self._head], scaled)

    def _loss(self, images: Any, targets: Any, weights: Any, prior: Any, seed: Any) -> Any:
        from keras import ops

        recipe = self.recipe
        logits = self._logits(self._quick(images, training=True), seed)
        losses = recipe.strategy.loss(logits, targets, prior, recipe.label_smoothing)
        losses = losses + recipe.head.extra_loss(logits, targets)
        if self._teacher is not None:
            share = self._teacher.weight
            losses = (1.0 - share) * losses + share * self._teacher.loss(images, logits)
        rows = ops.maximum(ops.sum(ops.cast(weights > 0, "float32")), 1.0)
        return ops.sum(losses * weights) / rows

    def _traced_step(self) -> Any:
        import tensorflow as tf

        pixels = (None, self.size, self.size, 3)
        classes = tf.TensorSpec((None, self.n_classes))
        seed = tf.TensorSpec((2,), tf.int32)
        signature = [tf.TensorSpec(pixels), classes, tf.TensorSpec((None,)), tf.TensorSpec((1, self.n_classes)), seed]

        def step(images: Any, targets: Any, weights: Any, prior: Any, seed: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = self._loss(images, targets, weights, prior, seed)
            gradients = tape.gradient(loss, [variable.value for variable in self.variables])
            self.optimizer.apply(gradients, self.variables)
            return loss

        return tf.function(step, input_signature=signature, jit_compile=self.compiled)

    def _traced_features(self) -> Any:
        import tensorflow as tf

        signature = [tf.TensorSpec((None, self.size, self.size, 3), tf.uint8)]
        quick = folded(self.trunk)

        def features(images: Any) -> Any:
            return tf.cast(quick(tf.cast(images, tf.float32), training=False), tf.float32)

        return tf.function(features, input_signature=signature, jit_compile=False)


def _compiles(trunk: Any, xla: str) -> bool:
    """Say whether XLA compiles the step: where asked for, or on a GPU where it can.

    Raises
    ------
    SettingError
        Where it is asked for and cannot.
    """
    import keras
    import tensorflow as tf

    # With deterministic operations, which the same figures from the same seed want, XLA has no gradient for these.
    pooled = any(isinstance(layer, keras.layers.MaxPooling2D) for layer in trunk._flatten_layers())
    if xla == "on" and pooled:
        raise SettingError(
            "regime.xla", xla, f"{trunk.name} pools by maxima, whose gradient XLA cannot compute", "set regime.xla=auto"
        )
    return xla == "on" or (xla == "auto" and not pooled and bool(tf.config.list_physical_devices("GPU")))


def _shift_and_scale(scaler: Scaler) -> tuple[Array, Array]:
    if scaler.kind == "standard":
        return scaler.mean, scaler.std
    return np.zeros_like(scaler.mean), np.ones_like(scaler.std)


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Let layers made within the block compute in this precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
