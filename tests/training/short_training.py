"""A training that takes seconds, and who follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from wellai_exp.augmentation import Light
from wellai_exp.data import Demo, Split, build_manifest
from wellai_exp.imbalance import NoStrategy
from wellai_exp.models import Application, LinearHead, SmallConvNet
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.training import AdamW, Choices, EpochRecord, FineTune, Shared

CHOICES = Choices(
    SmallConvNet(size=32, width=8), Light(), NoStrategy(), LinearHead(), AdamW(learning_rate=2e-3, average=0.9)
)
SHORT = FineTune(epochs=3, batch_size=16)


class CutOffError(Exception):
    """Stands for a kill after an epoch."""


class Listener:
    """Remembers what it hears, and may end the training after an epoch."""

    def __init__(self, last: int | None = None) -> None:
        self.heard: list[EpochRecord] = []
        self.means: dict[int, Mapping[str, float]] = {}
        self.steps = 0
        self._last = last

    def step(self, done: int, steps: int, loss: float, images_per_second: float) -> None:
        self.steps += 1

    def epoch(self, record: EpochRecord) -> None:
        self.heard.append(record)
        if record.epoch == self._last:
            raise CutOffError

    def folds(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        self.means[done] = metrics
        if done == self._last:
            raise CutOffError


@pytest.fixture(scope="module")
def make_shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shared]:
    """Give the same drawn figures with a store of their own each time."""
    prepare_tensorflow()
    root = tmp_path_factory.mktemp("drawn")
    source = Demo(root=root / "images", n_images=120, ratio=3.0, size=32, name="drawn")
    manifest = build_manifest(source, Split(folds=3, near_duplicates=False), root / "store")
    return lambda: Shared(manifest, tmp_path_factory.mktemp("store"), seed=0)


def pretrained(folder: Path) -> Application:
    import keras

    weights = folder / "random.weights.h5"
    network = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    for weight in network.weights:
        # As Keras draws them, the signal of an untrained network fades from layer to layer until all images look alike.
        if "kernel" in weight.path:
            weight.assign(weight * 6.0)
    network.save_weights(weights)
    return Application("MobileNet", size=32, alpha=0.25, weights=str(weights))
