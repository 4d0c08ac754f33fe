"""From a report to one HTML file that asks nothing of any host."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from wellai_exp.report._blocks import Report

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = "templates"
# Entities that escaping makes hold neither sign.
_JOINT = re.compile(r"([_/]|(?<=[a-z])\.)(?=\w)")


def render(report: Report) -> str:
    """Give a report as the text of one HTML file.

    It opens from a disk without any network: styles, scripts, pictures and, where there is a plot, plotly.js lie
    inside, and its content security policy forbids every request as well as every script but these. It prints on A4
    with still pictures in place of plots, reads on a telephone, and follows the reader's choice of a light or dark
    page.

    Parameters
    ----------
    report : Report
        Its sections in order.

    Returns
    -------
    str
        To be written as UTF-8.

    Raises
    ------
    DataError
        Where a picture is of no known format.
    """
    own = _source("report.js")
    scripts = [own]
    library = ""
    if report.has_plots:
        library = _packed_plotly()
        scripts.append(_plotly())
    page = _environment().get_template("report.html.j2")
    return page.render(
        report=report,
        contents=list(zip(report.anchors, report.sections, strict=True)),
        style=_trusted(_source("report.css")),
        script=_trusted(own),
        library=library,
        allowed=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wellai_exp.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(breakable=_breakable, amount=_amount)
    return environment


def _breakable(text: object) -> Markup:
    """Let a line break after the signs that join the words of a class name or a path; what is copied stays whole."""
    from markupsafe import escape

    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    return _trusted(_JOINT.sub(r"\1<wbr>", str(escape(whole))))


def _amount(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _trusted(source: str) -> Markup:
    """Pass text of this package, never a user's, through the templates as it is."""
    from markupsafe import Markup

    return Markup(source)  # noqa: S704


def _source(name: str) -> str:
    return resources.files("wellai_exp.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _packed_plotly() -> str:
    """Compress plotly.js, which is most of a report's size and is unpacked only when a plot comes near."""
    return base64.b64encode(gzip.compress(_plotly().encode(), mtime=0)).decode("ascii")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
