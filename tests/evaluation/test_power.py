"""The simulation of known differences, and its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from wellai_exp.errors import DataError
from wellai_exp.evaluation import TwoClassifiers, power_figure, simulate_power

CLASSIFIERS = TwoClassifiers((8, 5), (1.5, 1.0), duplicates=3)
TABLE = pd.DataFrame(
    [
        (images, metric, difference, detected, detected / 2, (1 + detected) / 2, 50)
        for images in (60, 240)
        for metric in ("accuracy", "auc_pr_macro")
        for difference, detected in ((0.0, 0.05), (0.02, 0.3), (0.1, images / 240))
    ],
    columns=["images", "metric", "difference", "detected", "low", "high", "pairs"],
)


@pytest.fixture(scope="module")
def simulated() -> pd.DataFrame:
    return simulate_power(
        CLASSIFIERS, factors=(1, 6), gaps=(0.0, 2.0), metrics=("accuracy",), n_pairs=10, n_resamples=10, seed=3
    )


def test_what_is_simulated(simulated: pd.DataFrame) -> None:
    assert list(simulated.columns) == list(TABLE.columns)
    assert simulated["images"].tolist() == [26, 26, 156, 156]
    assert (simulated["pairs"] == 10).all()
    # The true difference is the models', whatever the size of the test set.
    same, greater = simulated["difference"][:2]
    assert same == 0 < greater
    assert simulated["difference"].tolist() == [same, greater] * 2
    assert (simulated["low"] <= simulated["detected"]).all()
    assert (simulated["detected"] <= simulated["high"]).all()
    assert simulated["detected"].iloc[3] > 0.8 > 0.4 > simulated["detected"].iloc[2]


def test_the_interval_of_a_share_is_wilsons(simulated: pd.DataFrame) -> None:
    from scipy.stats import binomtest

    for detected, low, high in simulated[["detected", "low", "high"]].to_numpy():
        expected = binomtest(round(10 * detected), 10).proportion_ci(method="wilson")
        assert [low, high] == pytest.approx([expected.low, expected.high], abs=1e-6)


def test_a_metric_that_is_not_scored_is_named() -> None:
    with pytest.raises(DataError, match="There is no score 'acuracy'; choose among accuracy, balanced_accuracy"):
        simulate_power(CLASSIFIERS, metrics=("acuracy",), n_pairs=1)


def test_a_test_set_has_the_groups_asked_for() -> None:
    drawn = CLASSIFIERS.draw(np.random.default_rng(0))
    rows = np.bincount(drawn.groups)
    assert len(rows) == 13
    assert set(rows) == {1, 2, 3}
    of_group = [set(drawn.labels[drawn.groups == group]) for group in range(13)]
    assert of_group == [{0}] * 8 + [{1}] * 5
    for probabilities in (drawn.a, drawn.b):
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(("groups", "skill"), [((), ()), ((3, 0), (1.0, 1.0)), ((3, 3), (1.0,))])
def test_classes_without_a_group_or_a_skill_are_refused(groups: tuple[int, ...], skill: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="Each class needs at least one group and one skill"):
        TwoClassifiers(groups, skill)


def lines(panel: Any) -> dict[str, list[float]]:
    return {line.get_label(): line.get_ydata() for line in panel.lines}


def test_a_panel_a_metric_a_line_a_size_and_the_promise() -> None:
    figure = power_figure(TABLE.sample(frac=1, random_state=0).sort_values("metric"))
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["accuracy", "auc_pr_macro"]
    found = lines(figure.axes[1])
    assert list(found) == ["60 images", "240 images", "5 % false alarms"]
    assert list(found["60 images"]) == pytest.approx([5, 30, 25])
    assert list(found["5 % false alarms"]) == pytest.approx([5, 5])
    assert [text.get_text() for text in figure.legends[0].texts] == list(found)


def test_another_level_promises_another_share() -> None:
    assert "10 % false alarms" in lines(power_figure(TABLE, level=0.9).axes[0])


def test_nothing_to_draw_is_said() -> None:
    assert "No pair of models" in power_figure(TABLE.iloc[:0]).axes[0].texts[0].get_text()
    with pytest.raises(DataError, match="lacks difference, low"):
        power_figure(TABLE.drop(columns=["difference", "low"]))
