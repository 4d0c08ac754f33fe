"""What all trials on one data set share: rows, features, pixels and traced networks."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.data import FeatureStore, Manifest, PixelStore
from wellai_exp.ledger import spent
from wellai_exp.metrics import Scorer
from wellai_exp.training._features import BackboneFeatures
from wellai_exp.training._results import Rows

NETWORKS_HELD = 6


class Shared:
    """The data of a sweep and everything worth keeping between its trials.

    Parameters
    ----------
    manifest : Manifest
        The data, split.
    store : Path
        The folder of the caches.
    seed : int
        The experiment's seed; every trial of a sweep has the same, so that trials differ by their choices alone.
    memory_share : float
        Of the memory that the settings allow; less than 1 where several processes share it.
    """

    def __init__(self, manifest: Manifest, store: Path, seed: int, memory_share: float = 1.0) -> None:
        self.manifest = manifest
        self.store = store
        self.seed = seed
        self._memory_share = memory_share
        self._features: dict[str, BackboneFeatures] = {}
        self._pixels: dict[tuple[int, str], Any] = {}
        self._networks: OrderedDict[Any, Any] = OrderedDict()

    @property
    def n_classes(self) -> int:
        """C."""
        return len(self.manifest.classes)

    @property
    def levels(self) -> Sequence[Rows]:
        """The class's ancestors at each level, coarse to fine; empty where the data have none."""
        return self.manifest.levels

    @spent("evaluate")
    def scores(self, rows: Rows, probabilities: npt.ArrayLike) -> dict[str, float]:
        """Score predictions [len(rows), C] of some rows with everything that a trial reports."""
        manifest = self.manifest
        support = manifest.counts["train"].to_numpy()
        scorer = Scorer(manifest.labels[rows], probabilities, train_support=support, parents=manifest.hierarchy)
        return scorer.scores()

    @property
    def features_computed(self) -> int:
        """How many images' features were computed and not found on disk."""
        return sum(features.computed for features in self._features.values())

    def features(self, resize: str, memory_gb: float) -> BackboneFeatures:
        """Give the features of images brought to a square in this way."""
        if resize not in self._features:
            store = FeatureStore(self.store / "features")
            self._features[resize] = BackboneFeatures(self.manifest, store, resize, memory_gb * self._memory_share)
        return self._features[resize]

    def pixels(self, size: int, resize: str) -> Any:
        """Give the decoded images of all rows at this size, on disk, uint8 [n, size, size, 3]."""
        if (size, resize) not in self._pixels:
            keys = [str(key) for key in self.manifest.frame["sha256"]]
            store = PixelStore(self.store / "pixels")
            with spent("decode"):
                self._pixels[size, resize] = store.get(self.manifest.files(), keys, size, resize)
        return self._pixels[size, resize]

    def network(self, key: Any, make: Callable[[], Any]) -> Any:
        """Give a traced network of an earlier trial, or make it: tracing alone takes seconds.

        The caller sets every weight and the optimiser's state, so a used one is as good as a new one.
        """
        if key not in self._networks:
            self._networks[key] = make()
            while len(self._networks) > NETWORKS_HELD:
                self._networks.popitem(last=False)
        self._networks.move_to_end(key)
        return self._networks[key]

    def rows_digest(self, rows: Rows) -> str:
        """Hash the images and labels of some rows, in an order of its own."""
        frame = self.manifest.frame.iloc[np.asarray(rows)]
        pairs = sorted(zip(frame["sha256"].astype(str), frame["label"].astype(str), strict=True))
        return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
