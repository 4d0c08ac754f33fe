"""Pictures as text, so that a report is one file."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, TypeAlias

from wellai_exp.errors import DataError
from wellai_exp.rendering import jpeg, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Image: TypeAlias = Figure | bytes
    """A matplotlib figure, or the content of a PNG, JPEG or WebP file."""

_MARKS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


def data_uri(image: Image, *, photograph: bool = False) -> str:
    """Give an image as a ``data:`` address.

    Parameters
    ----------
    image : Figure or bytes
        A matplotlib figure, or the content of a PNG, JPEG or WebP file, which is kept as it is.
    photograph : bool
        Whether a figure consists of photographs, which JPEG keeps in a tenth of the room; lines and letters stay PNG.

    Raises
    ------
    DataError
        Where the bytes are of none of these formats.
    """
    if isinstance(image, bytes):
        return _address(image, _media_type(image))
    return _address(jpeg(image), "image/jpeg") if photograph else _address(png(image), "image/png")


def pixels_of(uri: str) -> tuple[int, int]:
    """Give width and height in pixels of an image from `data_uri`.

    Raises
    ------
    DataError
        Where it cannot be decoded.
    """
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as opened:
            return opened.size
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"A picture of the report cannot be decoded ({error}); draw it again.") from error


def _media_type(content: bytes) -> str:
    for media_type, mark in _MARKS.items():
        if content.startswith(mark):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise DataError(
        f"A picture must be a PNG, JPEG or WebP file, but its {len(content)} bytes start with {content[:8]!r}."
    )


def _address(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
