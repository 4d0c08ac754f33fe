"""What the interactive figures share: their look, names made fit to show, and buttons."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from wellai_exp.evaluation._style import GREY, INK, PALE, one_line, shortened

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK KR', 'Malgun Gothic', sans-serif"

# A finger that drags scrolls the page. The tool bar stands above the title, for which 15 pixels are too many.
_NARROW = {
    "dragmode": False,
    "title.font.size": 12,
    "hoverlabel.font.size": 10,
    "title.pad.t": 34,
    "margin.l": 48,
    "margin.r": 10,
    "margin.t": 104,
}


def shown(text: object, width: int | None = None) -> str:
    """Give a name as plotly must get it: one line, cut in the middle to `width` columns, no character with a meaning.

    Plotly reads a few HTML tags in every text, entities in their place, and ``%{…}`` as a variable.
    """
    line = one_line(text)
    return html.escape(line if width is None else shortened(line, width), quote=False).replace("%{", "%&#123;")


def shown_apart(names: Sequence[str]) -> list[str]:
    """Give names as `shown` does, with a number behind those that would look like an earlier one."""
    given = [shown(name) for name in names]
    return [name if name not in given[:place] else f"{name} [{place}]" for place, name in enumerate(given)]


def base_layout(
    title: str, height: int, *, hint: str, narrow: Mapping[str, Any], find: bool = False, **more: Any
) -> dict[str, Any]:
    """Give a plotly layout in the house style.

    Parameters
    ----------
    title : str
        Shown above the figure; a text of plotly's.
    height : int
        Pixels; the width is that of the page.
    hint : str
        What can be done with the figure, in a sentence; the page writes it above.
    narrow : mapping of str to object
        What the page changes in the layout where it is narrower than 700 pixels, by plotly's dotted paths.
    find : bool
        Whether the page offers a field that finds traces by their ``meta``, a name.
    **more : object
        Further attributes.
    """
    return {
        "template": "none",
        "title": {"text": title, "x": 0, "y": 1, "yanchor": "top", "pad": {"l": 12, "t": 14}, "font": {"size": 15}},
        "height": height,
        "font": {"family": _FONTS, "size": 12, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hoverlabel": {"align": "left", "namelength": -1},
        "margin": {"l": 64, "r": 24, "t": 84, "b": 56},
        "meta": {"hint": hint, "narrow": {**_NARROW, **narrow}, "find": find},
        **more,
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Give a plotly axis with quiet grid lines."""
    return {
        "title": {"text": title},
        "gridcolor": PALE,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
        "automargin": True,
        **more,
    }


def buttons(
    choices: Mapping[str, Sequence[Any]], method: str, *, side: Literal["left", "right"] = "left"
) -> dict[str, Any]:
    """Give a row of plotly buttons above the plot, the first of them pressed.

    Parameters
    ----------
    choices : mapping of str to sequence
        The label of each button and the arguments of its method.
    method : str
        ``restyle``, ``relayout`` or ``update``.
    side : str
        The edge of the plot where they begin or end.
    """
    return {
        "type": "buttons",
        "direction": "right",
        "buttons": [{"label": label, "method": method, "args": list(given)} for label, given in choices.items()],
        "x": 0 if side == "left" else 1,
        "y": 1,
        "xanchor": side,
        "yanchor": "bottom",
        "pad": {"b": 6},
        "bgcolor": "white",
        "bordercolor": GREY,
        "font": {"size": 11},
        "showactive": True,
    }


def folded_menus(number: int) -> dict[str, str]:
    """Give what makes the first `number` rows of buttons lists that fold out, for a narrow page."""
    return {
        f"updatemenus[{place}].{name}": value
        for place in range(number)
        for name, value in (("type", "dropdown"), ("direction", "down"))
    }


def legend_below(height: int) -> dict[str, Any]:
    """Give what moves the legend under the plot, in `height` pixels, for a narrow page."""
    return {
        "legend.orientation": "v",
        "legend.x": 0,
        "legend.xanchor": "left",
        "legend.yref": "container",
        "legend.y": 0,
        "legend.yanchor": "bottom",
        "legend.maxheight": height,
        "margin.b": 56 + height,
    }
