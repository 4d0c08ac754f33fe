"""The input pipeline: which images come, with which weights, and always the same."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.augmentation import CutMix, HorizontalFlip, Light, MixUp, NoAugmentation, Policy, PoseSafe, Strong
from wellai_exp.imbalance import (
    ClassBalancedBatches,
    ClassWeight,
    NoStrategy,
    RandomOver,
    RandomUnder,
    Strategy,
)
from wellai_exp.training._batches import Batches, epoch_rows, rows_in_use

CLASSES = 3
SIZE = 16
LABELS = np.repeat([0, 1, 2], [24, 9, 4]).astype(np.int64)
STRATEGIES: list[Strategy] = [NoStrategy(), ClassWeight(), ClassBalancedBatches(), RandomOver(), RandomUnder()]


class Photos:
    """Images in memory, each of one shade that tells it from all others: image i is 3 i."""

    def __init__(self, count: int = 60, size: int = SIZE) -> None:
        self.images = np.repeat(np.arange(count, dtype=np.uint8) * 3, size * size * 3).reshape(count, size, size, 3)

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return self.images[rows]


class Noise(Photos):
    """Images in which every pixel differs."""

    def __init__(self, count: int = 60, size: int = SIZE) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


class Late(Noise):
    """The same, some batches long in coming."""

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        time.sleep(0.02 * (rows[0] % 3))
        return super().gather(rows)


def batches_of(
    policy: Policy, strategy: Strategy | None = None, photos: Photos | None = None, **options: Any
) -> Batches:
    settings: dict[str, Any] = {"batch_size": 8, "seed": 3, **options}
    rows = np.arange(len(LABELS)) + 20
    pixels = Photos() if photos is None else photos
    return Batches(pixels, rows, LABELS, CLASSES, policy, NoStrategy() if strategy is None else strategy, **settings)


def arrays(batches: Batches, epoch: int, size: int = SIZE) -> list[tuple[npt.NDArray[np.float32], ...]]:
    return [tuple(part.numpy() for part in batch) for batch in batches.epoch(epoch, size)]


def assert_equal(
    first: list[tuple[npt.NDArray[np.float32], ...]], second: list[tuple[npt.NDArray[np.float32], ...]]
) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for part, equal in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, equal)


@given(
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any),
    strategy=st.sampled_from(STRATEGIES),
    batch_size=st.integers(1, 30),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 3),
)
def test_an_epoch_is_whole_batches_of_rows_in_use(
    counts: list[int], strategy: Strategy, batch_size: int, seed: int, epoch: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    labels = np.random.default_rng(seed).permutation(labels)
    order = epoch_rows(labels, strategy, len(counts), batch_size, seed, epoch)
    used = rows_in_use(labels, strategy, len(counts), seed, epoch)
    assert order.dtype == np.int64
    assert order.shape == (max(len(used) // batch_size, 1), min(len(used), batch_size))
    if strategy.batches(np.array(counts)) is None:
        most = np.bincount(used, minlength=len(labels))
        assert (np.bincount(order.ravel(), minlength=len(labels)) <= most).all()
    np.testing.assert_array_equal(order, epoch_rows(labels, strategy, len(counts), batch_size, seed, epoch))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_every_epoch_and_every_seed_has_its_own_order(strategy: Strategy) -> None:
    orders = [epoch_rows(LABELS, strategy, CLASSES, 4, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    assert len({order.tobytes() for order in orders}) == len(orders)


def test_a_batch_plan_draws_classes_by_their_probability_and_images_alike() -> None:
    labels = np.repeat([0, 1, 3], [3000, 600, 400]).astype(np.int64)
    order = np.concatenate([epoch_rows(labels, ClassBalancedBatches(power=1.0), 4, 32, 0, e) for e in range(10)])
    drawn = order.ravel()
    np.testing.assert_allclose(
        np.bincount(labels[drawn], minlength=4) / len(drawn), [1 / 3, 1 / 3, 0, 1 / 3], atol=0.01
    )
    times = np.bincount(drawn, minlength=len(labels))[3600:]
    assert times.min() > 0.4 * times.mean()
    assert times.max() < 1.8 * times.mean()


def test_a_resampler_is_asked_anew_for_each_epoch() -> None:
    used = [rows_in_use(LABELS, RandomUnder(), CLASSES, 0, epoch) for epoch in range(2)]
    assert [np.bincount(LABELS[rows]).tolist() for rows in used] == [[4, 4, 4], [4, 4, 4]]
    assert (used[0] != used[1]).any()
    over = batches_of(NoAugmentation(), RandomOver())
    assert over.steps_per_epoch == 72 // 8
    assert over.counts.tolist() == [24, 24, 24]


def test_images_targets_and_weights_belong_together() -> None:
    weight = ClassWeight().class_weight(np.bincount(LABELS))
    batches = batches_of(NoAugmentation(), ClassWeight())
    seen: list[int] = []
    for images, targets, weights in arrays(batches, 0):
        assert images.shape == (8, SIZE, SIZE, 3)
        assert {images.dtype, targets.dtype, weights.dtype} == {np.dtype(np.float32)}
        assert (images == images[:, :1, :1, :1]).all()
        rows = (images[:, 0, 0, 0] / 3).astype(int) - 20
        np.testing.assert_array_equal(targets, np.eye(CLASSES)[LABELS[rows]])
        np.testing.assert_array_equal(weights, weight[LABELS[rows]])
        seen += rows.tolist()
    assert batches.steps_per_epoch == 4
    assert len(set(seen)) == len(seen) == 32
    order = epoch_rows(LABELS, ClassWeight(), CLASSES, 8, 3, 0)
    np.testing.assert_array_equal(seen, order.ravel())


def test_images_drawn_by_class_all_weigh_one() -> None:
    class Both(ClassBalancedBatches):
        def _class_weight(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
            return 1.0 / counts

    for _, _, weights in arrays(batches_of(NoAugmentation(), Both()), 0):
        np.testing.assert_array_equal(weights, 1.0)


@pytest.mark.parametrize("policy", [HorizontalFlip(), PoseSafe(), Strong(), MixUp(), CutMix()], ids=lambda p: p.name)
def test_an_epoch_comes_again_bit_for_bit_whatever_ran_before(policy: Policy) -> None:
    first = batches_of(policy, photos=Noise())
    epochs = [arrays(first, epoch) for epoch in (0, 1)]
    late = batches_of(policy, photos=Late())
    assert_equal(arrays(late, 1), epochs[1])
    assert_equal(arrays(late, 0), epochs[0])
    other = arrays(batches_of(policy, photos=Noise(), seed=4), 0)
    assert all((one[0] != two[0]).any() for one, two in zip(epochs[0], epochs[1], strict=True))
    assert all((one[0] != two[0]).any() for one, two in zip(epochs[0], other, strict=True))


def test_the_augmentation_differs_from_step_to_step_and_from_epoch_to_epoch() -> None:
    photos = Noise()
    photos.images[:] = photos.images[:1]
    batches = batches_of(Light(), photos=photos)
    seen = {image.tobytes() for epoch in (0, 1) for batch in arrays(batches, epoch) for image in batch[0]}
    assert len(seen) == 2 * 32


def test_later_epochs_of_a_size_are_not_traced_again() -> None:
    batches = batches_of(PoseSafe(), photos=Noise())
    counts = []
    for epoch, size in enumerate((SIZE, 12, SIZE, 12)):
        assert all(batch[0].shape == (8, size, size, 3) for batch in batches.epoch(epoch, size))
        counts.append([made.experimental_get_tracing_count() for made in batches._traced.values()])
    assert counts[1] == counts[2] == counts[3]


def test_images_of_another_size_are_averaged_over_areas() -> None:
    photos = Noise(size=2 * SIZE)
    order = epoch_rows(LABELS, NoStrategy(), CLASSES, 8, 3, 0)
    images = arrays(batches_of(NoAugmentation(), photos=photos), 0)[0][0]
    expected = [cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for image in photos.images[order[0] + 20]]
    np.testing.assert_array_equal(images, np.stack(expected))


def test_views_of_an_image_follow_one_another_and_differ() -> None:
    order = epoch_rows(LABELS, NoStrategy(), CLASSES, 8, 3, 0)
    for (images, targets, weights), rows in zip(
        arrays(batches_of(Light(), photos=Noise(), views=2), 0), order, strict=True
    ):
        assert images.shape[0] == targets.shape[0] == weights.shape[0] == 2 * len(rows)
        np.testing.assert_array_equal(targets.argmax(axis=1), np.repeat(LABELS[rows], 2))
        assert (np.abs(images[0::2] - images[1::2]).max(axis=(1, 2, 3)) > 0).all()


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    batches = batches_of(NoAugmentation(), batch_size=64)
    assert batches.steps_per_epoch == 1
    assert [batch[0].shape[0] for batch in batches.epoch(0, SIZE)] == [len(LABELS)]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="must be vectors of one length"):
        Batches(Photos(), np.arange(3), LABELS, CLASSES, NoAugmentation(), NoStrategy(), 8, 0)
