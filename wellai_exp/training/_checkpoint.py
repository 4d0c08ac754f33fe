"""Where a training stands after each epoch, kept so that a killed one goes on from there."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.paths import sealed, sha256_of, unsealed, write_whole

Arrays = list[npt.NDArray[Any]]
CARD = "checkpoint.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave.

    Parameters
    ----------
    epoch : int
        From 1.
    epochs : int
        How many were planned.
    metrics : dict of str to float
        On the validation images, with the averaged weights; empty where there are none.
    loss : float
        Mean training loss.
    learning_rate : float
        At the epoch's end.
    images_per_second : float
        Training images, validation left out.
    seconds : float
        Of training and validation.
    size : int
        Side of the training images, pixels.
    """

    epoch: int
    epochs: int
    metrics: dict[str, float]
    loss: float
    learning_rate: float
    images_per_second: float
    seconds: float
    size: int


@dataclass(frozen=True)
class Standing:
    """Everything that the next epoch depends on.

    Parameters
    ----------
    arrays : list of numpy.ndarray
        The network's weights, the head's, and the optimiser's state.
    records : tuple of EpochRecord
        The epochs done.
    best : int
        The epoch with the best validation value, from 1; 0 where none was validated.
    chosen : list of numpy.ndarray
        The averaged weights of that epoch; empty where the last epoch is the one to use.
    losses : tuple of float
        One for each step of an epoch that was begun and not finished; `arrays` are the weights after them.
    weights : str
        SHA-256 of the file that a finished training keeps its backbone in; empty before.
    """

    arrays: Arrays
    records: tuple[EpochRecord, ...] = ()
    best: int = 0
    chosen: Arrays = field(default_factory=list)
    losses: tuple[float, ...] = ()
    weights: str = ""


class Checkpoint:
    """One training's checkpoint on disk: an archive of arrays, and a sealed card with its hash.

    The archive is written beside and renamed, then the card; the archive before it is removed last. A kill at any
    point leaves a card whose archive is whole.

    Parameters
    ----------
    folder : Path
        The training's own folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, standing: Standing) -> None:
        """Write it; the one before stays until this one is whole."""
        steps = f"-{len(standing.losses):06d}" if standing.losses else ""
        archive = self.folder / f"epoch-{len(standing.records):04d}{steps}.npz"
        with write_whole(archive) as path, path.open("wb") as handle:
            np.savez(
                handle, allow_pickle=False, **{**_named("array", standing.arrays), **_named("chosen", standing.chosen)}
            )
        card = {
            "training": self.folder.name,
            "archive": archive.name,
            "sha256": sha256_of(archive),
            "records": [asdict(record) for record in standing.records],
            "best": standing.best,
            "losses": standing.losses,
            "weights": standing.weights,
        }
        with write_whole(self.folder / CARD) as path:
            path.write_text(json.dumps(sealed(card), indent=1), encoding="utf-8")
        for old in self.folder.glob("epoch-*.npz"):
            if old != archive:
                old.unlink(missing_ok=True)

    def load(self) -> Standing | None:
        """Read it; None where there is none, or where it is damaged, which is said."""
        card = self.folder / CARD
        if not card.exists():
            return None
        try:
            known = unsealed(json.loads(card.read_text(encoding="utf-8")))
            if known["training"] != self.folder.name:
                raise ValueError(f"it is of the training {known['training']}")
            archive = self.folder / str(known["archive"])
            # Arrays with a flipped bit load without complaint; only the hash can tell.
            if sha256_of(archive) != known["sha256"]:
                raise ValueError("its hash differs")
            with np.load(archive, allow_pickle=False) as arrays:
                held = {name: arrays[name] for name in arrays.files}
            records = tuple(EpochRecord(**record) for record in known["records"])
            losses = tuple(float(loss) for loss in known["losses"])
            best, chosen = int(known["best"]), _listed("chosen", held)
            return Standing(_listed("array", held), records, best, chosen, losses, str(known["weights"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("The checkpoint in %s is damaged (%s); the training begins anew.", self.folder, error)
            return None


def _named(name: str, arrays: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}-{index:05d}": array for index, array in enumerate(arrays)}


def _listed(name: str, held: dict[str, npt.NDArray[Any]]) -> Arrays:
    return [held[key] for key in sorted(held) if key.startswith(f"{name}-")]
