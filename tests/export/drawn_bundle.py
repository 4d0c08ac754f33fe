"""A small bundle for tests: a real network in real files, sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wellai_exp.export import Artifact, Bundle, Served, seal_bundle, target_named, write_saved_model

CLASSES = ("blue", "나무 [I]", "red")
SIZE = 32


def network(strength: float = 40.0) -> Any:
    """Give a network that answers with the colour that is strongest in a picture."""
    import keras
    import numpy as np

    image = keras.Input((SIZE, SIZE, 3), name="image")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    mean = keras.layers.GlobalAveragePooling2D()(scaled)
    answer = keras.layers.Dense(3, activation="softmax", name="probabilities")
    model = keras.Model(image, answer(mean), name="colours")
    # Red, green and blue of a pixel speak for the classes in the order of their names.
    answer.set_weights([strength * np.eye(3)[::-1], np.zeros(3)])
    return model


def make_bundle(folder: Path, targets: tuple[str, ...] = ("tflite_float32",)) -> Bundle:
    """Write a bundle into a new folder; what is sure of its three classes is at least 0.5, anything, at least 0.9."""
    artifacts = []
    served = folder.parent / f"{folder.name}-served"
    write_saved_model(network(), served)
    for name in targets:
        target = target_named(name)
        path = folder / target.path()
        path.parent.mkdir(parents=True, exist_ok=True)
        size_mb = target.write(Served(served, "colours", SIZE), path)
        parity = {"keras": {"largest": 1e-7}}
        artifacts.append(Artifact(name, target.format, target.path(), SIZE, size_mb, True, parity=parity))
    bundle = Bundle(
        folder, "colours", 2, "ab" * 32, CLASSES, {}, (0.5, None, 0.9), SIZE, "crop", tuple(artifacts),
        "2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    seal_bundle(bundle)
    return bundle


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle that is only read."""
    folder = tmp_path_factory.mktemp("bundles") / "colours"
    make_bundle(folder)
    return folder
