"""Train one network: epochs, validation, averaging, checkpoints, resume."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wellai_exp import stopping
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import NoStrategy
from wellai_exp.models import FittedHead
from wellai_exp.paths import sha256_of, write_whole
from wellai_exp.seeding import derive_seed
from wellai_exp.training._batches import Batches
from wellai_exp.training._checkpoint import Checkpoint, EpochRecord, Standing
from wellai_exp.training._network import Arrays, Network, Recipe, Teacher
from wellai_exp.training._results import Choices, Rows, Watcher
from wellai_exp.training._shared import Shared
from wellai_exp.training._trained import TrainedBackbone
from wellai_exp.training._warm_up import BATCH, FirstHead, contrast

if TYPE_CHECKING:
    from wellai_exp.training._finetune import FineTune

VALUE = "auc_pr_macro"
STEPS_BETWEEN_LOOKS = 10
# Enters every key: raise it when the same settings begin to train otherwise.
REVISION = 3
WEIGHTS = "trunk.weights.h5"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Parameters
    ----------
    head : FittedHead
        The head.
    backbone : TrainedBackbone
        The backbone with its new weights.
    records : tuple of EpochRecord
        The epochs.
    epochs : int
        The epoch whose weights these are.
    """

    head: FittedHead
    backbone: TrainedBackbone
    records: tuple[EpochRecord, ...]
    epochs: int


