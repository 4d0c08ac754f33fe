"""From a photograph's bytes to pixels: decoded upright in RGB, brought to a square, read ahead of the consumer."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import DataError, SettingError
from wellai_exp.runtime import cores

Image = npt.NDArray[np.uint8]
Resize = Literal["stretch", "crop", "pad"]

MAX_PIXELS = 50_000_000
"""A larger image is refused: a PNG of 100 kB can hold 900 megapixels, which take 5 GB to decode."""

PAD_GREY = 128
"""The colour beside a padded image: nearly zero after x/127.5 − 1, which is what a convolution pads with itself."""

DECODABLE = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""What is read, by Pillow's names."""

# These hold neither alpha nor 16 bits that cv2 would keep, so cv2's colour mode (which also turns by EXIF) is right.
_PLAIN = frozenset({"JPEG", "MPO", "BMP", "PPM"})
_EXIF_ORIENTATION = 0x0112


class UnknownFormatError(DataError):
    """The bytes are no image of a format that is read here, or one whose header is broken."""


class TooManyPixelsError(DataError):
    """The image has more pixels than `MAX_PIXELS`."""


@cache
def _cv2() -> Any:
    import cv2

    # Its log lines about a broken file name no file; the DataError raised here does.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def decode(data: bytes, name: str = "the image") -> Image:
    """Decode a photograph's bytes to upright 8-bit RGB.

    EXIF rotation is applied, transparency laid on white, 16 bits a channel scaled to 8 by rounding x/257, and grey,
    palette and CMYK images brought to RGB. An animation gives its first frame. Colour profiles are not applied.

    Parameters
    ----------
    data : bytes
        A whole file: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 or PNM, whatever it is called.
    name : str
        What an error calls it, e.g. its path.

    Returns
    -------
    numpy.ndarray
        uint8 [H, W, 3], red first.

    Raises
    ------
    DataError
        Where the bytes are empty, cut short, no such image, of 32 bits a channel, or of more than 50 megapixels.

    Notes
    -----
    Bytes changed in the middle of a JPEG decode without complaint in every library; only a hash can tell.
    """
    if not data:
        raise DataError(f"{name} is empty; copy it again or remove it.")
    kind, orientation = _header(data, name)
    cv2 = _cv2()
    try:
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB if kind in _PLAIN else cv2.IMREAD_UNCHANGED
        )
    except cv2.error:
        pixels = None
    if pixels is None:
        raise DataError(f"{name} is cut short or damaged and cannot be decoded; copy it again or remove it.")
    if kind in _PLAIN:
        return np.asarray(pixels, np.uint8)
    if pixels.dtype == np.uint16 and kind == "AVIF":
        # cv2 leaves 10 and 12 bits at their own range; its colour mode scales them.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    upright = pixels if kind == "TIFF" else _turned(pixels, orientation)  # cv2 turns a TIFF in every mode
    # libtiff gives 8-bit colours already multiplied by their alpha.
    return _on_white(_eight_bit(upright, name), kind == "TIFF" and pixels.dtype == np.uint8)


def image_format(data: bytes, name: str = "the image") -> str:
    """Give a photograph's format by Pillow's name, e.g. ``JPEG``, from its header, whatever the file is called.

    Raises
    ------
    DataError
        Where the bytes are no image of those that `decode` reads, or one of more than 50 megapixels.
    """
    return _header(data, name)[0]


def read_image(path: Path) -> Image:
    """Read and decode one file; see `decode`.

    Returns
    -------
    numpy.ndarray
        uint8 [H, W, 3], red first.

    Raises
    ------
    DataError
        Where the file cannot be read or decoded.
    """
    # A file name that is not UTF-8 must not break the sentence that names it.
    shown = os.fsencode(path).decode(errors="backslashreplace")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({error.strerror or error}); restore it or remove it.") from error
    return decode(data, shown)


def fit(image: Image, size: int, how: str) -> Image:
    """Bring an image to a square.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 [H, W, 3].
    size : int
        Side of the square, in pixels.
    how : {"stretch", "crop", "pad"}
        Stretch: both sides to `size`, proportions lost. Crop: the central square. Pad: the whole image, its long side
        `size`, centred on grey 128 (a mirrored or repeated edge would draw limbs that are not there).

    Returns
    -------
    numpy.ndarray
        uint8 [size, size, 3]. Sides that shrink are averaged over areas; sides that grow are interpolated bilinearly,
        as a browser does, and without the overshoot of bicubic.

    Raises
    ------
    SettingError
        Where `how` is no such rule or `size` is below 1.
    """
    return _rule(how, size)(image, size)


