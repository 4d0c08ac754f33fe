"""How much of a network's training speed the input pipeline leaves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import Any

import numpy as np

from wellai_exp.training._finetune import FineTune
from wellai_exp.training._loop import Training
from wellai_exp.training._network import Network
from wellai_exp.training._results import NO_ROWS, Choices
from wellai_exp.training._shared import Shared

_HELD = 4
Batch = Sequence[Any]


@dataclass(frozen=True)
class PipelineRates:
    """Training speed with and without the input pipeline, images a second.

    Parameters
    ----------
    train_on_batch : float
        Of the same network as a compiled Keras model, on batches in memory; median of the rounds.
    in_memory : float
        Of the fine-tuning step, on batches in memory; median of the rounds.
    epoch : float
        Of the fine-tuning step on whole epochs through the pipeline, their start included; median of the rounds.
    share : float
        The third over the first; median of the rounds' own ratios, which a machine's drift leaves alone.
    """

    train_on_batch: float
    in_memory: float
    epoch: float
    share: float


def measure_input_pipeline(
    shared: Shared, settings: FineTune, choices: Choices, *, rounds: int = 3, steps: int | None = None
) -> PipelineRates:
    """Train from memory and on real epochs, in turn, for as many steps.

    Parameters
    ----------
    shared : Shared
        Data and caches.
    settings : FineTune
        How it trains; of progressive sizes the last is measured.
    choices : Choices
        What is trained.
    rounds : int
        How often each is timed.
    steps : int, optional
        Steps of an epoch; by default all.

    Returns
    -------
    PipelineRates
    """
    training = Training(shared, settings, choices, shared.manifest.train, NO_ROWS, shared.seed)
    step, batches, network = training.step_and_batches()
    keras_step = _train_on_batch(choices, settings, network)
    length = batches.steps_per_epoch if steps is None else min(steps, batches.steps_per_epoch)
    held = list(islice(batches.epoch(0, network.size), _HELD))
    for run in (step, keras_step):
        # The first steps trace, the next still warm up.
        _images_per_second(run, held)
    ways: list[Callable[[int], float]] = [
        lambda _: _images_per_second(keras_step, islice(cycle(held), length)),
        lambda _: _images_per_second(step, islice(cycle(held), length)),
        lambda number: _images_per_second(step, islice(batches.epoch(number, network.size), length)),
    ]
    timed: list[list[float]] = []
    for number in range(rounds):
        # Another one begins each round, so that a machine that slows down steadily favours none.
        rates = {way: ways[way](number) for way in sorted(range(3), key=lambda way: (way + number) % 3)}
        timed.append([rates[way] for way in range(3)])
    columns = [median(column) for column in zip(*timed, strict=True)]
    return PipelineRates(columns[0], columns[1], columns[2], median(last / first for first, _, last in timed))


def _train_on_batch(choices: Choices, settings: FineTune, network: Network) -> Callable[[Batch], Any]:
    """Give ``train_on_batch`` of the plain Keras model with the same layers learning."""
    import keras

    from wellai_exp.models import set_trainable

    recipe = settings.recipe(choices)
    trunk = choices.backbone.build()
    set_trainable(trunk, recipe.unfrozen, recipe.freeze_batch_norm)
    model = keras.Model(trunk.inputs[0], keras.layers.Dense(network.n_classes)(trunk.outputs[0]))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    model.compile(keras.optimizers.AdamW(choices.optimizer.learning_rate), loss, jit_compile=network.compiled)
    return lambda batch: model.train_on_batch(batch[0], batch[1], sample_weight=batch[2])


def _images_per_second(run: Callable[[Batch], Any], batches: Iterable[Batch]) -> float:
    import tensorflow as tf

    images, result = 0, None
    start = time.perf_counter()
    for batch in batches:
        result = run(batch)
        images += int(batch[0].shape[0])
    for value in tf.nest.flatten(result):
        # A step on a GPU returns before it is done.
        np.asarray(value)
    return images / (time.perf_counter() - start)
