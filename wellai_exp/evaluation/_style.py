"""What the figures share: canvas, fonts, colours, and names made fit to print."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

# Okabe and Ito's colours, told apart by people with any common colour vision deficiency (Wong, Nature Methods 2011).
BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"
INK, GREY, PALE = "#222222", "#8A8A8A", "#E6E6E6"
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, INK, GREY)

_DPI = 120

# Searched glyph by glyph, after DejaVu Sans, for scripts that it lacks; only those installed are used.
_FALLBACK_FONTS = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Noto Sans CJK JP",
    "NanumGothic",
    "NanumBarunGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "UnDotum",
    "Baekmuk Dotum",
    "WenQuanYi Zen Hei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Sans Arabic",
    "Noto Sans",
    "Arial Unicode MS",
    "Unifont",
)


def drawn_once(draw: Callable[[Evaluation], Figure]) -> Callable[[Evaluation], Figure]:
    """Let a figure of an evaluation be drawn once: the run keeps it, and its report shows it."""
    drawn: WeakKeyDictionary[Evaluation, Figure] = WeakKeyDictionary()

    @wraps(draw)
    def figure_of(evaluation: Evaluation) -> Figure:
        if evaluation not in drawn:
            drawn[evaluation] = draw(evaluation)
        return drawn[evaluation]

    return figure_of


@contextmanager
def canvas(
    width: float,
    height: float,
    *,
    rows: int = 1,
    columns: int = 1,
    layout: Literal["constrained"] | None = "constrained",
    **grid: Any,
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure in the house style and its axes.

    Parameters
    ----------
    width, height : float
        Inches.
    rows, columns : int
        Of axes.
    layout : str or None
        The layout engine; None where the caller places the axes.
    **grid : object
        Passed to ``Figure.subplots``.

    Yields
    ------
    figure : Figure
        On an Agg canvas, 120 pixels an inch.
    axes : Axes or ndarray of Axes
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Text takes its font when it is made, so the settings need to hold only inside the block.
    # A user's matplotlibrc (say, text.usetex) must not change them either.
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
    with mpl.rc_context({**defaults, **_settings()}):
        figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(rows, columns, **grid)


def _settings() -> dict[str, Any]:
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return {
        "font.family": ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed)],
        "font.size": 9,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": PALE,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
        "figure.constrained_layout.h_pad": 0.08,
        "figure.constrained_layout.w_pad": 0.08,
    }


def printable(text: object, width: int = 40) -> str:
    r"""Give a name as matplotlib must get it: one line, shortened in the middle, no character with a meaning.

    Parameters
    ----------
    text : object
        A name as people gave it: any script, ``$``, ``_``, line breaks, or bytes that were not UTF-8.
    width : int
        The most columns it may take; a Korean or Chinese character takes two.

    Returns
    -------
    str
        With each ``$`` written ``\$``, which matplotlib prints as a dollar and never reads as mathematics.
    """
    return shortened(one_line(text), width).replace("$", r"\$")


def one_line(text: object) -> str:
    """Give a name in one line of visible characters, words one space apart."""
    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    visible = "".join(" " if unicodedata.category(mark).startswith(("C", "Z")) else mark for mark in whole)
    return " ".join(visible.split())


def shortened(line: str, width: int) -> str:
    """Cut a line in the middle to at most `width` columns, where the ends of class names say most."""
    if columns_of(line) <= width:
        return line
    head, tail = "", ""
    front, back = 0, len(line) - 1
    room = width - 1
    while front <= back:
        at_front = columns_of(head) <= columns_of(tail)
        mark = line[front] if at_front else line[back]
        if columns_of(head + tail + mark) > room:
            break
        if at_front:
            head, front = head + mark, front + 1
        else:
            tail, back = mark + tail, back - 1
    return f"{head}…{tail}"


def columns_of(line: str) -> int:
    """Columns that a line takes in print: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(mark) in "WF" else 1 for mark in line)


def text_inches(lines: Iterable[str], font_size: float) -> float:
    """Give the width in inches of the widest of some printable lines, in the fonts that `canvas` uses."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family=_settings()["font.family"], size=font_size)
    renderer = RendererAgg(8, 8, _DPI)
    sizes = [renderer.get_text_width_height_descent(line.replace(r"\$", "$"), font, ismath=False) for line in lines]
    return float(max(size[0] for size in sizes)) / _DPI


def axis_label(objective: str) -> str:
    """Give an axis label that starts with a capital, unless the name has capitals of its own (``macro AUC-PR``)."""
    return printable(objective.capitalize() if objective.islower() else objective, 60)


def metric_label(name: str) -> str:
    """Give a metric's name as people write it: ``auc_pr_macro`` is AUC-PR macro."""
    words = name.replace("auc_pr", "AUC-PR").replace("f1_", "F1 ").replace("_", " ")
    return printable(words[:1].upper() + words[1:], 60)


def message_figure(title: str, sentence: str) -> Figure:
    """Give a small figure that says why there is nothing to draw."""
    with canvas(7, 2) as (figure, axes):
        axes.set_axis_off()
        axes.set_title(title)
        axes.text(0, 0.6, sentence, transform=axes.transAxes, va="center")
    return figure


def grid_along(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Draw quiet grid lines for one axis and drop the tick marks of the other."""
    axes.grid(visible=True, axis=axis, linewidth=0.8)
    axes.tick_params(axis="y" if axis == "x" else "x", length=0)
