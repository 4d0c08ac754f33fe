"""The stacked solver against folds one by one, scikit-learn, and its own promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from wellai_exp.augmentation import MixUp, NoAugmentation
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import ClassBalancedBatches, ClassWeight, Focal, NoStrategy, Strategy, TauNorm
from wellai_exp.models import CosineHead, Head, HierarchicalHead, LinearHead, MLPHead, Scaler
from wellai_exp.training._fold_rows import FoldData
from wellai_exp.training._solver import _loop, fit_heads, solve

CLASSES = 4
PAIRS = np.array([0, 0, 1, 1])
HIERARCHICAL = HierarchicalHead(level_weights=1.0).bound([PAIRS])


def fold(rows: int, seed: int, spread: float = 3.0) -> FoldData:
    x, y = make_blobs(rows, n_features=6, centers=CLASSES, cluster_std=spread, random_state=7, shuffle=True)
    keep = np.random.default_rng(seed).permutation(rows)[: rows - 5 * seed]
    features = x[keep].astype(np.float32)
    scaler = Scaler.fit("standard", features)
    return FoldData(scaler(features), y[keep].astype(np.int64), scaler)


@pytest.mark.parametrize(
    "head", [LinearHead(), MLPHead(hidden_units=8), CosineHead(), HIERARCHICAL], ids=lambda head: head.name
)
def test_folds_fitted_together_equal_folds_fitted_alone(head: Head) -> None:
    folds = [fold(60, 0), fold(60, 1), fold(60, 2)]
    together = fit_heads(head, ClassWeight(), NoAugmentation(), folds, CLASSES, seed=3)
    for one, part in zip(together, folds, strict=True):
        alone = fit_heads(head, ClassWeight(), NoAugmentation(), [part], CLASSES, seed=3)[0]
        np.testing.assert_allclose(one.kernel, alone.kernel, rtol=1e-3, atol=2e-4)


def test_the_linear_head_reaches_scikit_learns_solution() -> None:
    part = fold(200, 0)
    head = LinearHead(learning_rate=0.1, l2=0.01, steps=800)
    ours = fit_heads(head, NoStrategy(), NoAugmentation(), [part], CLASSES, seed=0)[0]
    # scikit-learn sums the losses where we take their mean, so its C is 1 / (rows * l2).
    theirs = LogisticRegression(C=1 / (len(part.labels) * 0.01), max_iter=1000).fit(part.features, part.labels)
    raw = part.features * part.scaler.std + part.scaler.mean
    np.testing.assert_allclose(ours.probabilities(raw), theirs.predict_proba(part.features), atol=5e-3)


def test_the_same_seed_gives_the_same_weights() -> None:
    for strategy in (NoStrategy(), ClassBalancedBatches(batch_size=16)):
        one, two = (fit_heads(LinearHead(), strategy, MixUp(), [fold(60, 0)], CLASSES, seed=5)[0] for _ in range(2))
        np.testing.assert_array_equal(one.kernel, two.kernel)


def test_a_kept_loop_forgets_the_trial_before() -> None:
    part = [fold(60, 0)]

    def fitted(head: Head) -> npt.NDArray[np.float32]:
        return fit_heads(head, NoStrategy(), MixUp(), part, CLASSES, seed=5)[0].kernel

    _loop.cache_clear()
    first = fitted(LinearHead())
    changed = LinearHead(learning_rate=0.05), LinearHead(l2=0.5), LinearHead(label_smoothing=0.3), LinearHead(steps=7)
    others = [fitted(head) for head in changed]
    assert _loop.cache_info().currsize == 1
    np.testing.assert_array_equal(fitted(LinearHead()), first)
    for other in others:
        assert np.abs(other - first).max() > 1e-3


@pytest.mark.parametrize(
    "one, other",
    [
        ({"head": CosineHead(scale=4)}, {"head": CosineHead(scale=9.5)}),
        ({"strategy": Focal()}, {"strategy": Focal(gamma=0.5)}),
        ({"strategy": Focal(alpha=0.2)}, {"strategy": Focal(alpha=1)}),
        ({"policy": MixUp(alpha=0.2)}, {"policy": MixUp(alpha=2.0)}),
        ({"head": HIERARCHICAL}, {"head": replace(HIERARCHICAL, level_weights=0.1)}),
    ],
    ids=["scale", "gamma", "alpha", "share", "level"],
)
def test_parts_that_differ_in_numbers_share_a_loop_and_fit_as_in_one_of_their_own(one: Any, other: Any) -> None:
    part = [clusters(80, 0)]

    def fitted(parts: Any) -> npt.NDArray[np.float32]:
        plain = {"head": LinearHead(), "strategy": NoStrategy(), "policy": NoAugmentation()}
        return fit_heads(**{**plain, **parts}, rows=part, n_classes=CLASSES, seed=5)[0].kernel

    def alone(parts: Any) -> npt.NDArray[np.float32]:
        _loop.cache_clear()
        return fitted(parts)

    expected = alone(one), alone(other)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    _loop.cache_clear()
    for parts, kernel in zip((one, other, one), (*expected, expected[0]), strict=True):
        np.testing.assert_array_equal(fitted(parts), kernel)
    assert _loop.cache_info().currsize == 1


class Triple(Strategy):
    """The first class counts three times."""

    def _class_weight(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.where(np.arange(len(counts)) == 0, 3.0, 1.0)


@pytest.mark.parametrize("head", [LinearHead(), HIERARCHICAL], ids=lambda head: head.name)
def test_a_class_that_counts_three_times_is_a_class_whose_rows_stand_three_times(head: Head) -> None:
    part = fold(120, 0)
    copies = np.repeat(np.arange(len(part.labels)), np.where(part.labels == 0, 3, 1))
    tripled = FoldData(part.features[copies], part.labels[copies], part.scaler)
    weighted = fit_heads(head, Triple(), NoAugmentation(), [part], CLASSES, seed=0)[0]
    repeated = fit_heads(head, NoStrategy(), NoAugmentation(), [tripled], CLASSES, seed=0)[0]
    np.testing.assert_allclose(weighted.kernel, repeated.kernel, atol=1e-4)


def test_a_strategy_finishes_the_last_layer() -> None:
    plain = fit_heads(LinearHead(), NoStrategy(), NoAugmentation(), [fold(60, 0)], CLASSES, seed=0)[0]
    normed = fit_heads(LinearHead(), TauNorm(tau=1.0), NoAugmentation(), [fold(60, 0)], CLASSES, seed=0)[0]
    np.testing.assert_allclose(np.linalg.norm(normed.kernel, axis=0), 1.0, atol=1e-5)
    assert not np.allclose(np.linalg.norm(plain.kernel, axis=0), 1.0, atol=1e-2)


def test_a_loss_that_is_no_number_fails_the_trial() -> None:
    part = fold(60, 0)
    part.features[0, 0] = np.inf
    with pytest.raises(TrialFailed, match="no longer a number"):
        fit_heads(LinearHead(), NoStrategy(), NoAugmentation(), [part], CLASSES, seed=0)


def clusters(rows: int, seed: int) -> FoldData:
    """Draw pairs of classes that overlap: the members of a pair lie close together, and one of them is rare."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, rows, p=[0.45, 0.05, 0.45, 0.05])
    centres = np.array([[0, 0, 0], [0, 1, 0], [2, 0, 0], [2, 0, 1]])
    features = (centres[labels] + rng.normal(0.0, 1.0, (rows, 3))).astype(np.float32)
    return FoldData(features, labels, Scaler.fit("none", features))


