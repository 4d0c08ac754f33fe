"""The picture of a trade-off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import DataError
from wellai_exp.evaluation import pareto_figure
from wellai_exp.evaluation._pareto import Goal, _front

TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3, 4, 5],
        "state": ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", "COMPLETE"],
        "feasible": [True, True, True, True, False, False],
        "latency_ms": [5.0, 10.0, 12.0, 8.0, np.nan, 30.0],
        "accuracy": [0.6, 0.8, 0.7, 0.5, np.nan, 0.9],
    }
)
BOUND = {"latency_ms": ("<=", 20.0), "size_mb": ("<=", 3.0)}


def draw(trials: pd.DataFrame = TRIALS, winner: int | None = 1, **options: Any) -> Any:
    chosen: dict[str, Any] = {"constraints": BOUND, "unconstrained": 5} | options
    return pareto_figure(trials, "latency_ms", "accuracy", winner=winner, **chosen).axes[0]


def line(axes: Any, label: str) -> np.ndarray[Any, Any]:
    return np.array(next(each for each in axes.lines if each.get_label() == label).get_xydata())


def test_the_front_is_of_the_feasible_trials_and_both_winners_are_marked() -> None:
    axes = draw()
    assert line(axes, "front").tolist() == [[5, 0.6], [10, 0.8]]
    assert line(axes, "winner").tolist() == [[10, 0.8]]
    assert line(axes, "winner without constraints").tolist() == [[30, 0.9]]
    assert {text.get_text() for text in axes.texts} == {"trial 1", "trial 5"}
    assert {"pruned (1)", "complete (3)", "breaks a constraint (1)"} <= {each.get_label() for each in axes.lines}


@pytest.mark.parametrize(("sign", "shaded"), [("<=", (20, None)), (">=", (None, 20))])
def test_the_region_beyond_a_bound_is_shaded_to_the_edge(sign: str, shaded: tuple[float | None, ...]) -> None:
    axes = draw(constraints={"latency_ms": (sign, 20.0)})
    region = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    edges = [edge if bound is None else bound for edge, bound in zip(axes.get_xlim(), shaded, strict=True)]
    assert [region.x0, region.x1] == pytest.approx(edges)


def test_a_bound_outside_the_points_is_in_the_picture() -> None:
    low, high = draw(constraints={"latency_ms": ("<=", 100.0), "accuracy": (">=", 0.1)}).get_xlim()
    assert low < 5 < 100 < high


def test_one_winner_is_marked_once() -> None:
    axes = draw(unconstrained=1)
    assert [text.get_text() for text in axes.texts] == ["trial 1"]


def test_without_a_feasible_trial_there_is_no_front_and_no_winner() -> None:
    axes = draw(TRIALS.assign(feasible=False), winner=None)
    assert line(axes, "front").size == 0
    assert [text.get_text() for text in axes.texts] == ["trial 5"]


def test_a_study_without_a_finished_trial_says_so() -> None:
    assert "No trial has finished" in draw(TRIALS.iloc[:0], winner=None, unconstrained=None).texts[0].get_text()


@pytest.mark.parametrize("number", [3, 4, 9])
def test_a_winner_that_is_not_complete_is_refused(number: int) -> None:
    with pytest.raises(DataError, match=f"Trial {number} cannot be marked"):
        draw(winner=number)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="lack the columns feasible, latency_ms"):
        draw(TRIALS.drop(columns=["feasible", "latency_ms"]))


GOALS: list[Goal] = ["maximize", "minimize"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15),
    st.sampled_from(GOALS),
    st.sampled_from(GOALS),
)
def test_the_front_is_what_no_point_dominates(points: list[tuple[int, int]], x_goal: Goal, y_goal: Goal) -> None:
    def beaten(point: tuple[int, int]) -> bool:
        def better(a: int, b: int, goal: Goal) -> bool:
            return a >= b if goal == "maximize" else a <= b

        return any(
            other != point and better(other[0], point[0], x_goal) and better(other[1], point[1], y_goal)
            for other in points
        )

    front = _front(pd.DataFrame(points, columns=["x", "y"]), "x", "y", x_goal, y_goal)
    assert [tuple(point) for point in front] == sorted({point for point in points if not beaten(point)})
