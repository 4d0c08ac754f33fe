"""The base class of every answer to class imbalance: it validates, its subclasses compute."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.gradients import Gradient, by_hand
from wellai_exp.imbalance._checks import Counts, checked_counts

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
# A Keras tensor or anything that keras.ops takes for one; the backend decides its class.
Tensor = Any

REGIMES = frozenset({"probe", "finetune"})

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resampled:
    """Rows to train on.

    Attributes
    ----------
    features : float32 [M, D]
    labels : int64 [M]
    notes : tuple of str
        What was done otherwise than asked, one sentence each; empty where all went as asked.
    """

    features: Floats
    labels: Labels
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class BatchPlan:
    """How mini-batches are drawn: a class by its probability, then an image of it uniformly.

    Attributes
    ----------
    probability : float64 [C]
        Sums to 1; 0 for an absent class.
    batch_size : int
        Images in a batch.
    """

    probability: npt.NDArray[np.float64]
    batch_size: int

    def __post_init__(self) -> None:
        good = self.probability.ndim == 1 and bool((self.probability >= 0).all())
        if not good or not np.isclose(self.probability.sum(), 1.0) or self.batch_size < 1:
            raise ValueError("a batch plan needs probabilities [C] that sum to 1 and a batch of at least one image")


class Strategy:
    """One way to learn from classes of unequal size.

    A strategy may act on the rows (`resample`), on the weight of each class (`class_weight`), on how batches are drawn
    (`batches`), on the loss (`loss`) or on the trained last layer (`finalise`). Each default changes nothing.
    Subclasses override the method of the same name with a leading underscore.
    """

    regimes: ClassVar[frozenset[str]] = REGIMES
    # What a traced loss takes as numbers, so that strategies that differ in nothing else share it.
    numbers: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The option's name, which is also that of its YAML: the class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def changes_loss(self) -> bool:
        """Whether the loss of an image is another than cross-entropy."""
        return type(self)._loss is not Strategy._loss

    @property
    def post_hoc(self) -> bool:
        """Whether nothing but the trained last layer knows of it, so that a network trains as without a strategy."""
        training = ("_resample", "_class_weight", "_batches", "_loss")
        return all(getattr(type(self), step) is getattr(Strategy, step) for step in training)

    @property
    def keeps_rows(self) -> bool:
        """Whether every step trains on every row, each once."""
        return all(getattr(type(self), step) is getattr(Strategy, step) for step in ("_resample", "_batches"))

    def check_regime(self, regime: str) -> None:
        """Refuse a regime that the strategy cannot serve.

        Raises
        ------
        SettingError
            Where `regime` is not among `regimes`.
        """
        if regime not in self.regimes:
            able = " or ".join(sorted(self.regimes))
            raise SettingError(
                "imbalance",
                self.name,
                f"it works with regime={able} only, not with regime={regime}",
                f"choose imbalance=random_over, or set regime={sorted(self.regimes)[0]}",
            )

    def resample(self, features: npt.ArrayLike, labels: npt.ArrayLike, n_classes: int, seed: int) -> Resampled:
        """Give the rows to train on.

        Parameters
        ----------
        features : float32 [N, D]
            One row for each image.
        labels : int [N]
            In ``[0, n_classes)``.
        n_classes : int
            Classes of the problem, present here or not.
        seed : int
            Equal seeds give equal rows.

        Returns
        -------
        Resampled
            With every class that was present.

        Raises
        ------
        ValueError
            Where the shapes or labels are wrong.
        TrialFailed
            Where features are not finite, or no valid resampling exists.
        """
        rows, targets = _checked_rows(features, labels, n_classes)
        result = self._resample(rows, targets, n_classes, seed)
        self._check_resampled(result, rows, targets, n_classes)
        for note in result.notes:
            _LOG.info("imbalance=%s: %s", self.name, note)
        return result

    def class_weight(self, counts: npt.ArrayLike) -> Floats:
        """Give the weight of an image of each class.

        Parameters
        ----------
        counts : int [C]
            Training images of each class.

        Returns
        -------
        float32 [C]
            Scaled so that the mean over images is 1; 0 for an absent class.
        """
        images = checked_counts(counts)
        present = images > 0
        weight = np.zeros(images.size, np.float64)
        weight[present] = self._class_weight(images[present])
        mean = float((images * weight).sum() / images.sum())
        if not np.isfinite(weight).all() or (weight < 0).any() or not 0 < mean < np.inf:
            raise TrialFailed(f"imbalance={self.name} gave class weights that are not finite and positive.")
        return (weight / mean).astype(np.float32)

    def batches(self, counts: npt.ArrayLike) -> BatchPlan | None:
        """Give the plan for mini-batches, or None where the trainer's own batches serve.

        Parameters
        ----------
        counts : int [C]
            Training images of each class.
        """
        images = checked_counts(counts)
        plan = self._batches(images)
        if plan is not None and (plan.probability.shape != images.shape or (plan.probability[images == 0] > 0).any()):
            raise TrialFailed(f"imbalance={self.name} planned batches from classes without an image.")
        return plan

    def loss(self, logits: Tensor, targets: Tensor, prior: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Give the loss of each image; leading axes (folds) broadcast.

        Parameters
        ----------
        logits : [..., N, C]
        targets : [..., N, C]
            One-hot or soft, summing to 1 over classes.
        prior : [..., 1, C]
            Class frequencies, summing to 1; 0 for an absent class.
        label_smoothing : float
            Mass in [0, 1) that is spread evenly over the classes whose prior is positive (an absent class gets none:
            nothing could teach it apart from that mass).

        Returns
        -------
        float32 [..., N]
            Differentiable in `logits`.
        """
        from keras import ops

        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing} must be at least 0 and below 1")
        scores, truth, prior = (ops.cast(ops.convert_to_tensor(x), "float32") for x in (logits, targets, prior))
        widths = {tensor.shape[-1] for tensor in (scores, truth, prior)}
        if len(widths) > 1:
            raise ValueError(f"logits, targets and prior differ in their number of classes: {sorted(map(str, widths))}")
        if label_smoothing:
            truth = smoothed(truth, prior, label_smoothing)
        return self._loss(scores, truth, prior)

    def finalise(self, kernel: npt.ArrayLike, bias: npt.ArrayLike, counts: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Give the last linear layer as it shall be used, after training.

        Parameters
        ----------
        kernel : float32 [D, C]
        bias : float32 [C]
        counts : int [C]
            Training images of each class.

        Returns
        -------
        kernel : float32 [D, C]
        bias : float32 [C]
            Copies: what was given is never written.

        Raises
        ------
        ValueError
            Where the shapes do not fit each other.
        TrialFailed
            Where the layer is not finite, before or after.
        """
        weights, offset = np.array(kernel, np.float32), np.array(bias, np.float32)
        images = checked_counts(counts)
        if weights.ndim != 2 or offset.shape != images.shape or weights.shape[1] != images.size:
            raise ValueError(
                f"kernel {weights.shape}, bias {offset.shape} and counts {images.shape} must be [D, C], [C] and [C]"
            )
        if not (np.isfinite(weights).all() and np.isfinite(offset).all()):
            raise TrialFailed("The trained last layer holds numbers that are not finite; lower the learning rate.")
        new_weights, new_offset = self._finalise(weights, offset, images)
        if new_weights.shape != weights.shape or new_offset.shape != offset.shape:
            raise TrialFailed(f"imbalance={self.name} changed the shape of the last layer.")
        if not (np.isfinite(new_weights).all() and np.isfinite(new_offset).all()):
            raise TrialFailed(f"imbalance={self.name} made the last layer's numbers infinite.")
        return new_weights.astype(np.float32), new_offset.astype(np.float32)

    def _resample(self, features: Floats, labels: Labels, n_classes: int, seed: int) -> Resampled:
        """Compute on validated rows."""
        del n_classes, seed
        return Resampled(features, labels)

    def _class_weight(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Compute, up to scale, for the classes that are present: every count is positive."""
        return np.ones(counts.size)

    def _batches(self, counts: Counts) -> BatchPlan | None:
        """Compute from validated counts."""
        del counts
        return None

    def _loss(self, logits: Tensor, targets: Tensor, prior: Tensor) -> Tensor:
        """Compute on float32 tensors, targets already smoothed; default softmax cross-entropy.

        Its gradient, softmax less targets, is written by hand: derived from a log-softmax it is several passes more
        over the logits of all folds, of which a step of the solver has few.
        """
        from keras import ops

        del prior

        @by_hand
        def cross_entropy(logits: Tensor) -> tuple[Tensor, Gradient]:
            def gradient(upstream: Tensor) -> Tensor:
                return (ops.softmax(logits, axis=-1) - targets) * ops.expand_dims(upstream, -1)

            return ops.logsumexp(logits, axis=-1) - ops.sum(targets * logits, axis=-1), gradient

        return cross_entropy(ops.convert_to_tensor(logits))

    def _finalise(self, kernel: Floats, bias: Floats, counts: Counts) -> tuple[Floats, Floats]:
        """Compute on copies."""
        del counts
        return kernel, bias

    def _check_resampled(self, result: Resampled, features: Floats, labels: Labels, n_classes: int) -> None:
        """Refuse rows that cannot be trained on (TrialFailed)."""
        if result.features.shape != (result.labels.size, features.shape[1]):
            raise TrialFailed(
                f"imbalance={self.name} made {result.labels.size} labels for features of shape {result.features.shape}."
            )
        if not np.isfinite(result.features).all():
            raise TrialFailed(f"imbalance={self.name} made features that are not finite.")
        before, after = (np.bincount(ids, minlength=n_classes) for ids in (labels, result.labels))
        lost = np.flatnonzero((before > 0) & (after == 0))
        if lost.size:
            raise TrialFailed(
                f"imbalance={self.name} removed every image of class {', '.join(map(str, lost))}; "
                "use a gentler setting or another strategy."
            )


def _checked_rows(features: npt.ArrayLike, labels: npt.ArrayLike, n_classes: int) -> tuple[Floats, Labels]:
    """Give features as float32 [N, D] and labels as int64 [N], or refuse them."""
    rows = np.ascontiguousarray(features, np.float32)
    if rows.ndim != 2:
        raise ValueError(f"features must have the shape [N, D], not {rows.shape}")
    targets = checked_labels(labels, n_classes)
    if len(targets) != len(rows):
        raise ValueError(f"{len(rows)} rows of features but {len(targets)} labels")
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise TrialFailed(f"The features of image {bad} are not finite; compute them again or exclude the image.")
    return rows, targets


def smoothed(targets: Tensor, prior: Tensor, mass: Tensor) -> Tensor:
    """Give targets [..., N, C] with a share of their mass spread evenly over the classes whose prior is positive.

    Parameters
    ----------
    targets : [..., N, C]
    prior : [..., 1, C]
    mass : float or scalar tensor
        In [0, 1).
    """
    from keras import ops

    present = ops.cast(prior > 0, "float32")
    even = present / ops.maximum(ops.sum(present, axis=-1, keepdims=True), 1.0)
    return (1.0 - mass) * targets + mass * even


def checked_labels(labels: npt.ArrayLike, n_classes: int) -> Labels:
    """Give labels as int64 [N] in ``[0, n_classes)``, at least one.

    Raises
    ------
    ValueError
        Where they are not.
    """
    given = np.asarray(labels)
    if given.ndim != 1 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"labels must be a vector of at least one integer, not {given.dtype} of shape {given.shape}")
    if given.min() < 0 or given.max() >= n_classes:
        raise ValueError(f"labels run from {given.min()} to {given.max()}, outside 0 to {n_classes - 1}")
    return given.astype(np.int64)
