"""What runs a network where it is used: the base class of every runtime."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

from wellai_exp.errors import SettingError, TrialFailed, WellaiError
from wellai_exp.export._graph import write_saved_model
from wellai_exp.export._opened import Array, Opened
from wellai_exp.export._target import Served
from wellai_exp.export._targets import target_named
from wellai_exp.runtime import cores

_PARITY_FRAMES = 3
# Other kernels sum in another order, which moves float32 results by about 1e-5 of their size; a wrong graph moves them
# by far more.
_TOLERANCE = 1e-3


def random_frames(size: int, n: int) -> Array:
    """Give `n` frames of whole pixel values 0 to 255, float32 of shape ``(n, 1, size, size, 3)``; always the same."""
    return np.random.default_rng(0).integers(0, 256, (n, 1, size, size, 3)).astype(np.float32)


@dataclass(frozen=True)
class Loaded:
    """A network in its runtime; a context manager.

    Parameters
    ----------
    classify : callable
        Maps one frame, float32 of shape ``(1, size, size, 3)`` with pixels 0 to 255, to the network's output, float32
        of shape ``(1, c)``.
    size_mb : float
        What would be shipped, in 10⁶ bytes.
    time_frame : callable
        Gives the milliseconds that one such frame takes in the runtime.
    close : callable
        Frees what it holds.
    """

    classify: Callable[[Array], Array]
    size_mb: float
    time_frame: Callable[[Array], float]
    close: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Runtime(ABC):
    """What runs a network; a frozen value.

    Parameters
    ----------
    threads : int or None
        How many threads compute one frame, at least 1; None for one a core.

    Raises
    ------
    SettingError
        Where `threads` is no such number.

    Notes
    -----
    A subclass names `name`, `format` and `target`, and overrides `_open`.
    """

    name: ClassVar[str]
    """As its file in ``conf/runtime`` is called."""
    format: ClassVar[str]
    """The format of the artifacts that it reads, as in `Artifact`."""
    target: ClassVar[str]
    """The target in which a network is shipped for it where nothing says otherwise."""

    threads: int | None = 1

    def __post_init__(self) -> None:
        wanted: object = self.threads
        if wanted is not None and (isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1):
            raise SettingError(
                "runtime.threads", wanted, "it must be a whole number, at least 1, or null", "set runtime.threads=1"
            )

    @property
    def n_threads(self) -> int:
        """How many threads compute one frame on this machine."""
        return self.threads or cores()

    def prepare(self) -> None:
        """Set what cannot be set later, for the whole process.

        Call it before TensorFlow starts, and only in a process that has nothing to do but to measure.

        Raises
        ------
        SettingError
            Where this process cannot have `threads`.
        """
        self._check_threads()

    def open(self, path: Path, size: int) -> Opened:
        """Open an artifact.

        Parameters
        ----------
        path : Path
            A file or folder of this runtime's `format`; it stays in place until the artifact is closed.
        size : int
            Side of its input, in pixels.

        Raises
        ------
        SettingError
            Where this process cannot have `threads`.
        TrialFailed
            Where the runtime cannot open it.
        """
        self._check_threads()
        try:
            return self._open(path, size)
        except (TrialFailed, WellaiError):
            raise
        except Exception as error:  # every runtime raises kinds of its own
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise TrialFailed(f"{self.name} cannot open {path.name} ({said})") from error

    def load(self, model: Any) -> Loaded:
        """Bring a network into this runtime, and make sure that it still gives the same.

        Parameters
        ----------
        model : keras.Model
            From images ``(n, size, size, 3)``, pixels 0 to 255, to float32 ``(n, c)``.

        Returns
        -------
        Loaded
            To be closed.

        Raises
        ------
        SettingError
            Where this process cannot have `threads`.
        TrialFailed
            Where the network cannot be converted, or gives something else than in Keras.
        """
        self._check_threads()
        with ExitStack() as stack:
            opened, size_mb = self._converted(model, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            stack.callback(opened.close)
            self._compare(model, opened)
            return Loaded(opened.classify_frame, size_mb, opened.time_frame, stack.pop_all().close)

    def _converted(self, model: Any, folder: Path) -> tuple[Opened, float]:
        """Write the network into a folder as this runtime's target, open it, and give what it weighs in 10⁶ bytes."""
        size = int(model.input_shape[1])
        target = target_named(self.target)
        write_saved_model(model, folder / "served")
        path = folder / target.path()
        size_mb = target.write(Served(folder / "served", model.name, size), path)
        return self.open(path, size), size_mb

    def _compare(self, model: Any, opened: Opened) -> None:
        frames = random_frames(model.input_shape[1], _PARITY_FRAMES)
        expected = [np.asarray(model(frame, training=False)) for frame in frames]
        largest = max(np.abs(each).max() for each in expected)
        difference = max(
            np.abs(opened.classify_frame(frame) - each).max() for frame, each in zip(frames, expected, strict=True)
        )
        # Written so that NaN is refused as well.
        if not difference <= _TOLERANCE * largest:
            raise TrialFailed(
                f"in {self.name} {model.name} differs from Keras by {difference:.3g} in outputs up to {largest:.3g}"
            )

    def _check_threads(self) -> None:
        """Refuse threads that this process cannot have."""
        if self.n_threads > cores():
            raise SettingError(
                "runtime.threads",
                self.threads,
                f"this process may use {cores()} cores",
                f"set runtime.threads to at most {cores()}",
            )

    @abstractmethod
    def _open(self, path: Path, size: int) -> Opened:
        """Open, without a check."""
