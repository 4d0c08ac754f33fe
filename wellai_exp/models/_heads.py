"""Classifier heads on pooled features, fitted for all cross-validation folds as one stacked problem.

The last layer is held as one vector a class, [C, K], while it is fitted: its gradient is then a product of the small
transposed residuals with the features as they lie in memory, which the CPU does faster than the other way round.

Shapes: F folds, N rows, D features, K hidden units, C classes. Every weight carries a leading fold axis while it is
fitted; :class:`FittedHead` is one fold's, without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError
from wellai_exp.gradients import Gradient, by_hand
from wellai_exp.seeding import generator

Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
SCALINGS = ("standard", "unit", "none")


@dataclass(frozen=True)
class Head:
    """Base of the heads: validates the shared settings; a subclass says what lies before the last linear layer.

    Weights are listed kernel, bias, kernel, bias, …: first those of the hidden layers, then those that the class
    vectors and biases are made of.

    Parameters
    ----------
    learning_rate : float
        Adam's peak learning rate, decayed by a cosine to zero over `steps`.
    l2 : float
        Weight of half the squared norm of every kernel.
    steps : int
        Optimiser steps; each sees the whole training part unless the imbalance strategy draws batches.
    label_smoothing : float
        Share of the target spread evenly over the classes (Szegedy et al. 2016, arXiv 1512.00567).
    scaling : {"standard", "unit", "none"}
        How features are scaled first: each to zero mean and unit variance over the training rows, each row to unit
        Euclidean length, or not at all.
    """

    learning_rate: float = 0.01
    l2: float = 1e-3
    steps: int = 60
    label_smoothing: float = 0.0
    scaling: str = "standard"
    # What a traced loss takes as numbers, so that heads that differ in nothing else share it.
    numbers: ClassVar[tuple[str, ...]] = ("learning_rate", "l2", "label_smoothing")

    @property
    def linear(self) -> bool:
        """Whether logits are a linear map of the features, so that :meth:`hidden` leaves them as they are."""
        return type(self).hidden is Head.hidden

    def __post_init__(self) -> None:
        self._check("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0", 0.01)
        self._check("l2", self.l2, self.l2 >= 0, "0 or more", 0.001)
        self._check("steps", self.steps, self.steps >= 1, "at least 1", 60)
        self._check("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)", 0.1)
        self._check("scaling", self.scaling, self.scaling in SCALINGS, f"one of {', '.join(SCALINGS)}", "standard")

    @staticmethod
    def _check(name: str, value: object, fine: bool, need: str, example: object) -> None:
        if not fine:
            raise SettingError(f"head.{name}", value, f"it must be {need}", f"set head.{name}={example}")

    @property
    def name(self) -> str:
        """The head's name, as its file in ``conf/head`` has it."""
        return type(self).__name__.removesuffix("Head").lower()

    @property
    def has_hidden(self) -> bool:
        """Whether layers of its own, which start from random weights, lie before the last linear one."""
        return bool(self._initial_hidden(1, generator(0, "head")))

    def bound(self, parents: Sequence[IntArray]) -> Self:
        """Give the head for data whose classes have these ancestors; most heads do not look at them.

        Parameters
        ----------
        parents : sequence of numpy.ndarray
            For each level that the data have, coarse to fine, the id of each class's ancestor, int [C].
        """
        return self

    def initial(self, folds: int, dim: int, classes: int, seed: int) -> list[Array]:
        """Give starting weights, the same for every fold.

        Returns
        -------
        list of numpy.ndarray
            Each float32 with leading axis `folds`; the last two are [F, C, K] and [F, 1, C].
        """
        hidden = self._initial_hidden(dim, generator(seed, "head"))
        width = hidden[-1].shape[-1] if hidden else dim
        single = [*hidden, *self._initial_classifier(width, classes, generator(seed, "classifier"))]
        return [np.repeat(weight[None], folds, axis=0) for weight in single]

    def _initial_hidden(self, dim: int, rng: np.random.Generator) -> list[Array]:
        return []

    def _initial_classifier(self, width: int, classes: int, rng: np.random.Generator) -> list[Array]:
        # The last layer is a convex problem: zero is as good a start as any, and the same for every seed.
        return [np.zeros((classes, width), np.float32), np.zeros((1, classes), np.float32)]

    def hidden_weights(self, weights: list[Any]) -> list[Any]:
        """Give those weights that :meth:`hidden` needs."""
        return weights[:-2]

    def hidden(self, weights: list[Any], features: Any) -> Any:
        """Map scaled features [..., N, D] to what the last layer sees [..., N, K]."""
        return features

    def hidden_layers(self, weights: list[Array]) -> list[tuple[Any, list[Array]]]:
        """Give :meth:`hidden` as Keras layers, each with the weights to set once it is built (no fold axis)."""
        return []

    def class_vectors(self, weights: list[Any]) -> Any:
        """Give the kernel of the last linear layer, one row a class: [..., C, K]."""
        return weights[-2]

    def class_bias(self, weights: list[Any]) -> Any:
        """Give the bias of the last linear layer: [..., 1, C]."""
        return weights[-1]

    def logits(self, weights: list[Any], features: Any) -> Any:
        """Give logits [..., N, C] of scaled features [..., N, D]."""
        from keras import ops

        vectors = self.class_vectors(weights)
        return ops.einsum("...nk,...ck->...nc", self.hidden(weights, features), vectors) + self.class_bias(weights)

    def extra_loss(self, logits: Any, targets: Any) -> Any:
        """Give what the head adds to the strategy's loss of each row, [..., N], from logits and targets [..., N, C]."""
        from keras import ops

        return ops.zeros_like(logits[..., 0])

    def penalty(self, weights: list[Any]) -> Any:
        """Give half the squared norm of all kernels, summed over folds (biases are free)."""
        return sum(_half_square(weight) for weight in weights[::2])


