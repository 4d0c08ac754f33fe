"""What the interactive figures hold, and the page that holds them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explored import HOSTILE, explored, numbered

from wellai_exp import metrics
from wellai_exp.errors import WellaiError
from wellai_exp.evaluation import (
    Evaluation,
    confusion_explorer,
    per_class_plot,
    pr_explorer,
    reliability_plot,
    write_interactive,
)
from wellai_exp.evaluation._seriation import order_by_confusion
from wellai_exp.metrics import ArrayError

FIGURES = (pr_explorer, confusion_explorer, reliability_plot, per_class_plot)


def drawn(figure: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Give the traces and the layout as they were built, arrays and all."""
    built = figure.to_dict()
    return built["data"], built["layout"]


def pressed(figure: Any, label: str, menu: int = 0) -> list[Any]:
    (button,) = [button for button in figure.layout.updatemenus[menu].buttons if button.label == label]
    return list(button.args)


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize(
    ("names", "missing"),
    [(("only",), 0), (("a", "b"), 0), (HOSTILE, 1), (numbered(82), 2)],
    ids=["one", "two", "hostile", "many"],
)
def test_any_classes_can_be_drawn(draw: Callable[[Evaluation], Any], names: tuple[str, ...], missing: int) -> None:
    figure = draw(explored(names, missing=missing))
    figure.to_json()
    assert figure.layout.meta["hint"].endswith(".")


def test_the_curves_are_listed_from_the_worst_to_the_best() -> None:
    evaluation = explored(numbered(20), missing=1)
    traces, _ = drawn(pr_explorer(evaluation))
    of_classes = [trace for trace in traces if "meta" in trace]
    ranked = evaluation.per_class.dropna(subset="auc_pr").sort_values("auc_pr")
    assert [trace["meta"] for trace in of_classes] == ranked["class"].tolist()
    states = [trace["visible"] for trace in of_classes]
    assert states == [True] * 3 + ["legendonly"] * 13 + [True] * 3
    assert len({trace["line"]["color"] for trace in of_classes if trace["visible"] is True}) == 6


@pytest.mark.parametrize(
    ("label", "chosen"),
    [
        ("worst 10", range(10)),
        ("best 10", range(10, 20)),
        ("all", range(20)),
        ("none", ()),
        ("worst and best 3", (0, 1, 2, 17, 18, 19)),
    ],
)
def test_a_button_shows_the_curves_that_it_names(label: str, chosen: range) -> None:
    figure = pr_explorer(explored(numbered(20)))
    (states,) = (given["visible"] for given in pressed(figure, label))
    assert len(states) == len(figure.data)
    assert states[:2] == [True, True]
    assert [place for place, state in enumerate(states[2:]) if state is True] == list(chosen)


def test_few_curves_are_all_shown() -> None:
    traces, layout = drawn(pr_explorer(explored(("a", "b", "c"))))
    assert [trace.get("visible", True) for trace in traces] == [True] * 4
    assert not layout.get("updatemenus")


def test_the_area_under_each_curve_is_its_auc_pr() -> None:
    evaluation = explored(numbered(12))
    scores = dict(zip(evaluation.class_names, evaluation.auc_pr, strict=True))
    for trace in pr_explorer(evaluation).data[2:]:
        # "vh": from a corner the line goes to the next precision first, then along to the next recall.
        area = np.sum(np.diff(trace.x) * trace.y[1:])
        assert trace.line.shape == "vh"
        assert area == pytest.approx(scores[trace.meta], abs=1e-12)


def test_each_order_of_the_matrix_shows_the_same_cells() -> None:
    evaluation = explored(tuple("cbadfe"), missing=1)
    figure = confusion_explorer(evaluation)
    labels = [button.label for button in figure.layout.updatemenus[0].buttons]
    assert labels == ["by index", "by name", "by confusion", "by hierarchy"]
    for label in labels:
        traces, layout = pressed(figure, label)
        (names,) = traces["x"]
        assert traces["y"] == traces["x"] == [layout["xaxis.categoryarray"]] == [layout["yaxis.categoryarray"]]
        assert sorted(names) == list("abcdef")
        shares, rows = traces["z"]
        for line, true in enumerate(names):
            for column, predicted in enumerate(names):
                index = evaluation.class_names.index(true)
                count = evaluation.confusion[index, evaluation.class_names.index(predicted)]
                sign = -1 if true == predicted else 1
                assert (shares[line][column] is None) == (rows[line][column] is None) == (count == 0)
                assert traces["text"][1][line][column] == (count or "")
                if count:
                    share = count / evaluation.support[index]
                    told = f"true <b>{true}</b><br>predicted <b>{predicted}</b><br>"
                    told += f"{count} of {evaluation.support[index]} rows ({share:.1%})"
                    assert traces["hovertext"][0][line][column] == told
                    assert 0 < sign * shares[line][column] <= 1
                    assert 0 < sign * rows[line][column] <= 1


