"""Matplotlib figures as the content of files, each drawn once however often it is kept or shown."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_JPEG_QUALITY = 88
# Drawing one takes up to a second, and a run's artifacts and its report show the same.
_DRAWN: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


def png(figure: Figure) -> bytes:
    """Give a figure as PNG, in its own resolution.

    Parameters
    ----------
    figure : Figure
        What is changed in it after the first call is not seen.
    """
    if figure not in _DRAWN:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi="figure")
        _DRAWN[figure] = buffer.getvalue()
    return _DRAWN[figure]


def jpeg(figure: Figure) -> bytes:
    """Give a figure as JPEG, which keeps photographs in a tenth of the room; parameters as `png`."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png(figure))) as drawn:
        drawn.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
