"""Photographs as small tiles with captions, on one sheet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import DataError, SettingError
from wellai_exp.evaluation._style import INK, PALE, canvas, columns_of, printable, text_inches
from wellai_exp.metrics import ArrayError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

Picture: TypeAlias = npt.NDArray[np.uint8] | str | None
"""Pixels [H, W, 3], red first; or why there are none, which a grey tile then says; or None for an empty place."""

_FONT, _SMALL = 9.0, 7.5
# Inches, for text of the two sizes with the space that parts it from its neighbours.
_HEADING, _LINE = 0.3, 0.145
_MARGIN, _GAP = 0.15, 0.1


def contact_sheet(
    pictures: Sequence[Picture],
    captions: Sequence[str],
    title: str,
    columns: int = 6,
    *,
    note: str = "",
    headings: Sequence[str] = (),
    frames: Sequence[str] = (),
    tile: tuple[float, float] = (1.6, 1.6),
) -> Figure:
    """Lay pictures out in rows of tiles, each with its caption below it.

    Parameters
    ----------
    pictures : sequence of Picture
        In reading order; each is shown whole, in its own proportions, as large as its tile allows.
    captions : sequence of str
        As many; line breaks part the lines, and a line that is too wide is shortened in its middle.
    title, note : str
        What the sheet shows, and in smaller print how to read it.
    columns : int
        Tiles in a row, at most.
    headings : sequence of str
        One for each row of tiles, or none.
    frames : sequence of str
        One colour for each picture ("" for none), or none at all.
    tile : tuple of float
        Width and height of a tile's picture, inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SettingError
        Where `columns` is below 1.
    ArrayError
        Where there is no picture, or the captions, headings or frames are not as many as what they belong to.
    """
    _check(len(pictures), captions, columns, headings, frames)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    heading = _HEADING if headings else 0.0
    row_height = heading + tile[1] + _LINE * (lines + 0.3) + _GAP
    top = 0.4 + (0.22 if note else 0.0)
    width = 2 * _MARGIN + columns * tile[0] + (columns - 1) * _GAP
    width = max(width, text_inches([title], _FONT + 3) + 2 * _MARGIN, text_inches([note], _SMALL) + 2 * _MARGIN)
    height = top + rows * row_height + _MARGIN / 2
    with canvas(width, height, layout=None) as (figure, axes):
        # One pair of axes in inches from the upper left corner: a pair for each tile takes ten times as long.
        axes.set_position((0, 0, 1, 1))
        axes.set_axis_off()
        axes.text(_MARGIN, 0.24, printable(title, 200), fontsize=_FONT + 2, fontweight="bold", va="center")
        axes.text(_MARGIN, 0.47, printable(note, 300), fontsize=_SMALL, va="center")
        for index, text in enumerate(headings):
            shown = _fitted(text, width - 2 * _MARGIN, _FONT)
            axes.text(_MARGIN, top + index * row_height + heading / 2, shown, fontsize=_FONT, va="center")
        for index, picture in enumerate(pictures):
            row, column = divmod(index, columns)
            corner = _MARGIN + column * (tile[0] + _GAP), top + row * row_height + heading
            _draw(axes, picture, captions[index], corner, tile, frames[index] if frames else "")
        axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    return figure


def thumbnails(evaluation: Evaluation, rows: Sequence[int] | npt.NDArray[np.int64], side: int = 256) -> list[Picture]:
    """Read the photographs of some rows, small.

    Parameters
    ----------
    evaluation : Evaluation
        Where `paths` is empty, no row has a photograph.
    rows : sequence of int
        Row indices.
    side : int
        Pixels of the longer side, at most; proportions are kept.

    Returns
    -------
    list of Picture
        In the order of `rows`. A file that is missing, cannot be decoded, or is no longer the one that was predicted
        (its hash differs) gives the words that say so.
    """
    return [_thumbnail(evaluation, int(row), side) for row in rows]


def _thumbnail(evaluation: Evaluation, row: int, side: int) -> Picture:
    if not evaluation.paths:
        return "no path is known"
    expected = evaluation.sha256[row] if evaluation.sha256 else ""
    return thumbnail(Path(evaluation.root) / evaluation.paths[row], side, expected)


def thumbnail(file: Path, side: int = 256, expected: str = "") -> Picture:
    """Read one photograph, small; `expected` is the SHA-256 that it must have, "" for any."""
    from wellai_exp.data import decode

    try:
        content = file.read_bytes()
    except (OSError, ValueError):  # A name that no file can have is a ValueError.
        return "the file is missing"
    if expected and hashlib.sha256(content).hexdigest() != expected:
        return "the file has changed"
    try:
        return _shrunk(decode(content), side)
    except DataError:
        return "the file cannot be read"


def _shrunk(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _draw(
    axes: Axes, picture: Picture, caption: str, corner: tuple[float, float], tile: tuple[float, float], frame: str
) -> None:
    """Draw one tile whose upper left corner lies at `corner`, all in inches."""
    from matplotlib.patches import Rectangle

    (left, top), (width, height) = corner, tile
    if isinstance(picture, str):
        axes.add_patch(Rectangle(corner, width, height, facecolor=PALE, edgecolor="none"))
        words = _fitted(picture, width - 0.1, _SMALL)
        axes.text(left + width / 2, top + height / 2, words, fontsize=_SMALL, color=INK, ha="center", va="center")
    elif picture is not None:
        rows, columns = picture.shape[:2]
        scale = min(width / columns, height / rows)
        shown = columns * scale, rows * scale
        x, y = left + (width - shown[0]) / 2, top + (height - shown[1]) / 2
        axes.imshow(picture, extent=(x, x + shown[0], y + shown[1], y), aspect="auto")
        if frame:
            axes.add_patch(Rectangle((x, y), *shown, facecolor="none", edgecolor=frame, linewidth=2))
    for number, line in enumerate(caption.split("\n") if caption else ()):
        y = top + height + _LINE * (number + 0.8)
        axes.text(left + width / 2, y, _fitted(line, width, _SMALL), fontsize=_SMALL, ha="center", va="center")


def _fitted(line: str, inches: float, font_size: float) -> str:
    """Shorten a line until it is no wider than `inches` in print."""
    room = min(columns_of(line), 200)
    shown = printable(line, room)
    while room > 2 and (wide := text_inches([shown], font_size)) > inches:
        room = min(room - 1, int(room * inches / wide) + 1)
        shown = printable(line, room)
    return shown


def _check(
    pictures: int, captions: Sequence[str], columns: int, headings: Sequence[str], frames: Sequence[str]
) -> None:
    if columns < 1:
        raise SettingError("columns", columns, "a sheet has at least one column", "set columns=6")
    if not pictures:
        raise ArrayError("A contact sheet needs at least one picture, but there is none.")
    rows = -(-pictures // columns)
    for name, values, needed in (
        ("captions", captions, {pictures}),
        ("headings", headings, {0, rows}),
        ("frames", frames, {0, pictures}),
    ):
        if len(values) not in needed:
            raise ArrayError(
                f"There are {pictures} pictures in {rows} rows but {len(values)} {name}; give {max(needed)}."
            )