def _half_square(weight: Any) -> Any:
    """Give half the sum of squares of a tensor.

    The gradient, which is the tensor itself, is written by hand: derived from sum and square it is three passes more
    over the weights of all folds, of which a step of the solver has few.
    """
    from keras import ops

    @by_hand
    def half_square(weight: Any) -> tuple[Any, Gradient]:
        def gradient(upstream: Any) -> Any:
            return upstream * weight

        return 0.5 * ops.sum(ops.square(weight)), gradient

    return half_square(ops.convert_to_tensor(weight))


class LinearHead(Head):
    """Multinomial logistic regression: one linear layer."""


@dataclass(frozen=True)
class MLPHead(Head):
    """One hidden layer of ReLU units before the linear layer.

    Parameters
    ----------
    hidden_units : int
        K, the hidden layer's width.
    """

    hidden_units: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("hidden_units", self.hidden_units, self.hidden_units >= 1, "at least 1", 256)

    def _initial_hidden(self, dim: int, rng: np.random.Generator) -> list[Array]:
        # He et al. 2015, arXiv 1502.01852.
        kernel = rng.normal(0.0, np.sqrt(2.0 / dim), (dim, self.hidden_units)).astype(np.float32)
        return [kernel, np.zeros((1, self.hidden_units), np.float32)]

    def hidden(self, weights: list[Any], features: Any) -> Any:
        """Apply the hidden layer: [..., N, D] to [..., N, K]."""
        from keras import ops

        return ops.relu(ops.matmul(features, weights[0]) + weights[1])

    def hidden_layers(self, weights: list[Array]) -> list[tuple[Any, list[Array]]]:
        """Give the hidden layer."""
        from keras import layers

        return [(layers.Dense(self.hidden_units, activation="relu", name="hidden"), [weights[0], weights[1][0]])]


@dataclass(frozen=True)
class CosineHead(Head):
    """Logits are scaled cosines between feature and class vector, so that no class wins by its norm.

    Gidaris and Komodakis 2018 (arXiv 1804.09458), used against long tails by Kang et al. 2020 (arXiv 1910.09217).

    Parameters
    ----------
    scale : float
        What the cosines are multiplied by (an inverse temperature).
    """

    scale: float = 16.0
    numbers: ClassVar[tuple[str, ...]] = (*Head.numbers, "scale")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("scale", self.scale, self.scale > 0, "above 0", 16)

    def _initial_classifier(self, width: int, classes: int, rng: np.random.Generator) -> list[Array]:
        # A zero vector has no direction.
        return [rng.normal(0.0, 0.01, (classes, width)).astype(np.float32), np.zeros((1, classes), np.float32)]

    def hidden(self, weights: list[Any], features: Any) -> Any:
        """Scale rows to unit length."""
        from keras import ops

        return ops.normalize(features, axis=-1, order=2, epsilon=1e-12)

    def hidden_layers(self, weights: list[Array]) -> list[tuple[Any, list[Array]]]:
        """Give the scaling to unit length."""
        from keras import layers

        return [(layers.UnitNormalization(name="unit_length"), [])]

    def class_vectors(self, weights: list[Any]) -> Any:
        """Scale class vectors to length `scale`."""
        from keras import ops

        return self.scale * ops.normalize(weights[-2], axis=-1, order=2, epsilon=1e-12)


