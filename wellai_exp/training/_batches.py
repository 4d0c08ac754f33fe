"""Mini-batches of augmented images, made while the network trains on the ones before.

Shapes: n training images, C classes, B images in a batch, S pixels a side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import Policy
from wellai_exp.data import fit
from wellai_exp.imbalance import IndexResampler, Strategy
from wellai_exp.seeding import derive_seed, generator

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_AHEAD = 2


class Pixels(Protocol):
    """What holds the images, e.g. a table of a pixel store."""

    def gather(self, rows: Labels) -> npt.NDArray[np.uint8]:
        """Give uint8 [b, S, S, 3]."""


def rows_in_use(labels: Labels, strategy: Strategy, n_classes: int, seed: int, epoch: int) -> Labels:
    """Give the positions that an epoch learns from, int64 [m]: all of them, or those that a resampler picks.

    Parameters
    ----------
    labels : numpy.ndarray
        int64 [n], of the training images.
    strategy : Strategy
        Of the family that answers class imbalance.
    n_classes : int
        C.
    seed : int
        Equal seeds give equal positions; each epoch is resampled anew.
    epoch : int
        Counted from 0.
    """
    if isinstance(strategy, IndexResampler):
        return strategy.indices(labels, n_classes, derive_seed(seed, "resample", epoch))
    return np.arange(len(labels), dtype=np.int64)


def epoch_rows(
    labels: Labels, strategy: Strategy, n_classes: int, batch_size: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """Give the positions of every batch of an epoch.

    Where the strategy plans batches, a class is drawn by its probability and then one of its images; else the rows in
    use are shuffled, and what does not fill a last batch waits for another epoch.

    Parameters
    ----------
    labels : numpy.ndarray
        int64 [n], of the training images.
    strategy : Strategy
        Of the family that answers class imbalance.
    n_classes : int
        C.
    batch_size : int
        B; fewer images than that are one batch.
    seed : int
        With `epoch` it decides everything, so that a resumed training sees the same batches.
    epoch : int
        Counted from 0.

    Returns
    -------
    numpy.ndarray
        int64 [steps, B], positions in `labels`.
    """
    used = rows_in_use(labels, strategy, n_classes, seed, epoch)
    size = min(batch_size, len(used))
    shape = len(used) // size, size
    rng = generator(seed, "batches", epoch)
    counts = np.bincount(labels, minlength=n_classes)
    plan = strategy.batches(counts)
    if plan is None:
        return rng.permutation(used)[: shape[0] * size].reshape(shape)
    chance = (plan.probability / np.maximum(counts, 1))[labels]
    return rng.choice(len(labels), shape, p=chance / chance.sum()).astype(np.int64)


class Batches:
    """The batches of every epoch of one training.

    A batch is gathered, resized, augmented and mixed on the CPU, while the network learns from the one before.
    Everything is a function of (seed, epoch): neither threads nor earlier epochs change it.

    Parameters
    ----------
    pixels : Pixels
        The images.
    rows : numpy.ndarray
        int64 [n], the training images' rows in `pixels`.
    labels : numpy.ndarray
        int64 [n], their classes.
    n_classes : int
        C.
    policy : Policy
        Augments the images, and mixes them where it mixes labels.
    strategy : Strategy
        Draws the batches, or weighs the images; where it plans batches, they all weigh 1, as in a probe.
    batch_size : int
        B.
    seed : int
        Of the order and of the augmentation.
    views : int
        How often each image of a batch comes, augmented anew each time; its copies follow one another.

    Attributes
    ----------
    steps_per_epoch : int
        Batches in an epoch.
    counts : numpy.ndarray
        int64 [C], rows in use of each class: what the loss's prior and the strategy's last touch are made from.

    Raises
    ------
    ValueError
        Where rows and labels do not fit each other, or there are none.
    """

    def __init__(
        self,
        pixels: Pixels,
        rows: Labels,
        labels: Labels,
        n_classes: int,
        policy: Policy,
        strategy: Strategy,
        batch_size: int,
        seed: int,
        views: int = 1,
    ) -> None:
        if rows.shape != labels.shape or rows.ndim != 1 or not len(rows):
            raise ValueError(f"rows {rows.shape} and labels {labels.shape} must be vectors of one length, not empty")
        self._pixels = pixels
        self._rows = rows
        self._labels = labels
        self._n_classes = n_classes
        self._policy = policy
        self._strategy = strategy
        self._batch_size = batch_size
        self._seed = seed
        self._views = views
        self._traced: dict[int, Any] = {}
        used = rows_in_use(labels, strategy, n_classes, seed, 0)
        self.counts = np.bincount(labels[used], minlength=n_classes)
        self.steps_per_epoch = max(len(used) // batch_size, 1)

    def epoch(self, epoch: int, size: int, first: int = 0) -> Iterator[tuple[Any, ...]]:
        """Give the batches of an epoch, each a tuple of tensors.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        size : int
            S; images stored at another size are resized.
        first : int
            The batch to begin with, where those before it were learnt from already.

        Returns
        -------
        iterator
            Of images float32 [B, S, S, 3] in [0, 255], targets float32 [B, C] and weights float32 [B]; with several
            views B is a multiple of the batch size.
        """
        import tensorflow as tf

        order = epoch_rows(self._labels, self._strategy, self._n_classes, self._batch_size, self._seed, epoch)
        # Two seeds a batch, for its augmentation and its mixing.
        seeds = generator(self._seed, "augmentation", epoch).integers(0, 2**31, (len(order), 2, 2))
        if size not in self._traced:
            self._traced[size] = self._trace(size, order.shape[1])
        make = self._traced[size]
        # A thread of Python's: as a tf.data pipeline, batches and training steps wait for the same threads of
        # TensorFlow's, and in some epochs a third of the speed is gone (measured).
        pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        waiting: deque[Future[tuple[Any, ...]]] = deque()
        try:
            for positions, pair in zip(order[first:], seeds[first:], strict=True):
                waiting.append(pool.submit(make, tf.constant(positions), tf.constant(pair)))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Also reached when the training ends in mid-epoch, so that no thread outlives it.
            pool.shutdown(wait=True, cancel_futures=True)

    def _trace(self, size: int, batch: int) -> Any:
        """Give the traced function (positions ``[B]``, seeds ``[2, 2]``) -> a batch; one for all epochs."""
        import tensorflow as tf

        classes, weights = tf.constant(self._labels), tf.constant(self._weights())

        def make(positions: Any, seeds: Any) -> tuple[Any, ...]:
            # Called stateful, op determinism would make the pipeline wait for each batch before the next.
            images = tf.numpy_function(lambda at: self._gather(at, size), [positions], tf.uint8, stateful=False)
            images = tf.ensure_shape(images, (batch, size, size, 3))
            if self._views > 1:
                images, positions = (tf.repeat(each, self._views, axis=0) for each in (images, positions))
            images = self._policy.augment(images, seeds[0])
            targets = tf.one_hot(tf.gather(classes, positions), self._n_classes)
            mixed: tuple[Any, ...] = self._policy.mix(images, targets, tf.gather(weights, positions), seeds[1])
            return mixed

        signature = [tf.TensorSpec([batch], tf.int64), tf.TensorSpec([2, 2], tf.int64)]
        return tf.function(make, input_signature=signature)

    def _gather(self, positions: Labels, size: int) -> npt.NDArray[np.uint8]:
        images = self._pixels.gather(self._rows[positions])
        if images.shape[1] == size:
            return images
        return np.stack([fit(image, size, "stretch") for image in images])

    def _weights(self) -> Floats:
        """Give the weight of each training image, float32 [n]."""
        if self._strategy.batches(self.counts) is not None:
            # Drawn by class already: weighing images as well would count the strategy twice.
            return np.ones(len(self._labels), np.float32)
        return self._strategy.class_weight(self.counts)[self._labels]
