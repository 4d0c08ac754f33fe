"""What models say of the pictures that cleaning has seen: embeddings, classes, persons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning import Looks
from wellai_exp.data import FeatureStore, fit
from wellai_exp.models import Backbone, LinearHead, PersonModel
from wellai_exp.paths import sha256_of
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.training import out_of_fold, picture_features

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]
_BATCH = 64


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
    backbone : Backbone
        Asked for embeddings.
    resize : {"stretch", "crop", "pad"}
        How a thumbnail is brought to its square.
    folds, seed : int
        Of the classifier.
    """

    def __init__(
        self,
        looks: Looks,
        labels: Sequence[str],
        store: Path,
        backbone: Backbone,
        resize: str,
        folds: int,
        seed: int,
    ) -> None:
        self._looks = looks
        self._labels = np.array(labels, dtype=object)
        self._features = FeatureStore(store / "features")
        self._backbone = backbone
        self._resize = resize
        self._folds = folds
        self._seed = seed
        self._keys = looks.frame["sha256"].tolist()

    def features(self, rows: IntArray) -> Array:
        """Give embeddings, float32 [k, D]."""
        prepare_tensorflow()

        def pictures(wanted: Sequence[int], size: int) -> Iterator[Image]:
            for start in range(0, len(wanted), _BATCH):
                batch = self._looks.thumbnails([int(rows[place]) for place in wanted[start : start + _BATCH]])
                yield np.stack([fit(picture, size, self._resize) for picture in batch])

        keys = [self._keys[row] for row in rows]
        return picture_features(self._backbone, self._features, keys, pictures, f"thumbnails, {self._resize}")

    def probabilities(self, rows: IntArray) -> tuple[tuple[str, ...], Array]:
        """Give classes and out-of-fold probabilities, float32 [k, C]; NaN for classes of fewer rows than folds."""
        names, place, counts = np.unique(self._labels[rows].astype(str), return_inverse=True, return_counts=True)
        enough = np.flatnonzero(counts >= self._folds)
        judged = np.flatnonzero(np.isin(place, enough))
        probabilities = np.full((len(rows), len(enough)), np.nan, np.float32)
        if len(enough) > 1:
            labels = np.searchsorted(enough, place[judged]).astype(np.int64)
            features = self.features(rows[judged])
            probabilities[judged] = out_of_fold(LinearHead(), features, labels, self._folds, self._seed)
        return tuple(str(names[index]) for index in enough), probabilities

    def person_scores(self, model: PersonModel, path: Path, rows: IntArray) -> Array:
        """Give how surely somebody is in view, float32 [k]."""

        def compute(wanted: Sequence[int]) -> Iterator[Array]:
            for start in range(0, len(wanted), _BATCH):
                batch = self._looks.thumbnails([int(rows[place]) for place in wanted[start : start + _BATCH]])
                scores = [model.score(fit(picture, model.size, "pad")) for picture in batch]
                yield np.array(scores, np.float32)[:, None]

        keys = [self._keys[row] for row in rows]
        table = self._features.get(f"person-{sha256_of(path)[:24]}", keys, compute, 1, "looking for persons")
        return np.asarray(table.gather(np.arange(len(rows)))[:, 0], np.float32)