@dataclass(frozen=True)
class Scaler:
    """Per-feature shift and scale, learnt on training rows.

    Parameters
    ----------
    kind : str
        One of ``SCALINGS``.
    mean, std : numpy.ndarray
        float32 [D]; used by ``standard`` alone.
    """

    kind: str
    mean: Array
    std: Array
    floor: ClassVar[float] = 1e-6

    @classmethod
    def fit(cls, kind: str, features: Array) -> Scaler:
        """Learn from features [N, D]."""
        std = features.std(axis=0)
        # A feature that never changes carries nothing; dividing by its zero would make it infinite elsewhere.
        return cls(kind, features.mean(axis=0), np.where(std > cls.floor, std, 1.0).astype(np.float32))

    def __call__(self, features: Array) -> Array:
        """Scale features [..., D]."""
        if self.kind == "standard":
            return (features - self.mean) / self.std
        if self.kind == "unit":
            length: Array = np.linalg.norm(features, axis=-1, keepdims=True)
            return (features / np.maximum(length, 1e-12)).astype(np.float32)
        return features


@dataclass(frozen=True)
class FittedHead:
    """One fold's fitted head: scaler, hidden weights, and the last layer as strategies may have finished it.

    Parameters
    ----------
    head : Head
        What was fitted.
    scaler : Scaler
        Its input scaling.
    weights : tuple of numpy.ndarray
        The hidden weights, without a fold axis.
    kernel : numpy.ndarray
        float32 [K, C].
    bias : numpy.ndarray
        float32 [C].
    """

    head: Head
    scaler: Scaler
    weights: tuple[Array, ...]
    kernel: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Give logits [N, C] of unscaled features [N, D]."""
        hidden = np.asarray(self.head.hidden([*self.weights, None, None], self.scaler(features)), np.float32)
        return hidden @ self.kernel + self.bias

    def probabilities(self, features: Array) -> npt.NDArray[np.float64]:
        """Give class probabilities [N, C] of unscaled features [N, D]; rows sum to 1."""
        logits = self.logits(features).astype(np.float64)
        exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: npt.NDArray[np.float64] = exponent / exponent.sum(axis=1, keepdims=True)
        return result

    def attach(self, features: Any) -> Any:
        """Put this head on a Keras tensor of features [N, D] and give the tensor of probabilities [N, C]."""
        from keras import layers

        if self.scaler.kind == "standard":
            mean, variance = self.scaler.mean.tolist(), np.square(self.scaler.std).tolist()
            features = layers.Normalization(axis=-1, mean=mean, variance=variance, name="scaling")(features)
        elif self.scaler.kind == "unit":
            features = layers.UnitNormalization(name="scaling")(features)
        for layer, values in self.head.hidden_layers(list(self.weights)):
            features = layer(features)
            layer.set_weights(values)
        last = layers.Dense(self.kernel.shape[-1], name="logits")
        logits = last(features)
        last.set_weights([self.kernel, self.bias])
        return layers.Softmax(name="probabilities", dtype="float32")(logits)


def assemble(build_backbone: Callable[[], Any], fitted: FittedHead, mirrored: bool = False) -> Any:
    """Join a backbone and a fitted head to one inference model.

    Parameters
    ----------
    build_backbone : callable
        Gives the backbone as a ``keras.Model`` from uint8-range RGB images to features [N, D].
    fitted : FittedHead
        The head.
    mirrored : bool
        Whether the answers for an image and its mirror image are averaged.

    Returns
    -------
    keras.Model
        From images [N, size, size, 3] in [0, 255] to probabilities [N, C], without any training-time layer.
    """
    import keras

    backbone = build_backbone()
    single = keras.Model(backbone.inputs[0], fitted.attach(backbone.outputs[0]), name="classifier")
    if not mirrored:
        return single
    image = keras.Input(backbone.input_shape[1:], name="image")
    answers = [single(image), single(keras.ops.flip(image, axis=2))]
    return keras.Model(image, keras.layers.Average(name="probabilities")(answers), name="mirrored_classifier")
