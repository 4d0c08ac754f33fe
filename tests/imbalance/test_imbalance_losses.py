"""Laws of the losses, with Keras as the reference."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from wellai_exp.imbalance import BalancedSoftmax, Focal, NoStrategy, Strategy

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]
LOSSES = [NoStrategy(), Focal(), Focal(0.5, alpha=1.0), Focal(0.0, alpha=0.5), BalancedSoftmax()]
each_loss = pytest.mark.parametrize("strategy", LOSSES, ids=str)


def batch(leading: tuple[int, ...] = (), n: int = 8, c: int = 5, *, soft: bool = False, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(*leading, n, c))
    targets = rng.dirichlet(np.ones(c), (*leading, n)) if soft else np.eye(c)[rng.integers(0, c, (*leading, n))]
    prior = rng.dirichlet(np.ones(c), (*leading, 1))
    return logits.astype(np.float32), targets.astype(np.float32), prior.astype(np.float32)


def loss_of(strategy: Strategy, data: Batch, label_smoothing: float = 0.0) -> npt.NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(strategy.loss(*data, label_smoothing=label_smoothing)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True])
def test_default_is_keras_cross_entropy(smoothing: float, soft: bool) -> None:
    data = batch(soft=soft)
    reference = keras.losses.categorical_crossentropy(data[1], data[0], from_logits=True, label_smoothing=smoothing)
    np.testing.assert_allclose(loss_of(NoStrategy(), data, smoothing), reference, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_where_the_losses_equal_cross_entropy(seed: int) -> None:
    logits, targets, prior = batch((3,), soft=seed % 2 == 1, seed=seed)
    plain = loss_of(NoStrategy(), (logits, targets, prior))
    np.testing.assert_allclose(loss_of(Focal(gamma=0.0), (logits, targets, prior)), plain, rtol=1e-5)
    uniform = np.full_like(prior, 1 / 5)
    np.testing.assert_allclose(loss_of(BalancedSoftmax(), (logits, targets, uniform)), plain, rtol=1e-4)
    np.testing.assert_allclose(loss_of(Focal(0.0, alpha=1.0), (logits, targets, uniform)), plain, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_is_keras_focal(gamma: float) -> None:
    data = batch()
    reference = keras.losses.categorical_focal_crossentropy(data[1], data[0], alpha=1.0, gamma=gamma, from_logits=True)
    np.testing.assert_allclose(loss_of(Focal(gamma), data), reference, rtol=1e-4)


def test_focal_alpha_is_inverse_frequency() -> None:
    logits, targets, prior = batch()
    weight = 1 / prior[0] / 5
    expected = loss_of(Focal(2.0), (logits, targets, prior)) * weight[targets.argmax(-1)]
    np.testing.assert_allclose(loss_of(Focal(2.0, alpha=1.0), (logits, targets, prior)), expected, rtol=1e-4)


def test_balanced_softmax_by_its_formula() -> None:
    logits, targets, prior = batch()
    weighted = prior * np.exp(logits)
    p = (weighted / weighted.sum(-1, keepdims=True))[targets == 1]
    np.testing.assert_allclose(loss_of(BalancedSoftmax(), (logits, targets, prior)), -np.log(p), rtol=1e-4)


def test_an_absent_class_counts_as_the_rarest() -> None:
    logits, targets, _ = batch(c=4)
    absent = np.array([[0.6, 0.3, 0.1, 0.0]], np.float32)
    filled = np.array([[0.6, 0.3, 0.1, 0.1]], np.float32)
    expected = loss_of(BalancedSoftmax(), (logits, targets, filled))
    np.testing.assert_allclose(loss_of(BalancedSoftmax(), (logits, targets, absent)), expected, rtol=1e-5)


def test_logits_of_the_frequencies_are_corrected_by_balanced_softmax() -> None:
    # Where logits hold no more than the frequencies, balanced softmax has already said it: its optimum is flat logits.
    prior = np.array([[0.7, 0.2, 0.1]], np.float32)
    variable = keras.Variable(np.log(prior))
    optimizer = keras.optimizers.SGD(1.0)
    for _ in range(300):
        with tf.GradientTape() as tape:
            value = keras.ops.sum(BalancedSoftmax().loss(variable, prior, prior))
        optimizer.apply([tape.gradient(value, variable.value)], [variable])
    solved = np.asarray(variable.value)
    assert np.ptp(solved) < 0.02


@each_loss
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_folds_broadcast(strategy: Strategy, smoothing: float) -> None:
    logits, targets, prior = batch((2, 3), soft=True)
    stacked = loss_of(strategy, (logits, targets, prior), smoothing)
    assert stacked.shape == (2, 3, 8)
    one = loss_of(strategy, (logits[1, 2], targets[1, 2], prior[1, 2]), smoothing)
    np.testing.assert_allclose(stacked[1, 2], one, rtol=1e-5)
    shared = loss_of(strategy, (logits, targets, prior[0, 0]), smoothing)
    assert shared.shape == (2, 3, 8)


@each_loss
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_in_a_graph_is_finite_at_extremes(strategy: Strategy, smoothing: float) -> None:
    logits = np.array([[90, -90, 0, 3], [-90, 90, 0, 3], [0, 0, 0, 0]], np.float32)
    targets = np.eye(4, dtype=np.float32)[[0, 0, 2]]
    prior = np.array([[0.9, 0.07, 0.03, 0.0]], np.float32)

    @tf.function  # type: ignore[untyped-decorator]
    def step(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = strategy.loss(x, targets, prior, smoothing)
        return value, tape.gradient(value, x)

    value, gradient = (np.asarray(x) for x in step(tf.constant(logits)))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    assert (value >= 0).all()
    assert abs(gradient[1]).max() > 0.1
    assert gradient[2, 2] < 0


@each_loss
def test_gradient_equals_finite_differences(strategy: Strategy) -> None:
    logits, targets, prior = batch(n=2, c=3, soft=True)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(strategy.loss(x, targets, prior))
    gradient = np.asarray(tape.gradient(value, x))
    step = 1e-2
    for index in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[index] += step
        down[index] -= step
        rise = loss_of(strategy, (up, targets, prior)).sum() - loss_of(strategy, (down, targets, prior)).sum()
        assert np.isclose(gradient[index], rise / (2 * step), atol=2e-3)


@each_loss
def test_smoothing_leaves_absent_classes_out(strategy: Strategy) -> None:
    """An absent class is never pulled up, whatever the smoothing."""
    logits, targets, _ = batch(c=4)
    targets = np.eye(4, dtype=np.float32)[np.arange(8) % 3]
    prior = np.array([[0.6, 0.3, 0.1, 0.0]], np.float32)
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(strategy.loss(x, targets, prior, 0.3))
    assert (np.asarray(tape.gradient(value, x))[:, 3] > -1e-6).all()


def test_bad_input_is_refused() -> None:
    logits, targets, prior = batch()
    for smoothing in (-0.1, 1.0):
        with pytest.raises(ValueError, match="label_smoothing"):
            NoStrategy().loss(logits, targets, prior, smoothing)
    with pytest.raises(ValueError, match="number of classes"):
        NoStrategy().loss(logits, targets[:, :4], prior)
