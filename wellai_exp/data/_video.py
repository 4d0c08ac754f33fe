"""A video's frames, upright in RGB and with their time, whatever the file is called."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wellai_exp.data._reader import MAX_PIXELS, Image, TooManyPixelsError, _cv2
from wellai_exp.errors import DataError

_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv", ".y4m"}
)
# Lists of other files and addresses, which FFmpeg would open whatever they are called.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat")
_FFMPEG_QUIET = "-8"


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a video.

    Parameters
    ----------
    number : int
        Its place among all frames of the video, from 0.
    seconds : float
        When it is shown, from the beginning.
    image : numpy.ndarray
        uint8 [H, W, 3], red first.
    """

    number: int
    seconds: float
    image: Image


def is_video(path: Path) -> bool:
    """Tell by its name's end whether a file is taken for a video."""
    return path.suffix.lower() in _SUFFIXES


def read_video(path: Path, every: float = 0.0) -> Iterator[VideoFrame]:
    """Yield a video's frames as they are decoded; no more than one is held.

    Parameters
    ----------
    path : Path
        A file that FFmpeg reads.
    every : float
        Seconds from one frame that is given to the next, at least; 0 gives each.

    Raises
    ------
    DataError
        Where the file cannot be read, holds no frame, or ends long before the time that its header promises.
    """
    shown = os.fsencode(path).decode(errors="backslashreplace")
    cv2 = _cv2()
    with _opened(path, shown) as capture:
        number, seconds, due = -1, 0.0, 0.0
        while capture.grab():
            number += 1
            seconds = _time_of(capture, number)
            if seconds < due:
                continue
            given, pixels = capture.retrieve()
            if not given:
                raise DataError(f"{shown}: its frame {number} cannot be decoded; copy it again or leave it out.")
            # From the grid of `every`, so that frames which come a little late do not add up.
            due = every * (seconds // every + 1) if every > 0 else 0.0
            yield VideoFrame(number, seconds, np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8))
        if number < 0:
            raise DataError(f"{shown} holds no frame that can be decoded; copy it again or leave it out.")
        promised = _promised(capture)
        # Headers round and estimate; half of a video is another matter.
        if seconds < 0.9 * promised - 1.0:
            raise DataError(
                f"{shown} is cut short: it ends after {seconds:.1f} s of {promised:.1f} s; copy it again, or go on "
                "with what there is."
            )


@contextmanager
def _opened(path: Path, shown: str) -> Iterator[Any]:
    # FFmpeg's own lines name no file; the sentences here do.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_QUIET)
    cv2 = _cv2()
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({error.strerror or error}); restore it or leave it out.") from error
    if not head or head.startswith(_PLAYLISTS):
        raise DataError(f"{shown} is {'a list of videos' if head else 'empty'}; name a video.")
    with tempfile.TemporaryDirectory(prefix="wellai-") as folder:
        # A name that FFmpeg cannot take for an address or a numbered series, and that is UTF-8.
        link = Path(folder) / f"video{path.suffix.lower() if is_video(path) else ''}"
        link.symlink_to(path.absolute())
        capture = cv2.VideoCapture()
        try:
            opened = capture.open(str(link), cv2.CAP_FFMPEG)
            size = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT) if opened else 0.0
            if not opened:
                raise DataError(f"{shown} is no video that can be read; save it as MP4 or leave it out.")
            if size > MAX_PIXELS:
                raise TooManyPixelsError(f"{shown} has frames of more than {MAX_PIXELS // 10**6} megapixels.")
            yield capture
        finally:
            capture.release()


def _time_of(capture: Any, number: int) -> float:
    """Give when the frame at hand is shown; from the rate where the file has no times."""
    cv2 = _cv2()
    milliseconds = float(capture.get(cv2.CAP_PROP_POS_MSEC))
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    if number and milliseconds <= 0 and rate > 0:
        return number / rate
    return max(0.0, milliseconds / 1000.0)


def _promised(capture: Any) -> float:
    """Give the video's length as its header has it, in seconds; 0 where it has none."""
    cv2 = _cv2()
    rate, frames = float(capture.get(cv2.CAP_PROP_FPS)), float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return frames / rate if rate > 0 and frames > 0 else 0.0
