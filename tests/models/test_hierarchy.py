"""The hierarchical head: probabilities that agree on every level, one linear layer, and losses that level by level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax

from wellai_exp.errors import SettingError
from wellai_exp.models import FittedHead, HierarchicalHead, LinearHead, Scaler

Floats = npt.NDArray[np.float32]

COARSE, FINE = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([10, 12, 10, 30, 31, 31, 30])
PARENTS = (COARSE, FINE)
CLASSES = len(COARSE)


def bound(**settings: Any) -> HierarchicalHead:
    return HierarchicalHead(**settings).bound(PARENTS)


def random_weights(head: HierarchicalHead, folds: int = 2, dim: int = 5) -> list[Floats]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=part.shape).astype(np.float32) for part in head.initial(folds, dim, CLASSES, 0)]


def rows(*shape: int, scale: float = 1.0) -> Floats:
    return np.random.default_rng(1).normal(scale=scale, size=shape).astype(np.float32)


def one_hot(labels: list[int]) -> Floats:
    return np.eye(CLASSES, dtype=np.float32)[labels]


@given(
    group=st.lists(st.integers(0, 4), min_size=3, max_size=9).filter(lambda ids: 1 < len(set(ids)) < len(ids)),
    scale=st.sampled_from([0.1, 10.0, 1e4]),
)
def test_a_parents_probability_is_the_sum_over_its_classes(group: list[int], scale: float) -> None:
    head = HierarchicalHead().bound([np.array(group)])
    logits = rows(6, len(group), scale=scale)
    (marginals,) = (np.asarray(level) for level in head.log_marginals(logits))
    scores = log_softmax(logits.astype(np.float64), axis=1)
    expected = [logsumexp(scores[:, np.array(group) == parent], axis=1) for parent in sorted(set(group))]
    np.testing.assert_allclose(marginals, np.transpose(expected), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.exp(marginals).sum(axis=1), 1.0, rtol=1e-5)


def test_the_extra_loss_is_the_weighted_cross_entropy_of_each_level() -> None:
    logits, targets = rows(2, 3, CLASSES), softmax(rows(2, 3, CLASSES), axis=-1)
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    expected = np.zeros((2, 3))
    for weight, level in zip((0.25, 2.0), PARENTS, strict=True):
        for parent in set(level.tolist()):
            here = level == parent
            expected -= weight * targets[..., here].sum(axis=-1) * np.log(probabilities[..., here].sum(axis=-1))
    extra = np.asarray(bound(level_weights=[0.25, 2.0]).extra_loss(logits, targets))
    np.testing.assert_allclose(extra, expected, rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(bound(level_weights=0.0).extra_loss(logits, targets)), np.zeros((2, 3)))
    alone = np.asarray(bound(level_weights=[0.25, 2.0]).extra_loss(logits[0, :1], targets[0, :1]))
    np.testing.assert_allclose(alone, expected[0, :1], rtol=1e-5)


@pytest.mark.parametrize("gap", [0.0, 3.0, 2000.0])
def test_the_extra_losss_gradient_stays_exact_where_a_parent_is_all_but_impossible(gap: float) -> None:
    import tensorflow as tf

    logits = rows(1, CLASSES) - np.where(COARSE == 0, gap, 0.0).astype(np.float32)
    held = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(held)
        loss = bound(level_weights=[1.0, 0.0]).extra_loss(held, one_hot([1]))
    within = softmax(np.where(COARSE == 0, logits.astype(np.float64), -np.inf), axis=1)
    np.testing.assert_allclose(tape.gradient(loss, held), softmax(logits, axis=1) - within, atol=1e-5)


def test_logits_are_those_of_one_linear_layer_with_or_without_folds() -> None:
    head, features = bound(), rows(2, 4, 5)
    weights = random_weights(head)
    stacked = np.asarray(head.logits(weights, features))
    effective = [np.asarray(head.class_vectors(weights)), np.asarray(head.class_bias(weights))]
    assert effective[0].shape == (2, CLASSES, 5)
    assert effective[1].shape == (2, 1, CLASSES)
    np.testing.assert_allclose(stacked, np.asarray(LinearHead().logits(effective, features)), atol=1e-5)
    for fold in range(2):
        alone = head.logits([part[fold] for part in weights], features[fold])
        np.testing.assert_allclose(stacked[fold], np.asarray(alone), atol=1e-5)


def test_class_vectors_add_up_along_the_path_from_the_root() -> None:
    head = bound()
    groups, _, own, _ = weights = random_weights(head, folds=1)
    vectors = np.asarray(head.class_vectors(weights))[0]
    # Two coarse groups come first, then the fine ones by their ids: 10, 12, 30, 31.
    np.testing.assert_allclose(vectors[1], own[0, 1] + groups[0, 0] + groups[0, 3], atol=1e-6)
    np.testing.assert_allclose(vectors[6], own[0, 6] + groups[0, 1] + groups[0, 4], atol=1e-6)


def test_groups_without_vectors_leave_the_linear_head() -> None:
    head, features = bound(), rows(2, 4, 5)
    groups, biases, *own = random_weights(head)
    alone = np.asarray(head.logits([0 * groups, 0 * biases, *own], features))
    np.testing.assert_array_equal(alone, np.asarray(LinearHead().logits(own, features)))


def test_the_penalty_counts_the_vectors_of_groups_and_of_classes() -> None:
    weights = random_weights(bound())
    expected = 0.5 * (np.square(weights[0]).sum() + np.square(weights[2]).sum())
    assert float(bound().penalty(weights)) == pytest.approx(expected, rel=1e-5)


def test_the_keras_layers_say_what_the_fitted_head_says() -> None:
    import keras

    head = bound()
    weights = random_weights(head, folds=1)
    hidden = tuple(part[0] for part in head.hidden_weights(weights))
    kernel, bias = np.asarray(head.class_vectors(weights))[0].T, np.asarray(head.class_bias(weights))[0, 0]
    one = FittedHead(head, Scaler.fit(head.scaling, rows(50, 5)), hidden, kernel, bias)
    entrance = keras.Input((5,))
    model = keras.Model(entrance, one.attach(entrance))
    np.testing.assert_allclose(np.asarray(model(rows(11, 5))), one.probabilities(rows(11, 5)), atol=1e-5)
    np.testing.assert_allclose(one.logits(rows(11, 5)), head.logits(weights, one.scaler(rows(11, 5)))[0], atol=1e-4)


def test_a_level_that_tells_nothing_new_is_left_out() -> None:
    head = HierarchicalHead(level_weights=[0.1, 0.2]).bound([np.zeros(CLASSES, int), *PARENTS, np.arange(CLASSES)])
    assert head == bound(level_weights=[0.1, 0.2])
    assert head.parents == ((0, 0, 0, 1, 1, 1, 1), (0, 1, 0, 2, 3, 3, 2))


def test_a_bound_head_is_a_value() -> None:
    head = bound(level_weights=[0.5, 1])
    assert hash(head) == hash(bound(level_weights=(0.5, 1)))
    assert replace(head, l2=0.5).parents == head.parents
    assert head.name == "hierarchical"


@pytest.mark.parametrize("parents", [[], [np.arange(CLASSES)], [np.zeros(CLASSES, int)]])
def test_data_without_parents_are_refused(parents: list[npt.NDArray[np.int64]]) -> None:
    with pytest.raises(SettingError, match=r"head=hierarchical: .*no parents; choose head=linear"):
        HierarchicalHead().bound(parents)


def test_as_many_weights_as_levels_or_one() -> None:
    with pytest.raises(SettingError, match=r"head\.level_weights=\[1, 1, 1\]: the data have 2 levels"):
        bound(level_weights=[1, 1, 1])


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), [0.5, -1.0], "much", ["much"]])
def test_a_weight_that_is_none_is_named(value: Any) -> None:
    with pytest.raises(SettingError, match=r"head\.level_weights=.*0 or more"):
        HierarchicalHead(level_weights=value)


def test_an_unbound_head_says_what_it_lacks() -> None:
    with pytest.raises(ValueError, match=r"only after bound\(parents\)"):
        HierarchicalHead().initial(1, 5, CLASSES, 0)
    with pytest.raises(ValueError, match=r"only after bound\(parents\)"):
        HierarchicalHead().extra_loss(rows(1, CLASSES), one_hot([0]))


def test_heads_without_levels_add_no_loss_and_need_no_binding() -> None:
    extra = np.asarray(LinearHead().extra_loss(rows(2, 3, CLASSES), one_hot([0, 1, 2])))
    np.testing.assert_array_equal(extra, np.zeros((2, 3)))
    assert LinearHead().bound(PARENTS) == LinearHead()
