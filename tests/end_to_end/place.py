"""A small sweep, run once as a user would run it, and what it left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

EXPERIMENT = """# @package _global_
# Question   Does the whole chain hold together?
defaults:
  - override /data: demo
  - override /backbone: mobilenet_v1
  - override /search: tpe
name: tiny
data: {n_images: 150, ratio: 5.0, size: 48}
backbone: {size: 32, alpha: 0.25, weights: random.weights.h5}
split: {folds: 3}
head: {steps: 20}
evidence: {resamples: 100, robustness: 10, explanations: 4}
search:
  n_trials: 6
  space:
    imbalance: choice(none, smote, class_weight, logit_adjustment)
    augmentation: choice(none, flip)
"""


@dataclass(frozen=True)
class Place:
    """A folder where commands are typed."""

    folder: Path

    def type(
        self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``wellai-exp`` to its end."""
        done = subprocess.run(
            self.command(arguments),
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``wellai-exp`` and go on."""
        return subprocess.Popen(
            self.command(arguments), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    @staticmethod
    def command(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "wellai_exp", *arguments]

    @property
    def client(self) -> MlflowClient:
        return client_of(self.folder / "mlruns")

    def runs(self, kind: str, name: str = "tiny", store: str = "mlruns") -> list[Run]:
        client = client_of(self.folder / store)
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], f"tags.`wellai.kind` = '{kind}'", max_results=1000)
        return list(found)


def client_of(store: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{store / 'mlflow.db'}")


def make_place(folder: Path) -> Place:
    """Lay out an experiment of one's own and a weights file for it."""
    import keras

    (folder / "experiments").mkdir(parents=True)
    (folder / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    for weight in network.weights:
        # As Keras draws them, the signal of an untrained network fades from layer to layer until all images look alike.
        if "kernel" in weight.path:
            weight.assign(weight * 6.0)
    network.save_weights(folder / "random.weights.h5")
    return Place(folder)


@pytest.fixture(scope="session")
def new_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Make an empty place, with the libraries' settings quiet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return lambda: make_place(tmp_path_factory.mktemp("place") / "work")


@dataclass(frozen=True)
class Swept:
    """A finished sweep."""

    place: Place
    output: str


@pytest.fixture(scope="session")
def swept(new_place: Callable[[], Place]) -> Swept:
    """Run the tiny sweep."""
    place = new_place()
    return Swept(place, place.type("sweep", "experiment=tiny", "profile=true").stdout)
