"""Rankings, spreads over seeds and learning curves: exact tables, whole figures, refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from wellai_exp import evaluation as room
from wellai_exp.errors import DataError

LONG = "mobilenet_v3_large rand_augment class_balanced_batches hierarchical lion"
HOSTILE = r"$\frac{$ 나무 자세 100 % _hidden"
Runs = dict[str, list[dict[str, float]]]


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def texts_outside(figure: Any) -> list[str]:
    """Give the titles, row names and notes that the edge of the figure cuts."""
    figure.canvas.draw()
    axes = figure.axes[0]
    shown = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts, *figure.texts]
    # Ticks beyond the limits are made, but not drawn.
    bottom, top = sorted(axes.get_ylim())
    shown += [tick.label1 for tick in axes.yaxis.get_major_ticks() if bottom <= tick.get_loc() <= top]
    shown += [*(axes.get_legend().get_texts() if axes.get_legend() else [])]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown if text.get_text().strip()]
    low, high = figure.bbox.min - 1, figure.bbox.max + 1
    return [name for name, box in boxes if (box.min < low).any() or (box.max > high).any()]


def ranking(count: int = 4) -> pd.DataFrame:
    names = [LONG, HOSTILE, "small_conv", "resnet50", *(f"backbone {index}" for index in range(20))][:count]
    scores = [0.5 + 0.01 * (index * 7 % count) for index in range(count)]
    return pd.DataFrame({"backbone": names, "score": scores, "dim": 1280, "seconds": 0.4})


def seeds(**values: Sequence[float]) -> Runs:
    return {name: [{"auc_pr_macro": value, "log_loss": 1 - value} for value in of] for name, of in values.items()}


def curves(*trials: tuple[int, str, Sequence[float]]) -> pd.DataFrame:
    rows = [
        (number, epoch, value, state) for number, state, values in trials for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "value", "state"])


def lines(figure: Any, color: str) -> list[Any]:
    return [line for line in figure.axes[0].lines if line.get_color() == color]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("count", [1, 4, 24])
@pytest.mark.parametrize("keep", [None, 1])
def test_a_ranking_is_drawn_best_first_with_all_its_text(count: int, keep: int | None) -> None:
    figure: Any = room.ranking_figure(ranking(count), "LogME (nats per image)", keep=keep)
    assert texts_outside(figure) == []
    drawn = np.concatenate([line.get_xdata() for line in figure.axes[0].lines])
    np.testing.assert_array_equal(drawn, np.sort(ranking(count)["score"])[::-1])
    left_out = [text for text in texts(figure) if text.startswith("left out")]
    assert left_out == ([f"left out ({count - 1})"] if keep and count > 1 else [])


def test_a_ranking_of_nothing_says_so() -> None:
    assert "No backbone was ranked." in texts(room.ranking_figure(ranking(4).head(0), "score"))


@pytest.mark.parametrize(
    ("table", "words"),
    [(ranking().drop(columns="dim"), "lacks dim"), (ranking().assign(score=np.nan), "must be finite")],
)
def test_an_unsound_ranking_is_refused(table: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        room.ranking_figure(table, "score")


def test_the_table_of_seeds_is_exact() -> None:
    runs: dict[str, list[dict[str, float]]] = {
        "a": [{"x": 1.0, "y": 5.0}, {"x": 2.0}, {"x": 6.0}],
        "b": [{"x": 0.5}],
    }
    table = room.seeds_table(runs)
    assert list(table.columns) == ["candidate", "metric", "mean", "std", "min", "max", "n"]
    assert table.iloc[0].tolist() == ["a", "x", 3.0, pytest.approx(math.sqrt(7)), 1.0, 6.0, 3]
    assert table.iloc[[1, 2]][["candidate", "metric", "n"]].to_numpy().tolist() == [["a", "y", 1], ["b", "x", 1]]
    assert table["std"].isna().tolist() == [False, True, True]


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6), st.floats(-100, 100), st.floats(0.01, 100))
def test_shift_and_scale_carry_over_to_the_table(values: list[float], shift: float, scale: float) -> None:
    one = room.seeds_table({"a": [{"x": value} for value in values]}).iloc[0]
    two = room.seeds_table({"a": [{"x": scale * value + shift} for value in values]}).iloc[0]
    for name in ("mean", "min", "max"):
        assert two[name] == pytest.approx(scale * one[name] + shift, rel=1e-6, abs=1e-6)
    assert two["std"] == pytest.approx(scale * one["std"], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("runs", "words"),
    [({"a": []}, "'a' has no run"), ({"a": [{"x": float("nan")}]}, "must be finite"), ({"a": [{"y": 1.0}]}, "lacks")],
)
def test_unsound_runs_are_refused(runs: Mapping[str, Sequence[Mapping[str, float]]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        room.seeds_figure(runs, "x")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    "runs",
    [
        seeds(only=[0.5]),
        seeds(only=[0.5, 0.6]),
        {**seeds(one=[0.5], two=[0.5]), **seeds(**{LONG: [0.9, 0.8], HOSTILE: [0.8, 0.81, 0.83]})},
        seeds(**{f"candidate {index}": [0.5, 0.6 + index / 100] for index in range(15)}),
    ],
    ids=["one seed", "one candidate", "hostile", "many"],
)
def test_a_figure_of_seeds_holds_all_its_text(runs: Runs) -> None:
    assert texts_outside(room.seeds_figure(runs, "auc_pr_macro")) == []


def test_a_figure_of_seeds_says_lead_and_spread_and_shows_every_seed() -> None:
    figure: Any = room.seeds_figure(seeds(low=[0.5, 0.6], high=[0.7, 0.8, 0.9]), "auc_pr_macro")
    title = next(text for text in texts(figure) if "leads by" in text)
    assert "leads by 0.2500" in title
    assert "seeds 0.1000" in title
    assert "0.0707" in title
    assert sum(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o") == 5


def test_the_smallest_loss_stands_on_top() -> None:
    runs = seeds(low=[0.5], high=[0.9])
    for metric in ("auc_pr_macro", "log_loss"):
        figure: Any = room.seeds_figure(runs, metric)
        assert figure.axes[0].get_yticklabels()[0].get_text().startswith("high")


def test_one_seed_has_no_bar() -> None:
    several: Any = room.seeds_figure(seeds(a=[0.5, 0.6], b=[0.4, 0.5]), "auc_pr_macro")
    single: Any = room.seeds_figure(seeds(a=[0.5], b=[0.4]), "auc_pr_macro")
    assert len(several.axes[0].collections) == 1
    assert len(single.axes[0].collections) == 0
    assert any("unknown (one seed)" in text for text in texts(single))


def test_no_candidate_says_so() -> None:
    assert "No candidate was trained." in texts(room.seeds_figure({}, "auc_pr_macro"))


def test_the_best_curve_is_the_finished_one_that_ends_highest() -> None:
    from wellai_exp.evaluation._style import BLUE, GREY, ORANGE, VERMILION

    table = curves(
        (0, "COMPLETE", [0.2, 0.9, 0.6]),
        (1, "COMPLETE", [0.3, 0.5, 0.7]),
        (2, "PRUNED", [0.95]),
        (3, "FAIL", [0.1, np.nan]),
        (4, "PRUNED", [0.1, 0.2]),
    )
    figure: Any = room.learning_curves_figure(table.sample(frac=1, random_state=0))
    (best,) = lines(figure, ORANGE)
    assert best.get_label() == "best: trial 1"
    np.testing.assert_array_equal(best.get_ydata(), [0.3, 0.5, 0.7])
    (other,) = lines(figure, BLUE)
    assert [line.get_marker() for line in lines(figure, GREY)] == ["x", "x"]
    assert best.get_linewidth() > other.get_linewidth() > lines(figure, GREY)[0].get_linewidth()
    np.testing.assert_array_equal(lines(figure, VERMILION)[0].get_ydata(), [0.1])
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["finished (2)", "pruned (2)", "failed (1)", "best: trial 1"]
    assert "0.7000" in texts(figure)


@pytest.mark.parametrize(
    "table",
    [
        curves((0, "COMPLETE", [0.5])),
        curves((0, "PRUNED", [0.5, 0.6])),
        curves(
            *((number, "COMPLETE", (np.linspace(0.1, 0.9, 100) ** (1 + number / 9)).tolist()) for number in range(20))
        ),
    ],
    ids=["one epoch", "none finished", "many"],
)
def test_learning_curves_hold_all_their_text(table: pd.DataFrame) -> None:
    figure = room.learning_curves_figure(table)
    assert texts_outside(figure) == []


def test_no_epoch_yet_says_so() -> None:
    assert "No trial has reported an epoch yet." in texts(room.learning_curves_figure(curves()))
    assert "No trial has reported an epoch yet." in texts(room.learning_curves_figure(curves((0, "FAIL", [np.nan]))))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (curves((0, "COMPLETE", [0.5])).drop(columns="epoch"), "lack epoch"),
        (curves((0, "RUNNING", [0.5])), "RUNNING occurs"),
        (curves((0, "COMPLETE", [0.5]), (0, "PRUNED", [0.6])), "more than one state"),
        (curves((7, "COMPLETE", [0.5]), (7, "COMPLETE", [0.6])), "Trial 7 has two values of epoch 1"),
    ],
)
def test_unsound_curves_are_refused(table: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        room.learning_curves_figure(table)
