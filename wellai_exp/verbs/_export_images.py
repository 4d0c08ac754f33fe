"""The photographs by which an export is calibrated and checked: the model's own data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wellai_exp.data import ImageReader, Manifest, kept_manifest
from wellai_exp.errors import WellaiError
from wellai_exp.seeding import generator
from wellai_exp.tracking import ModelRef

IntArray = npt.NDArray[np.int64]


class ExportImages:
    """Images of the data that a model was trained on, at any size.

    Parameters
    ----------
    ref : ModelRef
        The model.
    store : Path
        Holds the manifest of its data.
    seed : int
        Decides which images.
    """

    def __init__(self, ref: ModelRef, store: Path, seed: int) -> None:
        self._resize = str(ref.metadata.get("resize", "stretch"))
        self._seed = seed
        self._ref = ref
        self.manifest, self.problem = _manifest(ref, store)

    def parents(self) -> dict[str, tuple[str, ...]]:
        """Give the parent of each of the model's classes at each level, where the data know them."""
        if self.manifest is None:
            return {}
        place = {name: index for index, name in enumerate(self.manifest.classes)}
        rows = [place[name] for name in self._ref.class_names]
        return {level: tuple(str(parent) for parent in ids[rows]) for level, ids in self.manifest.hierarchy.items()}

    def chosen(self, part: str, n: int) -> tuple[IntArray, IntArray, IntArray]:
        """Give rows of the manifest, with the model's class and the near-duplicate group of each.

        Classes give in turn, so that a rare one gives all it has before a common one gives more.

        Parameters
        ----------
        part : {"train", "test"}
            Of the data.
        n : int
            How many; all where there are fewer.
        """
        if self.manifest is None:
            raise WellaiError(self.problem)
        rows = self.manifest.test if part == "test" else self.manifest.train
        rows = generator(self._seed, "export", part).permutation(rows)
        labels = self.manifest.labels[rows]
        turn = np.empty(len(rows), np.int64)
        for label in np.unique(labels):
            mine = np.flatnonzero(labels == label)
            turn[mine] = np.arange(len(mine))
        picked = np.sort(rows[np.argsort(turn, kind="stable")[:n]])
        place = {name: index for index, name in enumerate(self._ref.class_names)}
        classes = np.array([place[self.manifest.classes[label]] for label in self.manifest.labels[picked]], np.int64)
        return picked, classes, self.manifest.frame["group"].to_numpy(np.int64)[picked]

    def read(self, rows: IntArray, size: int) -> npt.NDArray[np.uint8]:
        """Read rows as the model is fed, uint8 ``(n, size, size, 3)``."""
        if self.manifest is None:
            raise WellaiError(self.problem)
        return np.concatenate(list(ImageReader(self.manifest.files(rows), size, self._resize)))


def _manifest(ref: ModelRef, store: Path) -> tuple[Manifest | None, str]:
    """Read the manifest of a model's data; or say in a clause why not."""
    digest = str(ref.metadata.get("data_digest", ""))
    if not digest:
        return None, "the model does not name the data that it was trained on"
    try:
        manifest = kept_manifest(store, digest)
    except WellaiError as error:
        return None, str(error).rstrip(".")
    if unknown := sorted(set(manifest.classes) ^ set(ref.class_names)):
        return None, f"its data and the model have other classes, e.g. {unknown[0]!r}"
    gone = next((path for path in manifest.files(manifest.test) if not path.is_file()), None)
    if gone is not None:
        return None, f"the test image {gone} is gone"
    return manifest, ""
