"""What comes before the first epoch: contrastive epochs where asked for, then a head that fits the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wellai_exp import stopping
from wellai_exp.augmentation import NoAugmentation
from wellai_exp.errors import TrialFailed
from wellai_exp.models import Scaler
from wellai_exp.training._batches import Batches
from wellai_exp.training._contrastive import ContrastiveWarmUp, anchors, projection, supervised_contrastive_loss
from wellai_exp.training._fold_rows import FoldData
from wellai_exp.training._network import Array, Network
from wellai_exp.training._results import Choices, Rows
from wellai_exp.training._shared import Shared
from wellai_exp.training._solver import solve

BATCH = 64


@dataclass(frozen=True)
class FirstHead:
    """Finds the head that a training starts with.

    Parameters
    ----------
    shared : Shared
        Data and caches.
    choices : Choices
        Head, strategy, optimiser.
    rows : numpy.ndarray
        int [n], the training rows.
    seed : int
        Of the head.
    resize : str
        How images are brought to a square.
    memory_gb : float
        How much of the features may be held.
    """

    shared: Shared
    choices: Choices
    rows: Rows
    seed: int
    resize: str
    memory_gb: float

    def random(self, dim: int) -> tuple[Scaler, list[Array]]:
        """Give a head as it is drawn, on features as they are."""
        weights = self.choices.head.initial(1, dim, self.shared.n_classes, self.seed)
        zero = np.zeros(dim, np.float32)
        return Scaler("none", zero, zero + 1.0), [weight[0] for weight in weights]

    def on_stored_features(self) -> tuple[Scaler, list[Array]]:
        """Fit it on the frozen backbone's features, which other trials share."""
        features = self.shared.features(self.resize, self.memory_gb)
        scope = np.sort(self.rows)
        return self._fitted(features.rows(self.choices.backbone, NoAugmentation(), 0, self.rows, scope))

    def on_features_of(self, network: Network) -> tuple[Scaler, list[Array]]:
        """Fit it on what the network makes of the training images now."""
        pixels = self.shared.pixels(network.size, self.resize)
        starts = range(0, len(self.rows), BATCH)
        parts = [network.features(pixels.gather(self.rows[start : start + BATCH])) for start in starts]
        return self._fitted(np.concatenate(parts))

    def _fitted(self, features: Array) -> tuple[Scaler, list[Array]]:
        """Fit it: a random head's gradients would spoil good features (Kumar et al. 2022, arXiv 2202.10054)."""
        head, strategy = self.choices.head, self.choices.strategy
        scaler = Scaler.fit(head.scaling, features)
        fold = FoldData(scaler(features), self.shared.manifest.labels[self.rows], scaler)
        weights = solve(head, strategy, NoAugmentation(), [fold], self.shared.n_classes, self.seed)
        return scaler, [weight[0] for weight in weights]


def contrast(network: Network, batches: Batches, settings: ContrastiveWarmUp, seed: int) -> None:
    """Pull images of one class together and others apart (Khosla et al. 2020, arXiv 2004.11362).

    Parameters
    ----------
    network : Network
        Whose trunk learns, in place; its head does not.
    batches : Batches
        Of two views an image.
    settings : ContrastiveWarmUp
        How long, and in what space.
    seed : int
        Of the projection.

    Raises
    ------
    TrialFailed
        Where the loss is no longer a number.
    """
    import tensorflow as tf

    head = projection(network.dim, settings.projection, seed)
    optimizer = network.recipe.optimizer
    trunk = network.trunk.trainable_variables
    variables = [*trunk, *head.trainable_variables]
    learner = optimizer.make(variables, [1.0] * len(variables))
    steps = batches.steps_per_epoch * settings.epochs

    @tf.function(jit_compile=network.compiled)  # type: ignore[untyped-decorator]
    def step(images: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            features = head(network.trunk(images, training=True), training=True)
            losses = supervised_contrastive_loss(features, targets, settings.temperature)
            loss = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(anchors(targets)), 1.0)
        learner.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    done = 0
    for epoch in range(settings.epochs):
        for images, targets, _ in batches.epoch(epoch, network.size):
            stopping.check()
            rate = optimizer.rate(done, steps)
            learner.learning_rate.assign(rate)
            loss = float(step(images, targets))
            done += 1
            if not np.isfinite(loss):
                raise TrialFailed(
                    f"the contrastive loss was {loss} in epoch {epoch + 1} at a learning rate of {rate:.3g}; "
                    "lower optimizer.learning_rate"
                )
