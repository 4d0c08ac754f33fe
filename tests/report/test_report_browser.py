"""A report in a real browser: it opens, asks for nothing, fits a telephone, sorts, enlarges and prints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from plotly.graph_objects import Figure

from wellai_exp.evaluation import Evaluation
from wellai_exp.report import CardFacts, Extras, Plot, Report, Section, Table, model_card, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CLASSES = 26

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("report"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % CLASSES
    probabilities = rng.dirichlet(np.full(CLASSES, 0.05), 600) * 0.5
    probabilities[np.arange(600), labels] += 0.5
    names = tuple(
        f"Pose_Dedicated_to_the_Sage_{index}_(Crow)_or_Eka_Pada_Koundinyanasana_I" for index in range(CLASSES)
    )
    evaluation = Evaluation(labels, probabilities, names)
    meta = {"hint": "Point at a curve.", "find": True, "narrow": {"height": 300, "margin.l": 20}}
    curves = Figure(
        [{"x": [0, 1], "y": [1, 0.5], "meta": "first pose"}, {"x": [0, 1], "y": [1, 0.2], "meta": "second pose"}],
        {"height": 500, "meta": meta},
    )
    card = model_card(
        CardFacts(name="yoga </script>", reproduce="wellai-exp train " * 20),
        evaluation,
        extras=Extras(pr_explorer=curves),
    )
    mixed = Table(pd.DataFrame({"name": ["b", "a", "c"], "score": [2.0, None, 10.0]}), "Mixed.")
    plain = Plot(Figure({"x": [1], "y": [1]}), "One dot", still=None)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(Report("yoga", "82 poses", [*card, Section("Mixed", [mixed, plain])])), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Visit:
    """A page of the report, with what the browser complained of and asked for."""

    def __init__(self, browser: Browser, file: Path, width: int, scheme: Any = "light") -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page.set_default_timeout(30_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        begun = time.perf_counter()
        self.page.goto(file.as_uri())
        self.seconds = time.perf_counter() - begun

    def draw(self) -> None:
        """Come near to every plot and wait until it is drawn."""
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator(".live .main-svg").first.wait_for()


@pytest.fixture(scope="module")
def visit(browser: Browser, file: Path) -> Iterator[Visit]:
    opened = Visit(browser, file, 1400)
    opened.draw()
    yield opened
    opened.page.close()


def test_it_opens_at_once_complains_of_nothing_and_asks_for_nothing(visit: Visit, file: Path) -> None:
    print(f"opened in {visit.seconds:.2f} s")
    assert visit.seconds < 15
    assert visit.complaints == []
    assert {url for url in visit.requests if not url.startswith(("data:", "blob:"))} == {file.as_uri()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(browser: Browser, file: Path, scheme: str) -> None:
    narrow = Visit(browser, file, 390, scheme)
    narrow.draw()
    assert narrow.page.evaluate("document.documentElement.scrollWidth") == 390
    assert narrow.page.locator(".plot .live").first.evaluate("live => live.layout.height") == 300
    dark = narrow.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 23, 23)")
    assert narrow.complaints == []
    narrow.page.close()


def test_every_text_stands_out_from_its_page(browser: Browser, file: Path) -> None:
    for scheme in ("light", "dark"):
        visited = Visit(browser, file, 1400, scheme)
        colours = visited.page.evaluate(
            """[...new Set([...document.querySelectorAll("p, dt, dd, th, td, a, h1, h2, figcaption, .note")]
                .map(each => getComputedStyle(each).color))]"""
        )
        page = visited.page.evaluate("getComputedStyle(document.body).backgroundColor")
        # WCAG 2.2, success criterion 1.4.3.
        assert all(contrast(colour, page) >= 4.5 for colour in colours)
        visited.page.close()


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, by WCAG 2.2."""
    channels = [int(part) / 255 for part in colour.strip("rgb()").split(",")]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_table_is_sorted_by_its_heads_and_the_unknown_stays_last(visit: Visit) -> None:
    table = visit.page.locator("#mixed table")

    def names() -> list[str]:
        return [text.strip() for text in table.locator("tbody th").all_inner_texts()]

    score, name = table.get_by_role("button", name="score"), table.get_by_role("button", name="name")
    score.click()
    assert names() == ["c", "b", "a"]
    assert table.locator("thead th").nth(1).get_attribute("aria-sort") == "descending"
    score.click()
    assert names() == ["b", "c", "a"]
    name.click()
    assert names() == ["a", "b", "c"]
    assert table.locator("thead th").nth(1).get_attribute("aria-sort") is None


def test_the_head_of_a_long_table_stays_and_a_row_can_be_found(visit: Visit) -> None:
    figure = visit.page.locator("#classes .table.long")
    figure.locator(".scroll").evaluate("scroll => scroll.scrollTo(0, 400)")
    top = figure.locator(".scroll").evaluate("scroll => scroll.getBoundingClientRect().top")
    assert figure.locator("thead th").first.evaluate("th => th.getBoundingClientRect().top") == pytest.approx(
        top, abs=2
    )
    figure.get_by_role("searchbox").fill("sage_7_")
    assert figure.locator("tbody tr:visible").count() == 1
    figure.get_by_role("searchbox").fill("")
    assert figure.locator("tbody tr:visible").count() == CLASSES


def test_a_plot_finds_its_classes(visit: Visit) -> None:
    plot = visit.page.locator("#precision-and-recall .plot")
    shown = "live => live.data.map(trace => trace.visible ?? true)"
    live = plot.locator(".live")
    for sought, expected in (("second", ["legendonly", True]), ("", [True, True])):
        plot.get_by_role("searchbox").fill(sought)
        # The report's policy forbids what playwright's own waiting evaluates.
        for _ in range(100):
            if live.evaluate(shown) == expected:
                break
            visit.page.wait_for_timeout(50)
        assert live.evaluate(shown) == expected
    assert plot.locator(".hint").inner_text() == "Point at a curve."


def test_a_picture_is_enlarged_and_put_back(visit: Visit) -> None:
    button = visit.page.locator("#confusions button.image")
    shown, whole = button.locator("img").evaluate("img => [img.clientWidth, img.naturalWidth]")
    button.click()
    dialog = visit.page.locator("dialog")
    assert dialog.locator("img").evaluate("img => img.clientWidth") == whole > shown
    visit.page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_paper_has_the_still_in_place_of_the_plot_and_all_rows(visit: Visit) -> None:
    visit.page.emulate_media(media="print", color_scheme="dark")
    plot = visit.page.locator("#precision-and-recall .plot")
    assert plot.locator(".still img").is_visible()
    assert not plot.locator(".live").is_visible()
    assert visit.page.locator("#mixed .plot").get_by_text("no printed form").is_visible()
    scroll = visit.page.locator("#classes .table .scroll")
    assert scroll.evaluate("scroll => scroll.clientHeight >= scroll.querySelector('table').clientHeight")
    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert visit.page.pdf().startswith(b"%PDF")
    visit.page.emulate_media(media="screen", color_scheme="light")


def test_without_scripts_the_still_and_every_row_are_there(browser: Browser, file: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(file.as_uri())
    assert page.locator("#precision-and-recall .still img").is_visible()
    assert page.locator("#classes tbody tr").count() == CLASSES
    page.context.close()
