"""Folds on rows that they share against folds with copies of their own."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from sklearn.datasets import make_blobs

from wellai_exp.augmentation import MixUp, NoAugmentation, Policy
from wellai_exp.imbalance import (
    BalancedSoftmax,
    ClassBalancedBatches,
    ClassWeight,
    LogitAdjustment,
    NoStrategy,
    RandomOver,
    Strategy,
)
from wellai_exp.models import CosineHead, Head, HierarchicalHead, LinearHead, MLPHead, Scaler, crossed_logits, partners
from wellai_exp.training._fold_rows import FoldData, SharedRows, may_share
from wellai_exp.training._solver import fit_heads

CLASSES = 4
HIERARCHICAL = HierarchicalHead().bound([np.array([0, 0, 1, 1])])


def shared(kind: str = "standard", folds: int = 3) -> SharedRows:
    """Draw rows of classes of unequal size, held out by folds of unequal size, with features of unequal scale."""
    features, labels = make_blobs([50, 30, 20, 8], 6, random_state=3, cluster_std=4.0, shuffle=True)
    features = (features * np.logspace(-2, 2, 6) + 50).astype(np.float32)
    held_by = np.minimum(np.arange(len(labels)) % (folds + 1), folds - 1)
    return SharedRows.of(kind, features, labels.astype(np.int64), held_by)


def copies(rows: SharedRows) -> list[FoldData]:
    """Give each fold its rows as if no other used them."""
    folds = []
    for fold in range(len(rows.scalers)):
        own = rows.held_by != fold
        scaler = Scaler.fit(rows.scalers[0].kind, rows.features[own])
        folds.append(FoldData(scaler(rows.features[own]), rows.labels[own], scaler))
    return folds


@pytest.mark.parametrize("head", [LinearHead(), HIERARCHICAL], ids=lambda head: head.name)
@pytest.mark.parametrize("kind", ["standard", "unit", "none"])
@pytest.mark.parametrize(
    "strategy", [NoStrategy(), ClassWeight(), BalancedSoftmax(), LogitAdjustment()], ids=lambda own: own.name
)
def test_shared_rows_fit_as_copies_do(head: Head, kind: str, strategy: Strategy) -> None:
    rows = shared(kind)
    head = replace(head, scaling=kind, label_smoothing=0.1, learning_rate=1e-4 if kind == "none" else 0.01)
    ours, theirs = (fit_heads(head, strategy, NoAugmentation(), data, CLASSES, seed=1) for data in (rows, copies(rows)))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.kernel, other.kernel, rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(one.probabilities(rows.features), other.probabilities(rows.features), atol=2e-3)
    spread = np.ptp([one.probabilities(rows.features) for one in ours], axis=0)
    assert spread.max() > 5e-3


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_no_fold_sees_what_it_holds_out(folds: int) -> None:
    rows = shared(folds=folds)
    spoilt = rows.features.copy()
    spoilt[rows.held_by == 1] *= -3
    fitted = [
        fit_heads(
            LinearHead(),
            ClassWeight(),
            NoAugmentation(),
            SharedRows.of("standard", features, rows.labels, rows.held_by),
            CLASSES,
            seed=0,
        )
        for features in (rows.features, spoilt)
    ]
    for fold, (one, other) in enumerate(zip(*fitted, strict=True)):
        same = np.allclose(one.kernel, other.kernel, rtol=1e-2, atol=1e-3)
        assert same == (fold == 1)


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_crossed_logits_and_their_gradients_are_those_of_each_fold_alone(folds: int) -> None:
    rng = np.random.default_rng(folds)

    def drawn(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    blocks = drawn(folds, 7, 6)
    scale, shift, upstream = 1 + drawn(folds, 1, 6) ** 2, drawn(folds, 1, 6), drawn(folds, 7, folds - 1, CLASSES)
    weights = [keras.Variable(drawn(folds, CLASSES, 6)), keras.Variable(drawn(folds, 1, CLASSES))]
    values = [weight.value for weight in weights]
    with tf.GradientTape() as tape:
        ours = crossed_logits(LinearHead(), values, tf.unstack(tf.constant(blocks)), scale, shift)
        value = keras.ops.sum(ours * upstream)
    gradients = tape.gradient(value, values)
    with tf.GradientTape() as tape:
        rows = (blocks[:, None] - shift[partners(folds)]) * scale[partners(folds)]
        own = [keras.ops.take(weight, partners(folds), axis=0) for weight in weights]
        theirs = keras.ops.swapaxes(LinearHead().logits(own, rows), 1, 2)
        value = keras.ops.sum(theirs * upstream)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    for one, other in zip(gradients, tape.gradient(value, values), strict=True):
        np.testing.assert_allclose(one, tf.convert_to_tensor(other), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "head, strategy, policy",
    [
        (MLPHead(hidden_units=4), NoStrategy(), NoAugmentation()),
        (CosineHead(), NoStrategy(), NoAugmentation()),
        (LinearHead(), RandomOver(), NoAugmentation()),
        (LinearHead(), ClassBalancedBatches(batch_size=8), NoAugmentation()),
        (LinearHead(), NoStrategy(), MixUp()),
    ],
)
def test_parts_that_need_rows_of_their_own_are_refused(head: Head, strategy: Strategy, policy: Policy) -> None:
    assert may_share(LinearHead(), ClassWeight(), NoAugmentation())
    assert not may_share(head, strategy, policy)
    with pytest.raises(ValueError, match="rows of its own"):
        fit_heads(head, strategy, policy, shared(), CLASSES, seed=0)
