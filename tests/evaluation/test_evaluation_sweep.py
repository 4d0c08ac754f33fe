"""Tables and pictures of a sweep's trials."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wellai_exp import evaluation as room
from wellai_exp.errors import DataError

BACKBONES = {"small": 0.0, "large": 0.1}
STRATEGIES = {"none": 0.0, "smote": 0.03, "weights": -0.02}


def trial(number: int, value: float = 0.5, state: str = "COMPLETE", **parameters: object) -> dict[str, Any]:
    value = np.nan if state == "FAIL" else value
    return {"number": number, "state": state, "value": value, "seconds": 1.5, "reason": "", **parameters}


def grid(repeats: int = 1) -> pd.DataFrame:
    """Every backbone with every strategy, the objective their exact sum."""
    return pd.DataFrame(
        [
            trial(number, 0.6 + BACKBONES[backbone] + STRATEGIES[strategy], backbone=backbone, imbalance=strategy)
            for number, (_, backbone, strategy) in enumerate(product(range(repeats), BACKBONES, STRATEGIES))
        ]
    )


def by_option(table: pd.DataFrame) -> dict[str, Any]:
    return {row["option"]: row for row in table.to_dict("records")}


def test_worth_of_an_additive_grid_is_exact() -> None:
    table = room.worth_table(grid())
    assert list(table.columns) == [
        "option", "trials", "best", "median", "best_gain",
        "adjusted_gain", "adjusted_gain_se", "adjusted_gain_low", "adjusted_gain_high", "failed",
    ]  # fmt: skip
    assert list(table["option"]) == ["smote", "none", "weights"]
    worth = by_option(table)
    for option, gain in STRATEGIES.items():
        assert worth[option]["best_gain"] == pytest.approx(gain)
        assert worth[option]["adjusted_gain"] == pytest.approx(gain)
    assert worth["smote"]["best"] == pytest.approx(0.73)
    assert worth["smote"]["median"] == pytest.approx(0.68)
    assert worth["smote"]["adjusted_gain_se"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(worth["none"]["adjusted_gain_se"])


def test_adjustment_undoes_an_unfair_draw() -> None:
    # smote met the large backbone three times of four, none once of four: the medians flatter it.
    draws = [("smote", "large")] * 3 + [("smote", "small")] + [("none", "large")] + [("none", "small")] * 3
    trials = pd.DataFrame(
        [trial(n, 0.6 + BACKBONES[b] + STRATEGIES[s], backbone=b, imbalance=s) for n, (s, b) in enumerate(draws)]
    )
    worth = by_option(room.worth_table(trials))
    assert worth["smote"]["median"] - worth["none"]["median"] == pytest.approx(0.13)
    assert worth["smote"]["adjusted_gain"] == pytest.approx(0.03)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_adjusted_gain_and_standard_error_follow_the_normal_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # The full grid first keeps the design of full rank, so that the textbook's inverse exists.
    cells = list(product(BACKBONES, STRATEGIES)) + [
        (str(rng.choice(list(BACKBONES))), str(rng.choice(list(STRATEGIES)))) for _ in range(int(rng.integers(0, 20)))
    ]
    values = rng.normal(size=len(cells))
    trials = pd.DataFrame(
        [trial(n, values[n], backbone=backbone, imbalance=option) for n, (backbone, option) in enumerate(cells)]
    )
    design = np.array([[1, s == "smote", s == "weights", b == "large"] for b, s in cells], dtype=float)
    inverse = np.linalg.inv(design.T @ design)
    estimates = inverse @ design.T @ values
    variance = np.sum((values - design @ estimates) ** 2) / (len(values) - 4)
    worth = by_option(room.worth_table(trials))
    for place, option in ((1, "smote"), (2, "weights")):
        assert worth[option]["adjusted_gain"] == pytest.approx(estimates[place], abs=1e-9)
        error = np.sqrt(variance * inverse[place, place])
        assert worth[option]["adjusted_gain_se"] == pytest.approx(error, abs=1e-9)
        margin = stats.t.ppf(0.975, len(values) - 4) * error
        assert worth[option]["adjusted_gain_low"] == pytest.approx(estimates[place] - margin, abs=1e-9)
        assert worth[option]["adjusted_gain_high"] == pytest.approx(estimates[place] + margin, abs=1e-9)


def test_the_interval_of_a_gain_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    design = grid(repeats=2)
    covered = []
    for _ in range(200):
        noisy = design.assign(value=design["value"] + rng.normal(0, 0.02, len(design)))
        smote = by_option(room.worth_table(noisy))["smote"]
        covered.append(smote["adjusted_gain_low"] <= STRATEGIES["smote"] <= smote["adjusted_gain_high"])
    # Three standard errors of a share of 200 draws around 95 %.
    assert 0.90 <= np.mean(covered) <= 0.996


def test_worth_by_metric_is_the_worth_of_each_metric() -> None:
    trials = grid(repeats=2)
    smote = trials["imbalance"] == "smote"
    trials["auc_pr_head"] = trials["value"] - 0.05 * smote
    trials["auc_pr_tail"] = trials["value"] + 0.10 * smote
    trials.loc[1, "auc_pr_tail"] = np.nan
    table = room.worth_by_metric(trials, ["auc_pr_head", "auc_pr_tail"])
    assert list(table["metric"].unique()) == ["auc_pr_head", "auc_pr_tail"]
    head, tail = (by_option(part) for _, part in table.groupby("metric"))
    assert head["smote"]["adjusted_gain"] == pytest.approx(-0.02)
    assert tail["smote"]["adjusted_gain"] == pytest.approx(0.13)
    assert (head["smote"]["trials"], tail["smote"]["trials"], tail["smote"]["failed"]) == (4, 3, 0)
    alone = room.worth_table(grid(repeats=2).assign(value=trials["auc_pr_head"]))
    pd.testing.assert_frame_equal(table.loc[table["metric"] == "auc_pr_head", list(alone.columns)], alone)
    with pytest.raises(DataError, match="no metric 'recall_tail'"):
        room.worth_by_metric(trials, ["recall_tail"])


def test_the_panels_hold_each_sweep_by_each_metric() -> None:
    rng = np.random.default_rng(0)
    tables = {}
    for name in ("나무 [1]", "$b_1$"):
        trials = grid(repeats=2)
        trials["value"] += rng.normal(0, 0.01, len(trials))
        trials["auc_pr_tail"] = trials["value"] * 2
        tables[name] = room.worth_by_metric(
            trials.assign(auc_pr_macro=trials["value"]), ["auc_pr_macro", "auc_pr_tail"]
        )
    figure: Any = room.worth_by_metric_figure(tables, "imbalance")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["AUC-PR macro", "AUC-PR tail"]
    options = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert options == ["smote", "none", "weights"]
    drawn = [container.lines[0].get_xdata() for container in figure.axes[1].containers]
    for gains, table in zip(drawn, tables.values(), strict=True):
        tail = by_option(table[table["metric"] == "auc_pr_tail"])
        np.testing.assert_allclose(gains, [100 * tail[option]["adjusted_gain"] for option in options])


def test_an_interval_without_trials_to_spare_does_not_press_the_others_to_a_line() -> None:
    rows = [("none", "small", 0.5), ("none", "large", 0.6), ("smote", "small", 0.53), ("smote", "large", 0.66)]
    trials = pd.DataFrame([trial(n, value, backbone=b, imbalance=s) for n, (s, b, value) in enumerate(rows)])
    table = room.worth_by_metric(trials.assign(accuracy=trials["value"]), ["accuracy"])
    smote = by_option(table)["smote"]
    figure: Any = room.worth_by_metric_figure({"sweep": table}, "imbalance")
    # One degree of freedom: 12.7 standard errors.
    assert 100 * smote["adjusted_gain_high"] > 20
    assert figure.axes[0].get_xlim()[1] < 4 * 100 * smote["adjusted_gain"]


def test_panels_without_a_gain_say_so() -> None:
    table = room.worth_by_metric(grid().assign(accuracy=0.5), ["accuracy"], baseline="absent")
    figure: Any = room.worth_by_metric_figure({"sweep": table}, "imbalance", baseline="absent")
    assert any("No gains" in text.get_text() for text in figure.axes[0].texts)


def test_an_effect_that_cannot_be_told_from_another_factor_is_nan() -> None:
    # smote ran with the large backbone alone, which nothing else ran with; weights shares one with none.
    rows = [("none", "small"), ("none", "small"), ("weights", "small"), ("weights", "small")] + [("smote", "large")] * 3
    trials = pd.DataFrame([trial(n, 0.5 + n / 100, backbone=b, imbalance=s) for n, (s, b) in enumerate(rows)])
    worth = by_option(room.worth_table(trials))
    assert np.isnan(worth["smote"]["adjusted_gain"])
    assert np.isnan(worth["smote"]["adjusted_gain_se"])
    assert worth["smote"]["best_gain"] == pytest.approx(0.05)
    assert worth["weights"]["adjusted_gain"] == pytest.approx(0.02)
    assert worth["weights"]["adjusted_gain_se"] > 0


def test_without_a_trial_to_spare_there_is_no_standard_error() -> None:
    trials = pd.DataFrame([trial(0, 0.5, imbalance="none"), trial(1, 0.6, imbalance="smote")])
    worth = by_option(room.worth_table(trials))
    assert worth["smote"]["adjusted_gain"] == pytest.approx(0.1)
    assert np.isnan(worth["smote"]["adjusted_gain_se"])


def test_parameters_of_one_option_do_not_hide_its_effect() -> None:
    trials = grid(repeats=3)
    smote = trials["imbalance"] == "smote"
    trials["imbalance.kind"] = [("borderline" if on else None) for on in smote]
    trials["imbalance.k_neighbors"] = np.where(smote, 5, np.nan)
    assert by_option(room.worth_table(trials))["smote"]["adjusted_gain"] == pytest.approx(0.03)


def test_pruned_and_failed_trials_are_counted_but_not_measured() -> None:
    extra = [
        trial(100, 0.99, "PRUNED", backbone="small", imbalance="smote"),
        trial(101, state="FAIL", backbone="small", imbalance="smote"),
        trial(102, np.inf, backbone="small", imbalance="smote"),
        trial(103, state="FAIL", backbone="small", imbalance="adasyn"),
        trial(104, state="FAIL", backbone=None, imbalance=None),
    ]
    table = room.worth_table(pd.concat([grid(), pd.DataFrame(extra)]))
    worth = by_option(table)
    assert (worth["smote"]["trials"], worth["smote"]["failed"]) == (5, 2)
    assert worth["smote"]["best"] == pytest.approx(0.73)
    assert list(table["option"])[-1] == "adasyn"
    assert (worth["adasyn"]["trials"], worth["adasyn"]["failed"]) == (1, 1)
    measured = [worth["adasyn"][name] for name in ("best", "median", "best_gain", "adjusted_gain", "adjusted_gain_se")]
    assert np.isnan(measured).all()
    room.worth_figure(table, "imbalance").canvas.draw()


@pytest.mark.parametrize("state", ["absent", "FAIL"])
def test_without_a_finished_baseline_there_are_no_gains(state: str) -> None:
    trials = grid()
    trials = trials[trials["imbalance"] != "none"]
    if state == "FAIL":
        trials = pd.concat([trials, pd.DataFrame([trial(90, state="FAIL", backbone="small", imbalance="none")])])
    table = room.worth_table(trials)
    assert table[["best_gain", "adjusted_gain", "adjusted_gain_se"]].isna().all(axis=None)
    assert by_option(table)["smote"]["best"] == pytest.approx(0.73)
    figure = room.worth_figure(table, "imbalance")
    assert any("No gains" in text.get_text() for text in figure.axes[1].texts)


def test_leaderboard_ranks_the_finished_trials() -> None:
    trials = grid()
    trials["imbalance.k_neighbors"] = [5.0 if s == "smote" else np.nan for s in trials["imbalance"]]
    trials["head.unused"] = np.nan
    more = [trial(90, 2.0, "PRUNED"), trial(91, state="FAIL"), trial(92, np.inf), trial(93, 0.73, imbalance="weights")]
    board = room.leaderboard(pd.concat([pd.DataFrame(more), trials], ignore_index=True), top=3)
    assert list(board.columns) == [
        "rank", "number", "value", "seconds", "imbalance", "backbone", "imbalance.k_neighbors",
    ]  # fmt: skip
    assert list(board["rank"]) == [1, 2, 3]
    assert list(board["number"]) == [4, 93, 3]
    assert room.leaderboard(pd.DataFrame(more[:2])).empty


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns=["reason"]), "lacks reason"),
        (lambda t: t.assign(state="RUNNING"), "RUNNING occurs"),
        (lambda t: t.assign(number=1), "1 occurs twice"),
    ],
)
def test_an_unsound_table_of_trials_is_refused(change: Any, words: str) -> None:
    for use in (room.leaderboard, room.leaderboard_figure, room.history_figure, room.worth_table):
        with pytest.raises(DataError, match=words):
            use(change(grid()))


def test_an_unknown_group_or_importance_is_refused() -> None:
    with pytest.raises(DataError, match="no group 'heads'; compare one of backbone, imbalance"):
        room.worth_table(grid(), "heads")
    with pytest.raises(DataError, match="at least 1 row"):
        room.leaderboard(grid(), top=0)
    with pytest.raises(DataError, match="tau has nan"):
        room.importance_figure({"head": 0.4, "tau": float("nan")})


@pytest.mark.parametrize("states", [[], ["FAIL"], ["PRUNED", "FAIL"], ["COMPLETE"], ["COMPLETE", "PRUNED", "FAIL"]])
def test_figures_are_drawn_of_any_trials(states: list[str]) -> None:
    rows = [trial(n, 0.5 + n / 10, state, backbone="$b_1$", imbalance="none") for n, state in enumerate(states)]
    trials = pd.DataFrame(rows, columns=list(trial(0, backbone="", imbalance="")))
    worth = room.worth_table(trials)
    figures = [room.leaderboard_figure(trials), room.history_figure(trials), room.worth_figure(worth, "imbalance")]
    for figure in figures:
        figure.canvas.draw()


def test_history_shows_the_best_so_far() -> None:
    trials = pd.DataFrame([trial(n, value) for n, value in enumerate([0.5, 0.4, 0.7, 0.6])])
    figure: Any = room.history_figure(trials)
    line = next(line for line in figure.axes[0].lines if line.get_label() == "best so far")
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.5, 0.7, 0.7, 0.7])


def test_importance_figure_is_sorted_and_may_be_empty() -> None:
    figure = room.importance_figure({"tau": 0.1, "backbone": 0.7, "head": 0.2})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["backbone", "head", "tau"]
    room.importance_figure({}).canvas.draw()
    room.importance_figure({"tau": 0.0}).canvas.draw()
    many = room.importance_figure({f"p{index}": index / 1000 for index in range(40)})
    assert len(many.axes[0].patches) == 25
