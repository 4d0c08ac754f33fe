"""What models say of the pictures that cleaning has seen: embeddings, classes, persons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from wellai_exp.cleaning import Looks
from wellai_exp.config import build
from wellai_exp.data import FeatureStore, fit
from wellai_exp.errors import SettingError
from wellai_exp.models import Backbone, LinearHead, PersonModel
from wellai_exp.paths import sha256_of
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.seeding import derive_seed
from wellai_exp.training import out_of_fold, picture_features
from wellai_exp.verbs._numbers import whole_number

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]
# Activations of a batch are most of the memory that a backbone takes.
_BATCH = 16
_RESIZES = ("stretch", "crop", "pad")
# Ten times the usual weight decay: a classifier that claims less finds wrong labels with fewer false alarms.
_HEAD = LinearHead(l2=0.01)
# Partitions of the data into folds: each row's probability is a mean over so many classifiers.
_ROUNDS = 2


@dataclass(frozen=True)
class ModelSettings:
    """What the models are.

    Parameters
    ----------
    backbone : Backbone
        Asked for embeddings.
    resize : {"stretch", "crop", "pad"}
        How a thumbnail is brought to its square.
    folds : int
        Of the classifier on the embeddings, at least 2.
    seed : int
        Of its folds.
    """

    backbone: Backbone
    resize: str = "stretch"
    folds: int = 5
    seed: int = 0

    @classmethod
    def of(cls, cfg: DictConfig) -> ModelSettings:
        """Check what the config says; a missing file of weights is refused now and not after all files are read."""
        backbone: Backbone = build(cfg, "backbone")
        if backbone.pretrained:
            backbone.weights_digest()
        if cfg.resize not in _RESIZES:
            raise SettingError("resize", cfg.resize, "there is no such rule", f"set resize to {', '.join(_RESIZES)}")
        folds = whole_number("folds", cfg.folds, "set folds=5", least=2)
        return cls(backbone, str(cfg.resize), folds, whole_number("seed", cfg.seed, "set seed=0"))


class PictureModels:
    """Asks models about thumbnails; every answer is kept on disk by the content of the file.

    Parameters
    ----------
    looks : Looks
        Of n files.
    labels : sequence of str, length n
        After overrides.
    store : Path
        ``paths.store``.
    settings : ModelSettings
        What is asked.
    """

    def __init__(self, looks: Looks, labels: Sequence[str], store: Path, settings: ModelSettings) -> None:
        self.looks = looks
        self.settings = settings
        self._labels = np.array(labels, dtype=object)
        self._features = FeatureStore(store / "features")
        self._keys = looks.frame["sha256"].tolist()

    @property
    def pretrained(self) -> bool:
        """Whether there are embeddings."""
        return self.settings.backbone.pretrained

    def features(self, rows: IntArray) -> Array:
        """Give embeddings, float32 [k, D]."""
        prepare_tensorflow()

        def pictures(wanted: Sequence[int], size: int) -> Iterator[Image]:
            for start in range(0, len(wanted), _BATCH):
                batch = self.looks.thumbnails([int(rows[place]) for place in wanted[start : start + _BATCH]])
                yield np.stack([fit(picture, size, self.settings.resize) for picture in batch])

        keys = [self._keys[row] for row in rows]
        return picture_features(
            self.settings.backbone, self._features, keys, pictures, f"thumbnails, {self.settings.resize}"
        )

    def probabilities(self, rows: IntArray) -> tuple[tuple[str, ...], Array]:
        """Give classes and out-of-fold probabilities, float32 [k, C]; NaN for classes of fewer rows than folds."""
        names, place, counts = np.unique(self._labels[rows].astype(str), return_inverse=True, return_counts=True)
        enough = np.flatnonzero(counts >= self.settings.folds)
        judged = np.flatnonzero(np.isin(place, enough))
        probabilities = np.full((len(rows), len(enough)), np.nan, np.float32)
        if len(enough) > 1:
            labels = np.searchsorted(enough, place[judged]).astype(np.int64)
            probabilities[judged] = self.out_of_fold(self.features(rows[judged]), labels)
        return tuple(str(names[index]) for index in enough), probabilities

    def out_of_fold(self, features: Array, labels: IntArray) -> Array:
        """Give the probabilities [n, C] of classifiers that have not seen the row, the mean over several partitions."""
        folds, seed = self.settings.folds, self.settings.seed
        found = [
            out_of_fold(_HEAD, features, labels, folds, derive_seed(seed, "round", turn)) for turn in range(_ROUNDS)
        ]
        return np.asarray(np.mean(found, axis=0), np.float32)

    def person_scores(self, model: PersonModel, path: Path, rows: IntArray) -> Array:
        """Give how surely somebody is in view, float32 [k]."""

        def compute(wanted: Sequence[int]) -> Iterator[Array]:
            for start in range(0, len(wanted), _BATCH):
                batch = self.looks.thumbnails([int(rows[place]) for place in wanted[start : start + _BATCH]])
                scores = [model.score(fit(picture, model.size, "pad")) for picture in batch]
                yield np.array(scores, np.float32)[:, None]

        keys = [self._keys[row] for row in rows]
        table = self._features.get(f"person-{sha256_of(path)[:24]}", keys, compute, 1, "looking for persons")
        return np.asarray(table.gather(np.arange(len(rows)))[:, 0], np.float32)
