"""The stacked solver against folds one by one, scikit-learn, and its own promises."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from wellai_exp.augmentation import MixUp, NoAugmentation
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import ClassBalancedBatches, ClassWeight, NoStrategy, Strategy, TauNorm
from wellai_exp.models import CosineHead, Head, LinearHead, MLPHead, Scaler
from wellai_exp.training._solver import FoldData, fit_heads

CLASSES = 4


def fold(rows: int, seed: int, spread: float = 3.0) -> FoldData:
    x, y = make_blobs(rows, n_features=6, centers=CLASSES, cluster_std=spread, random_state=7, shuffle=True)
    keep = np.random.default_rng(seed).permutation(rows)[: rows - 5 * seed]
    features = x[keep].astype(np.float32)
    scaler = Scaler.fit("standard", features)
    return FoldData(scaler(features), y[keep].astype(np.int64), scaler)


@pytest.mark.parametrize("head", [LinearHead(), MLPHead(hidden_units=8), CosineHead()], ids=lambda head: head.name)
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


class Triple(Strategy):
    """The first class counts three times."""

    def _class_weight(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.where(np.arange(len(counts)) == 0, 3.0, 1.0)


def test_a_class_that_counts_three_times_is_a_class_whose_rows_stand_three_times() -> None:
    part = fold(120, 0)
    copies = np.repeat(np.arange(len(part.labels)), np.where(part.labels == 0, 3, 1))
    tripled = FoldData(part.features[copies], part.labels[copies], part.scaler)
    weighted = fit_heads(LinearHead(), Triple(), NoAugmentation(), [part], CLASSES, seed=0)[0]
    repeated = fit_heads(LinearHead(), NoStrategy(), NoAugmentation(), [tripled], CLASSES, seed=0)[0]
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
