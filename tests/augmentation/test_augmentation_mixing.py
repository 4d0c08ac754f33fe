"""Laws of MixUp and CutMix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.augmentation import CutMix, MixUp

Array = np.ndarray[Any, Any]


def mixed(policy: MixUp | CutMix, x: Array, targets: Array, weights: Array, seed: Any = 0) -> tuple[Array, ...]:
    return tuple(np.asarray(value) for value in policy.mix(x, targets, weights, seed))


def rows(folds: int, count: int, features: int = 5) -> tuple[Array, Array]:
    """Feature 0 names the fold, feature 1 the row; targets are one column a row."""
    x = np.random.default_rng(0).normal(size=(folds, count, features)).astype(np.float32)
    x[..., 0] = np.arange(folds)[:, None]
    x[..., 1] = np.arange(count)
    return x, np.eye(count, dtype=np.float32)[None].repeat(folds, axis=0)


@settings(max_examples=25, deadline=None)
@given(
    real=st.lists(st.booleans(), min_size=1, max_size=9),
    alpha=st.sampled_from([0.05, 0.2, 1.0, 4.0]),
    seed=st.integers(0, 2**40),
)
def test_mixup_is_linear_stays_in_its_fold_and_spares_padding(real: list[bool], alpha: float, seed: int) -> None:
    x, targets = rows(3, len(real))
    weights = np.array(real, dtype=np.float32)[None].repeat(3, axis=0) * 2.0
    weights[1] = weights[1][::-1]
    new_x, new_targets, new_weights = mixed(MixUp(alpha=alpha), x, targets, weights, seed)
    np.testing.assert_allclose(new_x[..., 0], x[..., 0], atol=1e-5)
    # Targets say what each row is made of, so they must rebuild the features exactly.
    np.testing.assert_allclose(np.einsum("fij,fjd->fid", new_targets, x), new_x, atol=1e-4)
    np.testing.assert_allclose(new_targets.sum(axis=-1), 1.0, atol=1e-5)
    assert (new_targets >= 0).all()
    padding = weights == 0
    np.testing.assert_array_equal(new_x[padding], x[padding])
    np.testing.assert_array_equal(new_weights[padding], 0.0)
    for fold in range(3):
        taken_by_real = new_targets[fold][~padding[fold]][:, padding[fold]]
        assert (taken_by_real == 0).all()


def test_every_real_row_is_a_partner_exactly_once() -> None:
    from wellai_exp.augmentation._mixing import draw_partners
    from wellai_exp.augmentation._streams import SeedStream, seed_pair

    weights = (np.random.default_rng(0).uniform(size=(4, 50)) > 0.4).astype(np.float32)
    partners = np.asarray(draw_partners(weights, SeedStream().restart(seed_pair(1))))
    for fold in range(4):
        real = np.flatnonzero(weights[fold])
        assert sorted(partners[fold][real]) == list(real)
        assert (partners[fold][real] != real).mean() > 0.7
    assert (partners[0] != partners[1]).any()


def test_shares_follow_the_beta_distribution() -> None:
    from scipy import stats

    from wellai_exp.augmentation._mixing import draw_shares
    from wellai_exp.augmentation._streams import SeedStream, seed_pair

    for alpha in (0.2, 1.0):
        shares = np.asarray(
            draw_shares(np.ones((4, 1000), dtype=np.float32), alpha, SeedStream().restart(seed_pair(5)))
        )
        assert stats.kstest(shares.ravel(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_shares_stay_numbers_at_the_smallest_alpha() -> None:
    x, targets = rows(8, 5000, 2)[0], np.ones((8, 5000, 1), dtype=np.float32)
    new_x, _, _ = mixed(MixUp(alpha=0.05), x, targets, np.ones((8, 5000), dtype=np.float32))
    assert np.isfinite(new_x).all()


def test_weights_are_mixed_as_targets_are() -> None:
    x, targets = rows(1, 6)
    weights = np.array([[1.0, 2.0, 3.0, 0.5, 0.0, 7.0]], dtype=np.float32)
    _, new_targets, new_weights = mixed(MixUp(alpha=1.0), x, targets, weights)
    np.testing.assert_allclose(new_weights[0], new_targets[0] @ weights[0], rtol=1e-5)


def test_mix_in_a_graph_follows_its_step_seed() -> None:
    import tensorflow as tf

    policy = MixUp(alpha=1.0)
    x, targets = rows(2, 8)
    weights = np.ones((2, 8), dtype=np.float32)
    traces = []

    def mix(seed: Any) -> Any:
        traces.append(1)
        return policy.mix(x, targets, weights, seed)[0]

    step = tf.function(mix)
    results = [step(tf.constant([9, number])).numpy() for number in (0, 1, 0)]
    np.testing.assert_array_equal(results[0], results[2])
    assert (results[0] != results[1]).any()
    assert len(traces) == 1
    np.testing.assert_allclose(results[0], mixed(policy, x, targets, weights, tf.constant([9, 0]))[0], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), alpha=st.sampled_from([0.2, 1.0]), flat=st.booleans())
def test_cutmix_targets_count_the_pixels(seed: int, alpha: float, flat: bool) -> None:
    # Every image is plain, in its own grey, so that a pixel tells where it came from.
    count = 5
    greys = np.arange(1, count + 1, dtype=np.float32) * 10
    x = np.broadcast_to(greys[None, :, None, None, None], (2, count, 9, 14, 3)).astype(np.float32)
    targets = np.eye(count, dtype=np.float32)[None].repeat(2, axis=0)
    weights = np.ones((2, count), dtype=np.float32)
    weights[:, 3] = 0
    if flat:
        x, targets, weights = x[0], targets[0], weights[0]
    new_x, new_targets, _ = mixed(CutMix(alpha=alpha), x, targets, weights, seed)
    pixels = np.stack([(new_x == grey).all(axis=-1).mean(axis=(-2, -1)) for grey in greys], axis=-1)
    np.testing.assert_allclose(pixels, new_targets, atol=1e-5)
    others = [0, 1, 2, 4]
    assert (new_targets[..., others, 3] == 0).all()
    assert (new_targets[..., 3, 3] == 1).all()


def test_cutmix_refuses_features_and_mix_refuses_shapes_that_do_not_fit() -> None:
    x, targets = rows(2, 6)
    weights = np.ones((2, 6), dtype=np.float32)
    with pytest.raises(ValueError, match="augmentation=cutmix mixes images"):
        CutMix().mix(x, targets, weights, 0)
    with pytest.raises(ValueError, match=r"must be \[\.\.\., N, D\]"):
        MixUp().mix(x, targets[0], weights, 0)
