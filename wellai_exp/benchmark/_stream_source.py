"""Where a benchmark's frames come from: a video file, or pictures as a camera would send them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from wellai_exp.data import decode, read_image, read_video
from wellai_exp.errors import DataError

Image = npt.NDArray[np.uint8]
# As cameras send frames of this size over USB.
_WIDTH, _HEIGHT, _QUALITY = 640, 480, 90


@dataclass(frozen=True)
class Frames(ABC):
    """Frames without an end; can be sent to another process."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What they are, in words."""

    @abstractmethod
    def decoded(self) -> Iterator[Image]:
        """Decode one frame each time it is asked, uint8 [H, W, 3], red first; after the last one comes the first.

        Raises
        ------
        DataError
            Where one cannot be decoded.
        """

    @abstractmethod
    def sent(self, most: int) -> list[bytes]:
        """Give at most so many of them as a camera sends them, JPEG files, for who decodes by itself."""


@dataclass(frozen=True)
class VideoFrames(Frames):
    """A video file, over and over.

    Parameters
    ----------
    path : Path
        The file.
    """

    path: Path

    @property
    def title(self) -> str:
        """What they are, in words."""
        return f"the video {self.path.name}"

    def decoded(self) -> Iterator[Image]:
        """Decode, as `Frames.decoded`."""
        while True:
            for frame in read_video(self.path):
                yield frame.image

    def sent(self, most: int) -> list[bytes]:
        """Give its first frames, as `Frames.sent`."""
        return [_as_jpeg(frame.image) for frame in islice(read_video(self.path), most)]


@dataclass(frozen=True)
class CameraFrames(Frames):
    """Pictures as a camera sends them: JPEG files of 640 x 480 pixels, one after another, over and over.

    Parameters
    ----------
    files : tuple of bytes
        At least one.
    """

    files: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Self:
        """Bring photographs to the camera's format: covered by the middle of each.

        Raises
        ------
        DataError
            Where there are none, or one cannot be read.
        """
        if not paths:
            raise DataError("There are no pictures to make a camera's frames of; name a video=FILE.")
        return cls(tuple(_as_sent(read_image(path)) for path in paths))

    @property
    def title(self) -> str:
        """What they are, in words."""
        return f"{len(self.files)} pictures as a camera of {_WIDTH} x {_HEIGHT} px sends them"

    def decoded(self) -> Iterator[Image]:
        """Decode, as `Frames.decoded`."""
        while True:
            for file in self.files:
                yield decode(file)

    def sent(self, most: int) -> list[bytes]:
        """Give its files, as `Frames.sent`."""
        return list(self.files[:most])


def _as_sent(image: Image) -> bytes:
    import cv2

    height, width = image.shape[:2]
    scale = max(_WIDTH / width, _HEIGHT / height)
    wide, high = max(_WIDTH, round(width * scale)), max(_HEIGHT, round(height * scale))
    grown = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (wide - _WIDTH) // 2, (high - _HEIGHT) // 2
    return _as_jpeg(grown[top : top + _HEIGHT, left : left + _WIDTH])


def _as_jpeg(image: Image) -> bytes:
    import cv2

    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1].tobytes())
