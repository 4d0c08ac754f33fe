"""One HTML file with several interactive figures, which opens without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import DataError
from wellai_exp.paths import write_whole

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_HERE = Path(__file__).parent


def write_interactive(figures: Mapping[str, Figure], path: Path, title: str) -> None:
    """Write figures into one self-contained HTML file.

    plotly.js stands in the file once, and a content security policy forbids it to ask any host for anything, so that
    the file opens offline and inside MLflow's page alike. It weighs 5 MB and what the figures hold. Below 700 pixels
    the figures change as the ``narrow`` of their layout's ``meta`` says; ``hint`` and ``find`` add a sentence and a
    field that finds classes.

    Parameters
    ----------
    figures : mapping of str to plotly.graph_objects.Figure
        Each under its heading, in this order.
    path : Path
        File to write.
    title : str
        Of the page.

    Raises
    ------
    DataError
        Where there is no figure.
    StoreError
        Where the file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    if not figures:
        raise DataError("A page needs at least one figure, but there is none.")
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("_page.html.j2").render(
        title=title,
        style=(_HERE / "_page.css").read_text(encoding="utf-8"),
        script=(_HERE / "_page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        sections=[
            {"heading": heading, "meta": figure.layout.meta or {}, "figure": _inline(figure)}
            for heading, figure in figures.items()
        ],
    )
    with write_whole(path) as file:
        file.write_text(page, encoding="utf-8")


def _inline(figure: Figure) -> str:
    """Give a figure as JSON in which no character can end the element that it stands in."""
    return str(json.dumps(json.loads(figure.to_json()), separators=(",", ":"))).replace("<", "\\u003c")
