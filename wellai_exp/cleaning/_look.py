"""One look at one file: what it is, what it shows, and all that later checks need of it, so that it is decoded once."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.data import DECODABLE, TooManyPixelsError, UnknownFormatError, decode, perceptual_hash
from wellai_exp.errors import DataError

Image = npt.NDArray[np.uint8]

THUMBNAIL = 256
"""Longer side of the picture that is kept, in pixels: enough for a backbone's input and for a page."""

SMALL = 64
"""Side of the grey picture that is kept for comparing pictures, in pixels."""

MEASURES = ("highlights", "shadows", "contrast", "sharpness", "entropy")
"""What is measured on a picture's grey levels; see `measure`."""

_MAX_BYTES = 256 * 2**20
_QUALITY = 95
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Look:
    """What one file is.

    Parameters
    ----------
    sha256 : str
        Of its bytes; empty where it could not be read.
    n_bytes : int
        Its size.
    problem : str
        Which kind of trouble leaves it without a picture, the name of the check that sets it aside; empty for none.
    reason : str
        The trouble in words.
    kind, mode : str
        Pillow's names of its format and its pixels, e.g. ``JPEG`` and ``CMYK``.
    orientation : int
        EXIF orientation, 1 for upright.
    frames : int
        Frames or pages.
    width, height : int
        Pixels, upright; 0 without a picture.
    measures : mapping of str to float
        See `measure`.
    hashes : array of uint64, shape (8,)
        Perceptual hash, then that of the mirror image.
    small : array of uint8, shape (64, 64)
        Grey.
    thumbnail : bytes
        JPEG, RGB, longer side at most 256 px.
    """

    sha256: str = ""
    n_bytes: int = 0
    problem: str = ""
    reason: str = ""
    kind: str = ""
    mode: str = ""
    orientation: int = 1
    frames: int = 0
    width: int = 0
    height: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(8, np.uint64))
    small: Image = field(default_factory=lambda: np.zeros((SMALL, SMALL), np.uint8))
    thumbnail: bytes = b""


def look(path: Path) -> Look:
    """Read, decode and measure one file.

    Parameters
    ----------
    path : Path
        Whatever lies there.

    Returns
    -------
    Look
        Never an error for what is wrong with the file; but a file may take much time or memory, or crash the
        process, so call it where that costs nothing else (`isolated`).
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # Reading a pipe would wait for ever.
            return Look(problem="unreadable", reason="it is not a regular file")
        if status.st_size > _MAX_BYTES:
            return Look(n_bytes=status.st_size, problem="too_large", reason=f"it has more than {_MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        return Look(problem="unreadable", reason=f"it cannot be opened ({error.strerror or error})")
    return _look_into(content)


def _look_into(content: bytes) -> Look:
    known: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest(), "n_bytes": len(content)}
    if not content:
        return Look(**known, problem="unreadable", reason="it is empty")
    try:
        pixels = decode(content, "it")
    except DataError as error:
        problem, reason = _refusal(error, content)
        return Look(**known, problem=problem, reason=reason)
    try:
        header = _header(content)
    except Exception:  # Pillow raises many kinds on a damaged second page or frame, whose first was whole
        return Look(**known, problem="unreadable", reason="its header is damaged")
    return Look(**known, **header, **_pictured(pixels))


def _refusal(error: DataError, content: bytes) -> tuple[str, str]:
    """Say which kind of trouble the decoder had, and what it was."""
    if isinstance(error, TooManyPixelsError):
        return "too_large", _why(error)
    if not isinstance(error, UnknownFormatError):
        return "unreadable", _why(error)
    if _begins_like_an_image(content):
        return "unreadable", "it begins like an image but its header is damaged"
    return "not_an_image", _why(error)


def _why(error: DataError) -> str:
    """Give the problem that a sentence names, without its remedy."""
    return str(error).partition(";")[0].partition(" (")[0]


def _begins_like_an_image(content: bytes) -> bool:
    from PIL import Image as Pillow

    Pillow.init()
    accepts = [Pillow.OPEN[kind][1] for kind in DECODABLE if kind in Pillow.OPEN]
    # Some answer with a sentence that says why they refuse.
    return any(accept is not None and accept(content[:16]) is True for accept in accepts)


def _header(content: bytes) -> dict[str, Any]:
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # `decode` has judged the size
    with Pillow.open(io.BytesIO(content), formats=DECODABLE) as opened:
        exif = Pillow.Exif()
        exif.load(opened.info.get("exif", b""))
        # A camera's JPEG with a preview beside the photograph is one picture.
        frames = 1 if opened.format == "MPO" else int(getattr(opened, "n_frames", 1))
        return {
            "kind": opened.format or "",
            "mode": opened.mode,
            "orientation": int(exif.get(_EXIF_ORIENTATION, 1)),
            "frames": frames,
        }


def _pictured(pixels: Image) -> dict[str, Any]:
    import cv2

    height, width = pixels.shape[:2]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    thumbnail = pixels if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", thumbnail[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return {
        "width": width,
        "height": height,
        "measures": measure(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)),
        "hashes": np.concatenate(perceptual_hash(grey)),
        "small": np.asarray(cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA), np.uint8),
        "thumbnail": encoded.tobytes(),
    }


def measure(grey: Image) -> dict[str, float]:
    """Measure a picture's grey levels.

    Parameters
    ----------
    grey : array of uint8, shape (height, width)
        The longer side at most 256 px, so that one threshold serves photographs of all sizes.

    Returns
    -------
    dict of str to float
        ``highlights`` and ``shadows``: the grey levels that 99 % and 5 % of the pixels do not exceed; ``contrast``:
        their standard deviation; ``sharpness``: variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in
        brightfield microscopy", ICPR 2000) as a share of the variance of the grey levels, which frees it from the
        contrast; ``entropy``: of the histogram of grey levels, 0 to 8 bits.
    """
    import cv2

    share = np.bincount(grey.ravel(), minlength=256) / grey.size
    levels = np.arange(256)
    mean = float(share @ levels)
    variance = float(share @ (levels - mean) ** 2)
    below = np.cumsum(share)
    present = share[share > 0]
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    return {
        "highlights": float(np.searchsorted(below, 0.99)),
        "shadows": float(np.searchsorted(below, 0.05)),
        "contrast": variance**0.5,
        "sharpness": float(edges.var()) / max(variance, 1.0),
        "entropy": float(-(present * np.log2(present)).sum()) + 0.0,
    }


def name_problem(name: str) -> str:
    """Say why a file's name keeps it out; empty where nothing does."""
    try:
        os.fsencode(name).decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    return ""
