"""A network that runs: images in, probabilities out, until it is closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wellai_exp import stopping
from wellai_exp.errors import DataError

Array = npt.NDArray[np.float32]


class Opened:
    """An artifact in its runtime; a context manager.

    Parameters
    ----------
    size : int
        Side of its input, in pixels.
    classify_frame : callable
        Maps one frame, float32 ``(1, size, size, 3)`` with pixels 0 to 255, to float32 ``(1, c)``.
    close : callable, optional
        Frees what it holds; called once.
    """

    def __init__(
        self, size: int, classify_frame: Callable[[Array], Array], close: Callable[[], object] | None = None
    ) -> None:
        self.size = size
        self._frame = classify_frame
        self._close = close

    def classify(self, images: npt.NDArray[Any]) -> Array:
        """Give the probabilities of images, which are computed one frame at a time.

        Parameters
        ----------
        images : ndarray, uint8 or float32, shape (n, size, size, 3)
            RGB, pixels 0 to 255; n is at least 1.

        Returns
        -------
        ndarray of float32, shape (n, c)

        Raises
        ------
        DataError
            Where the shape is another.
        """
        return self.timed(images)[0]

    def timed(self, images: npt.NDArray[Any]) -> tuple[Array, Array]:
        """Give the probabilities of images, as `classify`, and the milliseconds that each took where it is computed.

        Returns
        -------
        ndarray of float32, shape (n, c)
        ndarray of float32, shape (n,)
        """
        self.check(images)
        found, spent = [], []
        for image in images:
            stopping.check()
            frame = image[None].astype(np.float32)
            started = time.perf_counter()
            found.append(np.array(self._frame(frame), np.float32))
            spent.append(1000.0 * (time.perf_counter() - started))
        return np.concatenate(found), np.array(spent, np.float32)

    def check(self, images: npt.NDArray[Any]) -> None:
        """Refuse what are no images of this size."""
        expected = (self.size, self.size, 3)
        if images.ndim != 4 or images.shape[1:] != expected or not len(images):
            raise DataError(f"The images have shape {list(images.shape)}; it must be [n, {self.size}, {self.size}, 3].")

    def classify_frame(self, frame: Array) -> Array:
        """Give the output for one float32 frame ``(1, size, size, 3)``, unchecked: what is timed."""
        return self._frame(frame)

    def time_frame(self, frame: Array) -> float:
        """Give the milliseconds that one frame takes in the runtime, as `classify_frame` computes it."""
        started = time.perf_counter()
        self._frame(frame)
        return 1000.0 * (time.perf_counter() - started)

    def close(self) -> None:
        """Free what it holds; it cannot be used again."""
        if self._close is not None:
            close, self._close = self._close, None
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
