"""A report's blocks: what is read in the file is what was put in, and nothing leaves the file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from plotly.graph_objects import Figure

from wellai_exp.errors import DataError
from wellai_exp.report import (
    Block,
    Code,
    Facts,
    Highlight,
    Highlights,
    Picture,
    Plot,
    Points,
    Report,
    Section,
    Table,
    Term,
    Text,
    Whisker,
    render,
)
from wellai_exp.report._values import Scale, cells, number

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "A_(B)/C & D",
    "나무 자세 II",
)
# Text that a file can hold: HTML knows no NUL and makes one sign of each line end.
readable = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x0c"), min_size=1).filter(str.strip)


class Page(HTMLParser):
    """The elements of a file with their attributes, and the text of each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in {"meta", "img", "wbr", "link", "input"}:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data


def png(width: int = 3, height: int = 2) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "png")
    return buffer.getvalue()


def page_of(*blocks: Block, title: str = "Report") -> Page:
    return Page(render(Report(title, "", [Section("One", blocks)])))


def every_block(text: str) -> list[Block]:
    return [
        Text(text),
        Points([text]),
        Facts({text: text, "a digest": Code(text)}),
        Highlights([Highlight(text, text, text)]),
        Code(text),
        Table(pd.DataFrame({text: [Term(text, text)]}), text),
        Picture(png(), text, text),
        Plot(Figure(layout={"title": {"text": text}}), text, text, png()),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_is_read_as_it_was_given_and_adds_no_element(text: str) -> None:
    plain, page = page_of(*every_block("plain")), page_of(*every_block(text))
    assert [tag for tag, _ in page.elements if tag != "wbr"] == [tag for tag, _ in plain.elements]
    for tag in ("p", "li", "dt", "dd", "pre", "caption", "figcaption"):
        assert all(read == text for read in page.texts.get(tag, []) if read != "a digest"), tag
    assert [attributes["alt"] for tag, attributes in page.elements if tag == "img"] == [text, text]


@settings(max_examples=30)
@given(readable)
def test_any_text_survives_the_templates(text: str) -> None:
    assert page_of(Text(text)).texts["p"] == [text]


def test_a_name_that_is_not_utf8_can_be_written() -> None:
    assert page_of(Text("pose \udcff")).texts["p"] == ["pose ?"]


def test_the_file_asks_no_host_and_its_policy_forbids_every_other_script() -> None:
    html = render(Report("Report", "", [Section("One", every_block("text"))]))
    page = Page(html)
    addresses = [value for _, each in page.elements for name, value in each.items() if name in {"src", "href"}]
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert not re.search(r"@import|url\(", "".join(page.texts["style"]))
    policy = next(each["content"] for tag, each in page.elements if tag == "meta" and "http-equiv" in each)
    kinds = [each.get("type") for tag, each in page.elements if tag == "script"]
    own = page.texts["script"][kinds.index(None)]
    library = gzip.decompress(base64.b64decode(page.texts["script"][kinds.index("application/gzip")]))
    allowed = [base64.b64encode(hashlib.sha256(source).digest()).decode() for source in (own.encode(), library)]
    assert policy.startswith("default-src 'none';")
    assert policy.endswith("script-src " + " ".join(f"'sha256-{digest}'" for digest in allowed))
    assert b"plotly.js v" in library[:300]


def test_a_report_without_plots_holds_no_plotting_library() -> None:
    assert len(render(Report("Report", "", [Section("One", [Text("text")])]))) < 30_000


@settings(max_examples=20)
@given(st.lists(readable, min_size=1, max_size=4))
def test_sections_have_addresses_that_differ_and_are_listed(titles: list[str]) -> None:
    report = Report("Report", "", [Section(title, []) for title in [*titles, *titles]])
    assert len(set(report.anchors)) == 2 * len(titles)
    assert not any(re.search(r"\s|[\"'&<>#]", anchor) for anchor in report.anchors)
    page = Page(render(report))
    links = [each["href"] for tag, each in page.elements if tag == "a" and not each.get("class")]
    assert links == [f"#{anchor}" for anchor in report.anchors]
    assert {each["id"] for tag, each in page.elements if tag == "section"} == set(report.anchors)


def test_headings_do_not_skip_a_level_and_tables_say_what_their_heads_head() -> None:
    page = page_of(*every_block("text"))
    assert [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)] == ["h1", "h2"]
    assert [each["scope"] for tag, each in page.elements if tag == "th"] == ["col", "row"]