def test_the_matrix_is_ordered_by_name_and_by_hierarchy() -> None:
    figure = confusion_explorer(explored(tuple("cbadfe")))
    assert pressed(figure, "by name")[0]["x"] == [list("abcdef")]
    traces, layout = pressed(figure, "by hierarchy")
    # Even places are "down", odd ones "up"; one border in each direction lies between them.
    assert traces["x"] == [list("acf") + list("bde")]
    assert [(line["x0"], line["x1"]) for line in layout["shapes"]] == [(2.5, 2.5), (-0.5, 5.5)]
    assert "by hierarchy" not in [
        button.label for button in confusion_explorer(explored(("a", "b"))).layout.updatemenus[0].buttons
    ]


def test_confused_classes_become_neighbours() -> None:
    pairs = [(0, 5), (1, 4), (2, 7), (3, 6)]
    partner = {one: other for pair in pairs for one, other in (pair, pair[::-1])}
    labels = np.repeat(np.arange(8), 10)
    predicted = np.array([partner[int(label)] if row % 10 < 4 else label for row, label in enumerate(labels)])
    evaluation = Evaluation(labels, np.eye(8)[predicted], tuple("abcdefgh"))
    order = order_by_confusion(evaluation).tolist()
    assert sorted(order) == list(range(8))
    assert {frozenset(pair) for pair in pairs} <= {frozenset(pair) for pair in pairwise(order)}


def test_the_reliability_plot_tells_both_errors() -> None:
    evaluation = explored(tuple("abcd"), rows=600)
    before = evaluation.aggregates["expected_calibration_error"]
    cooled = metrics.scale_temperature(evaluation.probabilities, 0.5)
    after = metrics.reliability(evaluation.labels, cooled).error
    names = [trace.name for trace in reliability_plot(evaluation, 0.5).data if trace.showlegend is None]
    assert names == [f"as predicted: ECE {before:.3f}", f"temperature 0.50, as given: ECE {after:.3f}"]
    assert "fitted to these rows" in str(reliability_plot(evaluation).data[-1].name)
    with pytest.raises(ArrayError, match="temperature must be above 0"):
        reliability_plot(evaluation, 0.0)


def test_the_bars_of_the_reliability_plot_hold_every_row() -> None:
    evaluation = explored(tuple("abcd"), rows=600)
    for trace in reliability_plot(evaluation).data:
        if trace.type == "bar":
            assert sum(trace.y) == len(evaluation.labels)


def test_classes_are_drawn_with_their_intervals() -> None:
    evaluation = explored(tuple("abcdef"), missing=1)
    scores = dict(zip(evaluation.class_names, evaluation.auc_pr, strict=True))
    intervals = [metrics.Interval(score, score - 0.2, score + 0.1) for score in evaluation.auc_pr]
    figure = per_class_plot(evaluation, intervals)
    assert [trace.name.split()[0] for trace in figure.data] == ["head", "mid", "tail"]
    seen = {
        name: (score, low, high)
        for trace in figure.data
        for name, score, low, high in zip(trace.y, trace.x, trace.error_x.arrayminus, trace.error_x.array, strict=True)
    }
    assert set(seen) == set("abcdef")
    assert seen["a"] == pytest.approx((scores["a"], 0.2, 0.1))
    assert np.isnan(seen["f"]).all()
    with pytest.raises(ArrayError, match="6 classes but 5 intervals"):
        per_class_plot(evaluation, intervals[:5])


def test_classes_are_sorted_by_what_the_button_says() -> None:
    evaluation = explored(tuple("cbadfe"), missing=1)
    figure = per_class_plot(evaluation)
    table = evaluation.per_class
    (by_score,), (by_name,), (by_rows,), (by_training,) = (
        pressed(figure, label) for label in ("by AUC-PR", "by name", "by rows", "by training images")
    )
    assert by_score["yaxis.categoryarray"][:5] == table.sort_values("auc_pr", ascending=False)["class"].tolist()[:5]
    assert by_score["yaxis.categoryarray"][5] == "e"
    assert by_name["yaxis.categoryarray"] == list("abcdef")
    counts = table.set_index("class")["support"]
    assert all(counts[one] >= counts[other] for one, other in pairwise(by_rows["yaxis.categoryarray"]))
    assert by_training["yaxis.categoryarray"] == list("cbadfe")


def test_a_page_holds_everything_once(tmp_path: Path) -> None:
    evaluation = explored(HOSTILE, missing=1)
    write_interactive(
        {f"{draw.__name__} <&": draw(evaluation) for draw in FIGURES}, tmp_path / "page.html", "A <title>"
    )
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("* plotly.js v") == 1
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)
    assert f"<h1>{html.escape('A <title>')}</h1>" in text
    assert "pr_explorer &lt;&amp;</h2>" in text
    # A name that would end the element that holds it is nowhere in the page.
    assert "<script>alert" not in text


def test_names_that_look_alike_are_told_apart() -> None:
    evaluation = explored(("a b", "a\nb", "c"))
    assert pressed(confusion_explorer(evaluation), "by index")[0]["x"] == [["a b", "a b [1]", "c"]]
    assert {name for trace in per_class_plot(evaluation).data for name in trace.y} == {"a b", "a b [1]", "c"}


def test_a_page_without_figures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WellaiError, match="at least one figure"):
        write_interactive({}, tmp_path / "page.html", "empty")