def hierarchical(level_weights: float, l2: float) -> HierarchicalHead:
    return HierarchicalHead(0.2, l2, 600, scaling="none", level_weights=level_weights).bound([PAIRS])


def test_without_level_losses_and_penalty_the_hierarchical_head_reaches_the_linear_heads_solution() -> None:
    part = clusters(300, 0)
    heads = LinearHead(0.2, 0.0, 600, scaling="none"), hierarchical(0.0, 0.0)
    linear, ours = (fit_heads(head, NoStrategy(), NoAugmentation(), [part], CLASSES, seed=0)[0] for head in heads)
    assert ours.weights == ()
    np.testing.assert_allclose(ours.probabilities(part.features), linear.probabilities(part.features), atol=2e-3)


@pytest.mark.parametrize("level_weights", [0.0, 1.0])
def test_under_the_penalty_a_parents_vector_is_the_sum_of_its_classes_own(level_weights: float) -> None:
    # Both see the same gradients of the loss, added up over the classes, so where all gradients vanish they agree.
    head = hierarchical(level_weights, 0.05)
    groups, _, own, _ = solve(head, NoStrategy(), NoAugmentation(), [clusters(300, 0)], CLASSES, seed=0)
    assert np.abs(groups).max() > 0.1
    np.testing.assert_allclose(groups[0], np.eye(2)[PAIRS].T @ own[0], atol=2e-3)


def test_the_level_loss_is_learnt_and_costs_no_accuracy() -> None:
    train, held_out = clusters(300, 0), clusters(2000, 1)
    coarse_loss, coarse_accuracy, accuracy = [], [], []
    for level_weights in (0.0, 4.0):
        head = hierarchical(level_weights, 1e-3)
        one = fit_heads(head, NoStrategy(), NoAugmentation(), [train], CLASSES, seed=0)[0]
        coarse = one.probabilities(train.features) @ np.eye(2)[PAIRS]
        coarse_loss.append(-np.log(coarse[np.arange(300), PAIRS[train.labels]]).mean())
        probabilities = one.probabilities(held_out.features)
        coarse = probabilities @ np.eye(2)[PAIRS]
        coarse_accuracy.append(np.mean(coarse.argmax(axis=1) == PAIRS[held_out.labels]))
        accuracy.append(np.mean(probabilities.argmax(axis=1) == held_out.labels))
    assert coarse_loss[1] < coarse_loss[0]
    assert coarse_accuracy[1] > coarse_accuracy[0] - 0.005
    assert min(coarse_accuracy) > 0.8
    assert min(accuracy) > 0.7