class ImageReader:
    """Batches of decoded and fitted images, in order, read by threads ahead of the consumer.

    Each pass over the reader starts anew. At most ``ahead + 1`` batches are held, whatever the number of images.

    Parameters
    ----------
    paths : sequence of Path
        The files, in the order of the images.
    size : int
        Side of the square, in pixels.
    how : {"stretch", "crop", "pad"}
        See `fit`.
    batch_size : int
        Images in a batch; the last one may be smaller.
    threads : int, optional
        Threads that decode; by default one for each core.
    ahead : int
        Batches prepared while the consumer works on one.

    Raises
    ------
    SettingError
        Where a setting cannot work.
    DataError
        While iterating, where the next image cannot be read; the sentence names its file.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        how: str = "stretch",
        *,
        batch_size: int = 32,
        threads: int | None = None,
        ahead: int = 2,
    ) -> None:
        threads = cores() if threads is None else threads
        for setting, value in (("batch_size", batch_size), ("threads", threads), ("ahead", ahead)):
            if value < 1:
                raise SettingError(setting, value, "at least 1 is needed", f"set {setting}=1 or more")
        self._fit = _rule(how, size)
        self._paths = list(paths)
        self.size = size
        self.batch_size = batch_size
        self.threads = threads
        self.ahead = ahead

    def __len__(self) -> int:
        """Give the number of batches."""
        return (len(self._paths) + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[Image]:
        """Yield uint8 [b, size, size, 3], each a new array."""
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="image-reader")
        waiting: deque[tuple[Image, list[Future[None]]]] = deque()
        try:
            for start in range(0, len(self._paths), self.batch_size):
                waiting.append(self._submit(pool, self._paths[start : start + self.batch_size]))
                if len(waiting) > self.ahead:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            # Also reached when the consumer stops early, so that no thread outlives the loop.
            pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, paths: Sequence[Path]) -> tuple[Image, list[Future[None]]]:
        batch = np.empty((len(paths), self.size, self.size, 3), np.uint8)
        return batch, [pool.submit(self._fill, batch, index, path) for index, path in enumerate(paths)]

    def _fill(self, batch: Image, index: int, path: Path) -> None:
        batch[index] = self._fit(read_image(path), self.size)


def _finished(batch: Image, futures: list[Future[None]]) -> Image:
    for future in futures:
        future.result()
    return batch


def _header(data: bytes, name: str) -> tuple[str, int]:
    """Give format and EXIF orientation from the header alone, and refuse what would not fit in memory.

    cv2's own limit is an environment variable read once, when cv2 is first imported; somebody may have done that.
    """
    from PIL import Image as Pillow

    too_large = f"{name} has more than {MAX_PIXELS // 10**6} megapixels; make it smaller or remove it."
    try:
        with Pillow.open(io.BytesIO(data), formats=DECODABLE) as header:
            width, height = header.size
            kind = header.format or ""
            # Not header.getexif(), which decodes the whole of a PNG.
            exif = Pillow.Exif()
            exif.load(header.info.get("exif", b""))
            orientation = int(exif.get(_EXIF_ORIENTATION, 1))
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise TooManyPixelsError(too_large) from error
    except Exception as error:  # Pillow raises many kinds on a broken header, and every one means the same here.
        raise UnknownFormatError(
            f"{name} is no image that can be read (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000); "
            "save it as JPEG or remove it."
        ) from error
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(too_large)
    return kind, orientation


def _turned(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo an EXIF orientation (1 to 8, EXIF 2.32 section 4.6.4) of [H, W] or [H, W, C]."""
    if orientation in {5, 6, 7, 8}:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels


def _eight_bit(pixels: npt.NDArray[Any], name: str) -> Image:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        # 65535 = 255 · 257, so white stays white; a shift by 8 bits would lose up to one grey level.
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise DataError(f"{name} has {pixels.dtype} pixels, whose white is not known; save it with 8 bits a channel.")


def _on_white(pixels: Image, multiplied: bool) -> Image:
    """Bring grey, BGR or BGRA of 8 bits to RGB; `multiplied` says that alpha is already in the colours."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:].astype(np.uint32)
        colour = pixels[:, :, :3].astype(np.uint32)
        colour = 255 * colour if multiplied else colour * alpha
        pixels = (np.minimum(colour + 255 * (255 - alpha) + 127, 255 * 255) // 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _resized(image: Image, width: int, height: int) -> Image:
    cv2 = _cv2()
    # Area averaging serves only where neither side grows, so shrink first and grow afterwards.
    small = min(width, image.shape[1]), min(height, image.shape[0])
    if small != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    if small != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(image, np.uint8)


def _stretch(image: Image, size: int) -> Image:
    return _resized(image, size, size)


def _crop(image: Image, size: int) -> Image:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return _resized(image[top : top + side, left : left + side], size, size)


def _pad(image: Image, size: int) -> Image:
    height, width = image.shape[:2]
    scale = size / max(height, width)
    inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - inner_height) // 2, (size - inner_width) // 2
    square = np.full((size, size, 3), PAD_GREY, np.uint8)
    square[top : top + inner_height, left : left + inner_width] = _resized(image, inner_width, inner_height)
    return square


_RULES: dict[str, Callable[[Image, int], Image]] = {"stretch": _stretch, "crop": _crop, "pad": _pad}


def _rule(how: str, size: int) -> Callable[[Image, int], Image]:
    if size < 1:
        raise SettingError("size", size, "an image needs at least one pixel a side", "set size=224")
    if how not in _RULES:
        raise SettingError("resize", how, "there is no such rule", f"set resize to one of {', '.join(_RULES)}")
    return _RULES[how]
