"""What TensorFlow's settings are worth on this machine: precision, oneDNN, threads a worker, batch size."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from statistics import median

import numpy as np

from wellai_exp.errors import WellaiError
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.training._features import streamed
from wellai_exp.training._network import Network, Recipe

WORK = ("features", "training")
_WARM_UP = 2
# Batches that a run of features takes one after another, as extraction does with any number of them.
_BATCHES = 4


@dataclass(frozen=True)
class MachineSetting:
    """How networks run.

    Parameters
    ----------
    precision : str
        Keras' dtype policy.
    onednn : bool
        Whether TensorFlow takes oneDNN's kernels.
    workers : int
        Processes that work at the same time.
    threads : int
        Of each, that one operation may use.
    batch_size : int
        Images a step.
    """

    precision: str = "float32"
    onednn: bool = True
    workers: int = 1
    threads: int = 1
    batch_size: int = 32


@dataclass
class MachineRates:
    """Images a second of one setting, of all its workers together.

    Parameters
    ----------
    setting : MachineSetting
        The setting.
    rounds : dict of str to list of float
        ``features`` (the network alone, forwards, batches under way together as in extraction) and ``training`` (whole
        steps), a figure a round.
    """

    setting: MachineSetting
    rounds: dict[str, list[float]] = field(default_factory=lambda: {work: [] for work in WORK})

    def rate(self, work: str) -> float:
        """Give the median of the rounds."""
        return median(self.rounds[work])

    def gain(self, other: MachineRates, work: str) -> float:
        """Give by what factor it is faster than another: the median over the rounds, whose drift both share."""
        return median(own / its for own, its in zip(self.rounds[work], other.rounds[work], strict=True))


def settings_around(usual: MachineSetting, cores: int) -> list[MachineSetting]:
    """Give the usual setting and those that differ from it in one thing; threads are shared out among workers."""
    batches = [replace(usual, batch_size=size) for size in (8, 16, 32, 64, 128) if size != usual.batch_size]
    shared = [replace(usual, workers=n, threads=cores // n) for n in (2, 4, 8, 16) if n <= cores]
    alone = [replace(usual, threads=1)] if usual.threads > 1 else []
    return [
        usual,
        replace(usual, precision="mixed_bfloat16"),
        replace(usual, onednn=False),
        *alone,
        *shared,
        *batches,
    ]


def measure_machine(
    recipe: Recipe,
    n_classes: int,
    settings: Sequence[MachineSetting],
    *,
    rounds: int = 3,
    seconds: float = 2.0,
    say: Callable[[str], None] = lambda text: None,
) -> list[MachineRates]:
    """Run one network in a process of its own for each setting, all of them in turn in each round.

    Parameters
    ----------
    recipe : Recipe
        The network and how it learns; its precision is that of each setting.
    n_classes : int
        C.
    settings : sequence of MachineSetting
        What is compared.
    rounds : int
        How often each is timed.
    seconds : float
        How long each is timed in a round, at least.
    say : callable
        Hears what is done.

    Returns
    -------
    list of MachineRates
        In the order of `settings`.

    Raises
    ------
    WellaiError
        Where a setting's process ends before its figures are there.
    """
    found = [MachineRates(setting) for setting in settings]
    with ExitStack() as stack:
        crews = []
        for number, setting in enumerate(settings, start=1):
            say(f"starting {number} of {len(settings)}")
            # One after another: tracing all at once would fill the memory's bandwidth and more.
            crews.append([stack.enter_context(_Worker(recipe, n_classes, setting)) for _ in range(setting.workers)])
            for worker in crews[-1]:
                worker.hear()
        for number in range(rounds):
            for rates, crew in zip(found, crews, strict=True):
                for work in WORK:
                    say(f"round {number + 1} of {rounds}, {work}, {len(crew)} x {rates.setting.threads} threads")
                    for worker in crew:
                        worker.tell((work, seconds))
                    rates.rounds[work].append(sum(worker.hear() for worker in crew))
    return found


class _Worker:
    """A process that holds one network and times it when told to."""

    def __init__(self, recipe: Recipe, n_classes: int, setting: MachineSetting) -> None:
        # Spawned: TensorFlow reads these settings when it starts, and a fork would bring a started one along.
        spawn = multiprocessing.get_context("spawn")
        self._setting = setting
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(theirs, recipe, n_classes, setting), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._process.terminate()
        self._process.join()

    def tell(self, order: tuple[str, float]) -> None:
        """Give it something to time."""
        self._ours.send(order)

    def hear(self) -> float:
        """Wait for its answer."""
        try:
            answer = self._ours.recv()
        except (EOFError, ConnectionResetError):
            answer = f"its process ended (exit status {self._process.exitcode})"
        if isinstance(answer, str):
            raise WellaiError(f"The machine cannot be measured with {self._setting}: {answer}.")
        return float(answer)


def _work(pipe: Connection, recipe: Recipe, n_classes: int, setting: MachineSetting) -> None:
    """Time what is asked for, until nobody asks any more."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = str(int(setting.onednn))
    for pool in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[pool] = str(setting.threads)
    try:
        runs = _runs(replace(recipe, precision=setting.precision), n_classes, setting.batch_size)
        pipe.send(0.0)
        while True:
            work, seconds = pipe.recv()
            pipe.send(_images_per_second(runs[work], seconds))
    except EOFError:
        return
    except (
        Exception
    ) as error:  # TensorFlow raises kinds of its own, and whoever asked is to know why there is no figure
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _runs(recipe: Recipe, n_classes: int, batch_size: int) -> dict[str, Callable[[], int]]:
    """Give what can be timed, warm; each says how many images it went through."""
    prepare_tensorflow()
    import tensorflow as tf

    size = recipe.backbone.size
    network = Network(recipe, size, n_classes, 0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, size, size, 3)).astype(np.uint8)
    labels = rng.integers(0, n_classes, batch_size)
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    batch = tf.constant(images, tf.float32), tf.constant(targets), tf.ones(batch_size)
    prior = np.full((1, n_classes), 1.0 / n_classes, np.float32)

    def features() -> int:
        return sum(map(len, streamed(network.features, [images] * _BATCHES)))

    def training() -> int:
        float(network.step(batch, prior, recipe.optimizer.learning_rate, (0, 0)))
        return batch_size

    runs = {"features": features, "training": training}
    for run in runs.values():
        for _ in range(_WARM_UP):
            run()
    return runs


def _images_per_second(run: Callable[[], int], seconds: float) -> float:
    images, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        images += run()
    return images / passed