class Training:
    """One training of one configuration on some rows.

    Parameters
    ----------
    shared : Shared
        Data and caches.
    settings : FineTune
        How it trains.
    choices : Choices
        What it trains.
    rows : numpy.ndarray
        int [n], the training rows.
    validation : numpy.ndarray
        int [m], rows to validate on after each epoch; empty for none.
    seed : int
        Of everything random in it.
    until : int, optional
        The epoch to end with, the schedule being planned for all; by default the last.
    teacher : Teacher, optional
        For distillation.
    """

    def __init__(
        self,
        shared: Shared,
        settings: FineTune,
        choices: Choices,
        rows: Rows,
        validation: Rows,
        seed: int,
        *,
        until: int | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.shared = shared
        self.settings = settings
        self.choices = replace(choices, head=choices.head.bound(shared.levels))
        self.rows = rows
        self.validation = validation
        self.seed = seed
        self.until = settings.epochs if until is None else min(until, settings.epochs)
        self._teacher = teacher
        self._held: dict[int, Batches] = {}
        self.checkpoint = Checkpoint(shared.store / "trainings" / self._key())

    def _key(self) -> str:
        """Name everything that decides the result, so that the same training is found again and no other."""
        choices = replace(self.choices, backbone=None)  # type: ignore[arg-type]
        if choices.strategy.post_hoc and not len(self.validation):
            # One network serves all of these, and no strategy at all: validation would judge it by the finished head.
            choices = replace(choices, strategy=NoStrategy())
        decides = [
            str(REVISION),
            repr(choices),
            self.choices.backbone.feature_key(),
            repr(self.settings),
            self.shared.rows_digest(self.rows),
            self.shared.rows_digest(self.validation),
            str(self.seed),
            str(self.until),
            self._teacher.key if self._teacher else "",
        ]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:24]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Training images of each class, as the strategy draws them, int [C]."""
        return self._batches(self.choices.backbone.size).counts

    def step_and_batches(self) -> tuple[Callable[[Sequence[Any]], Any], Batches, Network]:
        """Give what an epoch at the last size consists of, to be timed: step, batches, and the network that learns."""
        size = self.settings.sizes_of(self.choices.backbone.size)[-1]
        network, batches = self._network(size), self._batches(size)
        prior = (batches.counts / batches.counts.sum()).astype(np.float32)[None]
        rate = self.choices.optimizer.rate(0, batches.steps_per_epoch)
        return lambda batch: network.step(batch, prior, rate, (0, 0)), batches, network

    def run(self, watcher: Watcher) -> Trained:
        """Train, or go on, or give what was trained before.

        Raises
        ------
        TrialFailed
            Where the loss is no longer a number; the reason names the epoch and the learning rate.
        """
        standing = self.checkpoint.load()
        if standing is None:
            standing = Standing(self._begin())
        elif self._ends(standing.records, standing.best) and not self._weights_sound(standing):
            standing = self._mended(standing)
        for record in standing.records:
            watcher.epoch(record)
        network = None
        while not self._ends(standing.records, standing.best):
            epoch = len(standing.records)
            network = self._network_for(epoch, network, standing)
            standing = self._epoch(network, epoch, standing, watcher)
            if self._ends(standing.records, standing.best):
                standing = self._finish(standing, network.inference_arrays)
            self.checkpoint.save(standing)
            watcher.epoch(standing.records[-1])
        return self._trained(standing)

    def standing_model(self) -> Trained | None:
        """Give what there is of a training that was ended early; None where no epoch was finished."""
        standing = self.checkpoint.load()
        if standing is None or not standing.records:
            return None
        if not self._ends(standing.records, standing.best):
            network = self._network(self.settings.sizes_of(self.choices.backbone.size)[-1])
            network.arrays = standing.arrays
            standing = self._finish(replace(standing, best=0, chosen=[]), network.inference_arrays)
        elif not self._weights_sound(standing):
            standing = self._mended(standing)
        return self._trained(standing)

    def _ends(self, records: tuple[EpochRecord, ...], best: int) -> bool:
        patience = self.settings.patience
        tired = patience is not None and best > 0 and len(records) - best >= patience
        return len(records) >= self.until or tired

    def _recipe(self) -> Recipe:
        return self.settings.recipe(self.choices)

    def _network(self, size: int) -> Network:
        recipe = self._recipe()
        seed = derive_seed(self.seed, "network")
        # Only a network from nothing draws its first weights from the seed.
        own = None if recipe.backbone.pretrained else seed
        key = (recipe.key, size, self.shared.n_classes, own, self._teacher.key if self._teacher else "")
        network: Network = self.shared.network(
            key, lambda: Network(recipe, size, self.shared.n_classes, seed, self._teacher)
        )
        return network

    def _begin(self) -> Arrays:
        """Give the state before the first epoch: weights as they come, and a head that fits their features."""
        settings, backbone = self.settings, self.choices.backbone
        network = self._network(settings.sizes_of(backbone.size)[0])
        seed = derive_seed(self.seed, "head")
        # Fitted to the targets that follow: a head surer than smoothed targets allow spends the first epoch unlearning
        # that, and takes the backbone's features along.
        head = replace(self.choices.head, label_smoothing=settings.label_smoothing)
        choices = replace(self.choices, head=head)
        first = FirstHead(self.shared, choices, self.rows, seed, settings.resize, settings.memory_gb)
        network.begin(self.choices.optimizer, *first.random(network.dim))
        if settings.contrastive.epochs:
            pairs = self._make_batches(network.size, views=2)
            contrast(network, pairs, settings.contrastive, derive_seed(self.seed, "projection"))
            if settings.head_warm_up:
                network.set_head(*first.on_features_of(network))
        elif settings.head_warm_up and backbone.pretrained:
            network.set_head(*first.on_stored_features())
        network.optimizer.restart()
        return network.arrays

    def _network_for(self, epoch: int, network: Network | None, standing: Standing) -> Network:
        size = self.settings.size_at(epoch, self.choices.backbone.size)
        if network is not None and network.size == size:
            return network
        network = self._network(size)
        network.arrays = standing.arrays
        return network

    def _epoch(self, network: Network, epoch: int, standing: Standing, watcher: Watcher) -> Standing:
        """Do one epoch and validate it."""
        started = time.perf_counter()
        losses, images = self._steps(network, epoch, standing, watcher)
        trained = time.perf_counter()
        arrays = network.arrays
        with self._kept(lambda: replace(standing, arrays=arrays, losses=losses)):
            metrics = self._validate(network)
        steps = len(losses)
        rate = self.choices.optimizer.rate(epoch * steps + steps - 1, self.settings.epochs * steps)
        record = EpochRecord(
            epoch + 1,
            self.settings.epochs,
            metrics,
            float(np.mean(losses)),
            rate,
            images / (trained - started),
            time.perf_counter() - started,
            network.size,
        )
        best, chosen = standing.best, standing.chosen
        values = [earlier.metrics[VALUE] for earlier in standing.records if earlier.metrics]
        if metrics and self.settings.patience is not None and metrics[VALUE] > max(values, default=-math.inf):
            best, chosen = epoch + 1, network.inference_arrays
        return Standing(arrays, (*standing.records, record), best, chosen)

    @contextmanager
    def _kept(self, standing: Callable[[], Standing | None]) -> Iterator[None]:
        """Keep what there is of an epoch that a signal ends; a later training goes on from there."""
        try:
            yield
        except KeyboardInterrupt:
            if (kept := standing()) is not None:
                self.checkpoint.save(kept)
            raise

    def _steps(
        self, network: Network, epoch: int, standing: Standing, watcher: Watcher
    ) -> tuple[tuple[float, ...], int]:
        """Do the steps that are left of an epoch; gives the losses of all and the images of these."""
        batches = self._batches(network.size)
        prior = (batches.counts / batches.counts.sum()).astype(np.float32)[None]
        steps = batches.steps_per_epoch
        total, first, begun = steps * self.settings.epochs, epoch * steps, len(standing.losses)
        dropout = derive_seed(self.seed, "dropout")
        started, images = time.perf_counter(), 0
        losses: list[Any] = list(standing.losses)
        whole = False

        def reached() -> Standing | None:
            now = tuple(float(loss) for loss in losses)
            return replace(standing, arrays=network.arrays, losses=now) if whole else None

        with self._kept(reached):
            for index, batch in enumerate(batches.epoch(epoch, network.size, begun), start=begun):
                stopping.check()
                rate = self.choices.optimizer.rate(first + index, total)
                # Tracing, in the first step, may take longer than a signal may wait, and then nothing is lost yet.
                with stopping.deferred(lambda: None) if whole else nullcontext():
                    losses.append(network.step(batch, prior, rate, (dropout, first + index)))
                    whole = True
                images += int(batch[0].shape[0])
                # Reading a loss waits for its step, so most are read later.
                if index % STEPS_BETWEEN_LOOKS == 0 or index == steps - 1:
                    now = float(losses[-1])
                    if not math.isfinite(now):
                        raise TrialFailed(
                            f"the loss was {now} in epoch {epoch + 1} at a learning rate of {rate:.3g}; "
                            "lower optimizer.learning_rate"
                        )
                    watcher.step(index + 1, steps, now, images / (time.perf_counter() - started))
            stopping.check()
        return tuple(float(loss) for loss in losses), images

    def _batches(self, size: int) -> Batches:
        if size not in self._held:
            self._held[size] = self._make_batches(size)
        return self._held[size]

    def _make_batches(self, size: int, views: int = 1) -> Batches:
        return Batches(
            self.shared.pixels(size, self.settings.resize),
            self.rows,
            self.shared.manifest.labels[self.rows],
            self.shared.n_classes,
            self.choices.policy,
            self.choices.strategy,
            self.settings.batch_size,
            derive_seed(self.seed, "batches"),
            views=views,
        )

    def _validate(self, network: Network) -> dict[str, float]:
        if not len(self.validation):
            return {}
        size = self.choices.backbone.size
        judge = network if network.size == size else self._network(size)
        if judge is network:
            with network.averaged():
                probabilities = self._predict(network, network.fitted_head(self.counts))
        else:
            judge.load_inference(network.inference_arrays)
            probabilities = self._predict(judge, judge.fitted_head(self.counts))
        return self.shared.scores(self.validation, probabilities)

    def _predict(self, network: Network, head: FittedHead) -> npt.NDArray[np.float64]:
        pixels = self.shared.pixels(network.size, self.settings.resize)
        parts = [
            head.probabilities(network.features(pixels.gather(self.validation[start : start + BATCH])))
            for start in range(0, len(self.validation), BATCH)
        ]
        return np.concatenate(parts)

    def _finish(self, standing: Standing, last: Arrays) -> Standing:
        """Keep the weights to use, written as a file of their own, and drop what only a next epoch would need."""
        chosen = standing.chosen or last
        final = self._network(self.choices.backbone.size)
        final.load_inference(chosen)
        weights = self.checkpoint.folder / WEIGHTS
        with write_whole(weights) as path:
            final.trunk.save_weights(path)
        best = standing.best or len(standing.records)
        return Standing([], standing.records, best, chosen, weights=sha256_of(weights))

    def _weights_sound(self, standing: Standing) -> bool:
        weights = self.checkpoint.folder / WEIGHTS
        return weights.exists() and sha256_of(weights) == standing.weights

    def _mended(self, standing: Standing) -> Standing:
        """Write a finished training's file of weights anew, from the checkpoint, which holds them too."""
        weights = self.checkpoint.folder / WEIGHTS
        logger.warning("The weights %s are missing or damaged; they are written again from the checkpoint.", weights)
        standing = self._finish(standing, [])
        self.checkpoint.save(standing)
        return standing

    def _trained(self, standing: Standing) -> Trained:
        network = self._network(self.choices.backbone.size)
        network.load_inference(standing.chosen)
        backbone = TrainedBackbone(self.choices.backbone, self.checkpoint.folder / WEIGHTS, standing.weights)
        return Trained(network.fitted_head(self.counts), backbone, standing.records, standing.best)
