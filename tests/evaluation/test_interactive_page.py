"""The page of interactive figures, in a real browser."""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from explored import HOSTILE, explored, numbered

from wellai_exp.evaluation import confusion_explorer, per_class_plot, pr_explorer, reliability_plot, write_interactive
from wellai_exp.evaluation.interactive._layout import shown_apart

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ElementHandle, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVALUATION = explored((*numbered(20), *HOSTILE), missing=1)
NAMES = "data.filter(trace => trace.visible !== 'legendonly').map(trace => trace.meta)"
SHOWN = f"document.querySelector('.plot').{NAMES}"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "page.html"
    draws = (pr_explorer, confusion_explorer, reliability_plot, per_class_plot)
    write_interactive({draw.__name__: draw(EVALUATION) for draw in draws}, file, "A page of figures")
    return Path(file).as_uri()


class Watched:
    """A page at an address, with all that it said and asked for."""

    def __init__(self, browser: Browser, address: str, width: int) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        for section in self.page.query_selector_all("section"):
            section.scroll_into_view_if_needed()
            section.wait_for_selector(".plot[data-drawn] .nsewdrag", state="attached")

    def figure(self, number: int) -> ElementHandle:
        """Give a figure's section, in view."""
        section = self.page.query_selector_all("section")[number]
        section.scroll_into_view_if_needed()
        return section


@pytest.fixture(scope="module")
def wide(browser: Browser, address: str) -> Watched:
    return Watched(browser, address, 1400)


@pytest.fixture(scope="module")
def narrow(browser: Browser, address: str) -> Watched:
    return Watched(browser, address, 390)


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_the_page_asks_no_host_and_complains_of_nothing(
    request: pytest.FixtureRequest, address: str, width: str
) -> None:
    watched: Watched = request.getfixturevalue(width)
    assert watched.said == []
    assert watched.asked == [address]


def test_a_narrow_page_fits_its_screen(narrow: Watched) -> None:
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 390
    drawn = "[...document.querySelectorAll('.main-svg')].map(svg => svg.getBoundingClientRect().right)"
    assert max(narrow.page.evaluate(drawn)) <= 390


def test_typing_finds_curves_and_erasing_brings_the_others_back(wide: Watched) -> None:
    wide.figure(0)
    before = wide.page.evaluate(SHOWN)
    wide.page.fill(".find input", "BOW number 1")
    wide.page.wait_for_function(f"{SHOWN}.filter(Boolean).length === 11")
    assert wide.page.inner_text(".find output") == "11 of 28 classes"
    assert {name for name in wide.page.evaluate(SHOWN) if name} == {name for name in numbered(20) if "number_1" in name}
    wide.page.fill(".find input", "")
    wide.page.wait_for_function(f"{SHOWN}.filter(Boolean).length === 6")
    assert wide.page.evaluate(SHOWN) == before


def test_a_double_click_in_the_legend_leaves_one_curve(wide: Watched) -> None:
    legend = wide.figure(0).query_selector_all(".legendtoggle")
    legend[4].dblclick()
    wide.page.wait_for_function(f"{SHOWN}.length === 1")
    ranked = EVALUATION.per_class.dropna(subset="auc_pr").sort_values("auc_pr")["class"]
    assert wide.page.evaluate(SHOWN) == [ranked.iloc[2]]


def test_names_are_written_as_they_are(wide: Watched) -> None:
    legend = [item.text_content() or "" for item in wide.figure(0).query_selector_all(".legendtext")]
    for name in HOSTILE[:-1]:
        assert any(f"  {' '.join(name.split())} (" in line.replace("\xa0", " ") for line in legend), name


@pytest.mark.parametrize("order", ["by index", "by name", "by confusion", "by hierarchy"])
def test_a_cell_tells_its_own_rows_in_every_order(wide: Watched, order: str) -> None:
    section: Any = wide.figure(1)
    wide.page.get_by_text(order, exact=True).first.click()
    names = section.query_selector(".plot").evaluate("plot => plot.layout.yaxis.categoryarray")
    indices = [shown_apart(EVALUATION.class_names).index(name) for name in names]
    counts = EVALUATION.confusion[np.ix_(indices, indices)]
    line, column = np.argwhere((counts > 0) & ~np.eye(len(names), dtype=bool))[0]
    box = section.query_selector(".nsewdrag").bounding_box()
    pitch = box["width"] / len(names), box["height"] / len(names)
    wide.page.mouse.move(box["x"] + pitch[0] * (column + 0.5), box["y"] + pitch[1] * (line + 0.5))
    told = section.wait_for_selector(".hoverlayer .hovertext").text_content()
    true, predicted = html.unescape(names[line]), html.unescape(names[column])
    rows, support = counts[line, column], EVALUATION.support[indices[line]]
    assert told == f"true {true}predicted {predicted}{rows} of {support} rows ({rows / support:.1%})"
    wide.page.mouse.move(0, 0)
    section.wait_for_selector(".hoverlayer .hovertext", state="detached")


def test_a_screen_that_is_turned_gets_the_other_layout(narrow: Watched) -> None:
    narrow.figure(0)
    narrow.page.wait_for_selector(".plot[data-drawn=narrow] .updatemenu-dropdown-button-group", state="attached")
    narrow.page.set_viewport_size({"width": 900, "height": 390})
    narrow.page.wait_for_selector(".plot[data-drawn=wide] .nsewdrag")
    assert narrow.page.get_by_text("worst 10", exact=True).is_visible()
    assert narrow.said == []
