"""What a probe spends its time on, beside what this machine could do: features, and the heads that learn from them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from wellai_exp.augmentation import NoAugmentation
from wellai_exp.data import FeatureStore, ImageReader
from wellai_exp.imbalance import NoStrategy
from wellai_exp.models import Backbone, LinearHead
from wellai_exp.seeding import generator
from wellai_exp.training._features import BackboneFeatures, batch_size, one_function
from wellai_exp.training._fold_rows import SharedRows
from wellai_exp.training._shared import Shared
from wellai_exp.training._solver import solve

_HELD = 8
_MATRIX = 2048


@dataclass(frozen=True)
class ExtractionRates:
    """Images a second.

    Parameters
    ----------
    forward : float
        Of the bare network, as Keras builds it, on batches in memory; median of the rounds.
    extraction : float
        From files to features in the store, decoding and writing included; median of the rounds.
    share : float
        The second over the first; median of the rounds' own ratios, which a machine's drift leaves alone.
    decoding : dict of int to float
        Of decoding and resizing alone, by threads.
    """

    forward: float
    extraction: float
    share: float
    decoding: dict[int, float]


@dataclass(frozen=True)
class SolverRate:
    """How long the heads of all folds take, and the least that their matrix products could.

    Parameters
    ----------
    seconds : float
        Of one fit of all folds, once TensorFlow has its code; median of the rounds.
    operations : float
        Floating-point operations of its matrix products.
    matrix_rate : float
        Operations a second of this machine in the product of two large float32 matrices; median of the rounds.
    ratio : float
        Seconds over the least possible, median of the rounds' own ratios.
    """

    seconds: float
    operations: float
    matrix_rate: float
    ratio: float


def measure_extraction(shared: Shared, backbone: Backbone, resize: str, *, rounds: int = 3) -> ExtractionRates:
    """Take the features of all images, into an empty store each time, and run the bare network as often, in turn.

    Parameters
    ----------
    shared : Shared
        Data; its own store is left alone.
    backbone : Backbone
        With its weights; a fusion gives the rates of its first member.
    resize : {"stretch", "crop", "pad"}
        How an image is brought to a square.
    rounds : int
        How often each is timed.

    Returns
    -------
    ExtractionRates
    """
    manifest, member = shared.manifest, backbone.members[0]
    rows = np.arange(len(manifest.frame), dtype=np.int64)
    forward = one_function(member.build())
    held = list(islice(ImageReader(manifest.files(rows), member.size, resize, batch_size=batch_size()), _HELD))

    def bare() -> None:
        for images in _as_many(held, len(rows)):
            np.asarray(forward(images), np.float32)

    def extract() -> None:
        with TemporaryDirectory(dir=shared.store, prefix="benchmark-") as folder:
            store = FeatureStore(Path(folder), progress=False)
            BackboneFeatures(manifest, store, resize, 4.0).rows(member, NoAugmentation(), 0, rows, rows)

    extract()
    timed = [(_seconds(bare), _seconds(extract)) for _ in range(rounds)]
    decoding = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        reader = ImageReader(manifest.files(rows), member.size, resize, batch_size=batch_size(), threads=threads)
        decoding[threads] = len(rows) / _seconds(partial(_drain, reader))
    return ExtractionRates(
        len(rows) / median(first for first, _ in timed),
        len(rows) / median(second for _, second in timed),
        median(first / second for first, second in timed),
        decoding,
    )


def measure_solver(folds: int, rows: int, dim: int, n_classes: int, seed: int, *, rounds: int = 3) -> SolverRate:
    """Fit linear heads on drawn features that folds share, and multiply large matrices, in turn.

    Parameters
    ----------
    folds, rows, dim, n_classes : int
        F, the training rows of all folds, of which each leaves out one in F, D, C.
    seed : int
        Of the features.
    rounds : int
        How often each is timed.

    Returns
    -------
    SolverRate
    """
    import tensorflow as tf

    rng, head = generator(seed, "solver"), LinearHead()
    features = rng.normal(size=(rows, dim)).astype(np.float32)
    labels = rng.integers(0, n_classes, rows)
    data = SharedRows.of(head.scaling, features, labels, np.arange(rows) % folds)
    # A step has two products with the features: the logits, and the gradient of the class vectors.
    operations = 2 * 2.0 * (folds - 1) * rows * dim * n_classes * head.steps
    one = tf.constant(rng.normal(size=(_MATRIX, _MATRIX)).astype(np.float32))
    multiplied = 20

    def multiply() -> None:
        for _ in range(multiplied):
            product = tf.linalg.matmul(one, one)
        product.numpy()

    def fit() -> None:
        solve(head, NoStrategy(), NoAugmentation(), data, n_classes, seed)

    multiply()
    fit()
    timed = [(_seconds(multiply), _seconds(fit)) for _ in range(rounds)]
    rates = [multiplied * 2.0 * _MATRIX**3 / first for first, _ in timed]
    return SolverRate(
        median(second for _, second in timed),
        operations,
        median(rates),
        median(second * rate / operations for rate, (_, second) in zip(rates, timed, strict=True)),
    )


def _as_many(held: list[np.ndarray], images: int) -> Iterable[np.ndarray]:
    """Give batches in memory, over and over, until there are this many images."""
    for batch in cycle(held):
        if images <= 0:
            return
        yield batch[:images]
        images -= len(batch)


def _drain(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