def test_an_unknown_number_stands_where_the_numbers_stand() -> None:
    page = page_of(Table(pd.DataFrame({"name": ["a", "b"], "score": [0.5, None], "said": ["", "x"]}), "Scores."))
    read = [(each.get("class"), each["data-key"]) for tag, each in page.elements if tag == "td"]
    assert read == [("number", "0.5"), (None, ""), ("number", ""), (None, "x")]


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    page = page_of(Facts({"a": None, "b": "", "c": math.nan, "d": 0, "e": "text"}))
    assert page.texts["dd"] == ["unknown", "unknown", "unknown", "0", "text"]


def test_columns_have_the_digits_that_tell_their_values_apart() -> None:
    assert [cell.text for cell in cells([0.5, -0.25, math.nan, 0.0])] == ["0.500", "−0.250", "–", "0.000"]
    assert [cell.text for cell in cells([0.0003, 0.0015])] == ["0.000300", "0.00150"]
    assert [cell.text for cell in cells([12_345, True, "text", None])] == ["12,345", "yes", "text", "–"]
    assert [number(value) for value in (17.92, 2_362_962.0, 1e-9, 0.0)] == ["17.9", "2,362,962", "1.00e−09", "0"]


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.integers(-1000, 1000), st.just(math.nan)), min_size=1))
def test_a_column_of_numbers_is_sorted_by_its_numbers(values: list[float]) -> None:
    for cell, value in zip(cells(values), values, strict=True):
        assert cell.numeric is not math.isnan(value)
        assert cell.key == "" if math.isnan(value) else float(cell.key) == value


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 3).map(sorted), min_size=1))
@example([[0.0, 0.0, 5e-324]])
def test_whiskers_lie_inside_their_picture_in_the_order_of_their_values(triples: list[list[float]]) -> None:
    whiskers = [Whisker(estimate, low, high) for low, estimate, high in triples]
    drawn = [cell.drawn for cell in cells(whiskers)]
    assert len(drawn) == len(whiskers)
    for each in drawn:
        assert each is not None
        assert each.line is not None
        assert 5 <= each.line[0] <= each.dot <= each.line[1] <= 195
    dots = [each.dot for each in drawn if each is not None]
    order = np.argsort([whisker.estimate for whisker in whiskers], kind="stable")
    assert all(np.diff(np.array(dots)[order]) >= 0)


def test_a_scale_has_round_ends_and_marks_zero_only_inside() -> None:
    assert Scale.around([Whisker(0.902, 0.89, 0.917)]) == pytest.approx((0.89, 0.92))
    assert Scale.around([Whisker(0.5)]) == pytest.approx((0.4, 0.6))
    crossing, above = cells([Whisker(0.01, -0.02, 0.04), Whisker(math.nan)])[0], cells([Whisker(0.5, 0.4, 0.6)])[0]
    assert crossing.drawn is not None
    assert above.drawn is not None
    assert crossing.drawn.zero == pytest.approx(5 + 190 * 2 / 6, abs=0.1)
    assert above.drawn.zero is None


def test_a_whisker_without_an_estimate_is_an_empty_cell() -> None:
    (cell,) = cells([Whisker(math.nan, 0.1, 0.2)])
    assert (cell.text, cell.key, cell.drawn) == ("–", "", None)


def test_pictures_keep_their_bytes_and_tell_their_size() -> None:
    picture = Picture(png(7, 5), "a grey patch")
    assert picture.size == (7, 5)
    assert base64.b64decode(picture.uri.removeprefix("data:image/png;base64,")) == picture.image


def test_a_figure_of_photographs_becomes_a_jpeg() -> None:
    from wellai_exp.evaluation._contact_sheet import contact_sheet

    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sheet = contact_sheet([pixels], ["noise"], "One", 1)
    as_photograph = Picture(sheet, "noise", photograph=True).uri
    assert as_photograph.startswith("data:image/jpeg;base64,")
    assert len(as_photograph) < len(Picture(sheet, "noise").uri)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Picture(png(), " "), "needs alt"),
        (lambda: Picture(b"GIF89a", "text").uri, "must be a PNG, JPEG or WebP file"),
        (lambda: Picture(png()[:20], "text").size, "cannot be decoded"),
        (lambda: Plot("figure", "text"), "must be a plotly figure, but it is a str"),
        (lambda: Plot(Figure(), ""), "needs alt"),
        (lambda: Table(pd.DataFrame({"a": []}), ""), "needs a caption"),
        (lambda: Table(pd.DataFrame([[1, 2]], columns=["a", "a"]), "text"), "must differ"),
        (lambda: Table(pd.DataFrame({"a": []}), "text", headings={"b": "B"}), "no column 'b'"),
        (lambda: Section("", []), "needs a title"),
        (lambda: Report(" ", "", []), "needs a title"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        make()
