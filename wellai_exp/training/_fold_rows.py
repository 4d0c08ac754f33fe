"""The rows that cross-validation folds train on, as the solver takes them.

Shapes: F folds, N rows of a fold (padded to one number), n rows that a fold holds out, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import Policy
from wellai_exp.imbalance import Strategy
from wellai_exp.models import Head, Scaler, partners

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoldData:
    """One fold's training rows after scaling and resampling.

    Parameters
    ----------
    features : numpy.ndarray
        float32 [N, D], scaled.
    labels : numpy.ndarray
        int [N].
    scaler : Scaler
        What scaled the features.
    """

    features: Array
    labels: Labels
    scaler: Scaler


@dataclass(frozen=True)
class SharedRows:
    """Rows of which every fold trains on all but those that it holds out.

    Parameters
    ----------
    features : numpy.ndarray
        float32, all rows [rows, D], unscaled.
    labels : numpy.ndarray
        int [rows].
    held_by : numpy.ndarray
        int [rows], the fold that holds a row out; each of the folds 0 to F - 1, at least two, holds some.
    scalers : tuple of Scaler
        One a fold, fitted on its training rows alone.
    """

    features: Array
    labels: Labels
    held_by: Labels
    scalers: tuple[Scaler, ...]

    @classmethod
    def of(cls, kind: str, features: Array, labels: Labels, held_by: Labels) -> SharedRows:
        """Fit the scalers of this kind."""
        scalers = tuple(Scaler.fit(kind, features[held_by != fold]) for fold in range(held_by.max() + 1))
        return cls(features, labels, held_by, scalers)


@dataclass(frozen=True)
class Blocks:
    """The rows that each fold holds out, scaled and padded to one length; made one by one, when asked for.

    Parameters
    ----------
    rows : SharedRows
        All rows.
    scaler : Scaler
        What scales them.
    """

    rows: SharedRows
    scaler: Scaler

    @property
    def shape(self) -> tuple[int, int, int]:
        """F, n and D, of all together."""
        held = np.bincount(self.rows.held_by)
        return len(held), int(held.max()), self.rows.features.shape[1]

    def __iter__(self) -> Iterator[Array]:
        """Give the blocks, each float32 [n, D], in the order of the folds."""
        folds, *shape = self.shape
        for fold in range(folds):
            block = np.zeros(shape, np.float32)
            own = self.scaler(self.rows.features[self.rows.held_by == fold])
            block[: len(own)] = own
            yield block


@dataclass(frozen=True)
class Problem:
    """What the solver minimises: the sum of all losses, each times its weight, over folds that never meet.

    A fold's weights sum to about 1; padding has weight 0 and the label -1. Stacked rows have leading axes [F, N]; those
    of crossed ones are [F, n], and [F, n, F - 1] for what differs from partner to partner.

    Parameters
    ----------
    features : numpy.ndarray or Blocks
        float32 [F, N, D], or crossed [F, n, D].
    labels : numpy.ndarray
        int32 [F, N], or [F, n].
    weights, prior : numpy.ndarray
        float32 [F, N] and [F, 1, C], or [F, n, F - 1] and [F, 1, F - 1, C].
    counts : numpy.ndarray
        int [F, C], training rows of each class.
    scalers : tuple of Scaler
        One a fold.
    lens : tuple of numpy.ndarray
        Of crossed rows, the `scale` and `shift`, float32 [F, 1, D], through which each fold sees the features.
    """

    features: Array | Blocks
    labels: npt.NDArray[np.int32]
    weights: Array
    prior: Array
    counts: Labels
    scalers: tuple[Scaler, ...]
    lens: tuple[Array, ...] = ()

    @property
    def tensors(self) -> tuple[Any, ...]:
        """The tensors that the loop reads, features first (crossed: one a block), those of the lens last."""
        import tensorflow as tf

        crossed = isinstance(self.features, Blocks)
        features = [tf.constant(block) for block in self.features] if crossed else tf.constant(self.features)
        return features, *(tf.constant(part) for part in (self.labels, self.weights, self.prior, *self.lens))


def may_share(head: Head, strategy: Strategy, policy: Policy) -> bool:
    """Say whether folds of these parts can be fitted on :class:`SharedRows`.

    Every row has to be used as it is, and the features may enter nothing but a product.
    """
    return head.linear and strategy.keeps_rows and not policy.mixes_labels


def crossed_bytes(rows: int, dim: int, folds: int, n_classes: int) -> int:
    """Give what :class:`SharedRows` weigh in the loop: features, and a target for every fold that trains on a row."""
    return 4 * rows * (dim + n_classes * (folds - 1))


def state(rows: Sequence[FoldData] | SharedRows, strategy: Strategy, n_classes: int) -> Problem:
    """Lay rows out for the solver, each weighted as the strategy weights its class."""
    return _cross(rows, strategy, n_classes) if isinstance(rows, SharedRows) else _stack(rows, strategy, n_classes)


def _stack(folds: Sequence[FoldData], strategy: Strategy, n_classes: int) -> Problem:
    """Pad folds to one length."""
    shape = len(folds), max(len(fold.labels) for fold in folds)
    # A fold alone is stacked as it lies: a large one should not be held twice.
    alone = len(folds) == 1
    features = folds[0].features[None] if alone else np.zeros((*shape, folds[0].features.shape[1]), np.float32)
    labels = np.full(shape, -1, np.int32)
    weights = np.zeros(shape, np.float32)
    counts = np.stack([np.bincount(fold.labels, minlength=n_classes) for fold in folds])
    for index, fold in enumerate(folds):
        rows = len(fold.labels)
        if not alone:
            features[index, :rows] = fold.features
        labels[index, :rows] = fold.labels
        weights[index, :rows] = _row_weight(strategy, counts[index])[fold.labels]
    return Problem(features, labels, weights, _prior(counts)[:, None], counts, tuple(fold.scaler for fold in folds))


def _cross(rows: SharedRows, strategy: Strategy, n_classes: int) -> Problem:
    """Put the rows that a fold holds out into its block, and pad blocks to one length."""
    # Any scaling would do, as each fold corrects it; that of one fold is near the others', so that little is lost.
    features = Blocks(rows, rows.scalers[0])
    folds, length, _ = features.shape
    shape = folds, length, folds - 1
    labels = np.full(shape[:2], -1, np.int32)
    weights = np.zeros(shape, np.float32)
    counts = np.stack([np.bincount(rows.labels[rows.held_by != fold], minlength=n_classes) for fold in range(folds)])
    row_weight = np.stack([_row_weight(strategy, own) for own in counts])
    for block, others in enumerate(partners(folds)):
        own = rows.labels[rows.held_by == block]
        labels[block, : len(own)] = own
        weights[block, : len(own)] = row_weight[others][:, own].T
    lens = _lens(features.scaler, rows.scalers)
    return Problem(features, labels, weights, _prior(counts)[partners(folds)][:, None], counts, rows.scalers, lens)


def _lens(common: Scaler, scalers: Sequence[Scaler]) -> tuple[Array, Array]:
    """Give `scale` and `shift`, [F, 1, D], that turn features scaled by `common` into a fold's own."""
    if common.kind != "standard":
        shape = len(scalers), 1, len(common.mean)
        return np.ones(shape, np.float32), np.zeros(shape, np.float32)
    scale = [common.std / own.std for own in scalers]
    shift = [(own.mean - common.mean) / common.std for own in scalers]
    return np.array(scale, np.float32)[:, None], np.array(shift, np.float32)[:, None]


def _row_weight(strategy: Strategy, counts: Labels) -> Array:
    """Give the weight of a row of each class, [C], for a mean over the rows that count."""
    weight = strategy.class_weight(counts)
    return np.divide(weight, max(int(counts[weight > 0].sum()), 1), dtype=np.float32)


def _prior(counts: Labels) -> Array:
    share: Array = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return share
