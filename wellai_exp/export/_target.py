"""The base class of every format that a model is shipped in: it validates, its subclasses write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError, StoreError, TrialFailed, WellaiError

MEGABYTE = 1e6


@dataclass(frozen=True)
class Served:
    """A network as a SavedModel, from which every target is made; see `write_saved_model`.

    Parameters
    ----------
    folder : Path
        The SavedModel.
    name : str
        How sentences call the network.
    size : int
        Side of its input, in pixels.
    photographs : callable or None
        Gives so many training images, uint8 ``(n, size, size, 3)``, or all where there are fewer, by which a target in
        whole numbers chooses its ranges; None where there are none.
    """

    folder: Path
    name: str
    size: int
    photographs: Callable[[int], npt.NDArray[np.uint8]] | None = None


@dataclass(frozen=True)
class Target(ABC):
    """One format, made from the SavedModel; a frozen value.

    Notes
    -----
    A subclass names its `format` and `weights` and overrides `_write`.
    """

    format: ClassVar[str]
    """As in `Artifact`."""
    exact: ClassVar[tuple[str, ...]] = ("float32",)
    """Kinds of weights of which Keras's own numbers are expected."""
    kinds: ClassVar[tuple[str, ...]] = ("float32",)

    weights: str = "float32"

    def __post_init__(self) -> None:
        if self.weights not in self.kinds:
            raise SettingError(
                f"target.{self.format}.weights",
                self.weights,
                "there are no such weights",
                f"choose one of {', '.join(self.kinds)}",
            )

    @property
    def name(self) -> str:
        """As its file in ``conf/target`` is called."""
        return f"{self.format}_{self.weights}"

    def path(self, size: int | None = None) -> str:
        """Give where it lies in a bundle, relative, with ``/``.

        Parameters
        ----------
        size : int or None
            Side in pixels, where it is not the model's own.
        """
        return f"{self.format}/{self.weights}" + ("" if size is None else f"-{size}")

    def write(self, served: Served, path: Path) -> float:
        """Write the file or folder.

        Parameters
        ----------
        served : Served
            The network.
        path : Path
            What does not exist yet, in a folder that may not exist either.

        Returns
        -------
        float
            Its size in 10⁶ bytes.

        Raises
        ------
        TrialFailed
            Where this network cannot be written so.
        StoreError
            Where the disk does not take it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._write(served, path)
        except (TrialFailed, WellaiError):
            raise
        except OSError as error:
            if error.errno is None:
                raise self._failed(served, error) from error
            raise StoreError(
                f"{path} cannot be written ({error.strerror}); free the disk or the folder and type the same command."
            ) from error
        except Exception as error:  # converters raise various kinds of their own
            raise self._failed(served, error) from error
        return size_mb(path)

    def _failed(self, served: Served, error: Exception) -> TrialFailed:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return TrialFailed(f"{served.name} cannot be written as {self.name} ({said})")

    @abstractmethod
    def _write(self, served: Served, path: Path) -> None:
        """Write, without a check."""


def size_mb(path: Path) -> float:
    """Give the size of a file, or of all files in a folder, in 10⁶ bytes."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / MEGABYTE
