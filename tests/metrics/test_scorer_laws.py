"""What weights mean, what may not matter, and the scores of parts and levels of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import metrics

IntArray = npt.NDArray[np.int64]
LAW = settings(deadline=None, max_examples=60)


class Problem:
    """Labels [N], probabilities [N, C] with ties, images of each class and a hierarchy of two levels, all drawn."""

    def __init__(self, seed: int, rows: int, classes: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.labels = self.rng.integers(0, classes, rows)
        grid = self.rng.integers(0, 6, (rows, classes)) + 0.01
        grid[np.arange(rows), self.labels] += self.rng.integers(0, 6, rows)
        self.probabilities = grid / grid.sum(axis=1, keepdims=True)
        self.support = self.rng.integers(0, 200, classes)
        fine = self.rng.integers(0, 4, classes)
        self.parents = {"coarse": fine // 2, "fine": fine}

    def scorer(self, rows: npt.NDArray[Any] | slice = slice(None)) -> metrics.Scorer:
        return metrics.Scorer(
            self.labels[rows], self.probabilities[rows], train_support=self.support, parents=self.parents
        )


problems = st.builds(Problem, st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 9))


def assert_same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-9, rel=0, nan_ok=True)


@given(problems)
@LAW
def test_a_weight_is_how_often_a_row_occurs(problem: Problem) -> None:
    times = problem.rng.integers(0, 4, len(problem.labels))
    times[0] += 1
    repeated = problem.scorer(np.repeat(np.arange(len(times)), times))
    assert_same(problem.scorer().scores(times), repeated.scores())
    np.testing.assert_allclose(problem.scorer().auc_pr(times), repeated.auc_pr(), atol=1e-9, rtol=0)


@given(problems, st.sampled_from([1.0, 2.0, 0.1, 1e-9, 1e6]))
@LAW
def test_equal_weights_change_nothing(problem: Problem, weight: float) -> None:
    scorer = problem.scorer()
    assert_same(scorer.scores(np.full(len(problem.labels), weight)), scorer.scores())


@given(problems)
@LAW
def test_the_order_of_rows_does_not_matter(problem: Problem) -> None:
    order = problem.rng.permutation(len(problem.labels))
    weights = problem.rng.random(len(order)) + 0.01
    assert_same(problem.scorer(order).scores(weights[order]), problem.scorer().scores(weights))


@given(problems)
@LAW
def test_a_row_without_weight_might_as_well_be_absent(problem: Problem) -> None:
    weights = problem.rng.choice([0.0, 0.5, 1.7], len(problem.labels))
    weights[-1] = 1.0
    kept = weights > 0
    assert_same(problem.scorer().scores(weights), problem.scorer(kept).scores(weights[kept]))


def test_asking_in_any_order_gives_the_same() -> None:
    problem = Problem(1, 40, 7)
    weights = problem.rng.random(40)
    first, second = problem.scorer(), problem.scorer()
    expected = first.scores(), first.scores(weights)
    assert_same(second.scores(weights), expected[1])
    assert_same(second.scores(), expected[0])


@given(problems)
@LAW
def test_levels_are_scored_by_the_parents_of_labels_and_predictions(problem: Problem) -> None:
    fine, coarse = problem.parents["fine"], problem.parents["coarse"]
    weights = problem.rng.random(len(problem.labels)) + 0.1
    predictions = problem.probabilities.argmax(axis=1)
    heights = []
    for true, predicted in zip(problem.labels, predictions, strict=True):
        lineages = [(int(leaf), int(fine[leaf]), int(coarse[leaf]), 0) for leaf in (true, predicted)]
        heights.append(next(height for height, pair in enumerate(zip(*lineages, strict=True)) if pair[0] == pair[1]))
    height = np.array(heights)
    scores = problem.scorer().scores(weights)
    assert scores["accuracy_fine"] == pytest.approx(np.average(height <= 1, weights=weights))
    assert scores["accuracy_coarse"] == pytest.approx(np.average(height <= 2, weights=weights))
    assert scores["hierarchical_distance"] == pytest.approx(np.average(height, weights=weights))
    wrong = height > 0
    severity = np.average(height[wrong], weights=weights[wrong]) if wrong.any() else np.nan
    assert scores["mistake_severity"] == pytest.approx(severity, nan_ok=True)


def test_a_perfect_classifier_has_no_distance_and_no_severity() -> None:
    scores = metrics.Scorer([0, 1, 2], np.eye(3), parents={"level_1": [0, 0, 1]}).scores()
    assert scores["hierarchical_distance"] == 0
    assert np.isnan(scores["mistake_severity"])
    assert scores["accuracy_level_1"] == 1


@given(problems)
@LAW
def test_parts_are_means_over_their_classes_that_have_rows(problem: Problem) -> None:
    scorer = problem.scorer()
    scores, auc_pr = scorer.scores(), scorer.auc_pr()
    parts = metrics.parts_of(problem.support)
    _, recall, _ = metrics.precision_recall_f1_per_class(problem.labels, scorer.predictions, scorer.n_classes)
    for part in metrics.PARTS:
        rows = (parts == part) & ~np.isnan(auc_pr)
        if (parts == part).any():
            expected = (auc_pr[rows].mean(), recall[rows].mean()) if rows.any() else (np.nan, np.nan)
            assert (scores[f"auc_pr_{part}"], scores[f"recall_{part}"]) == pytest.approx(expected, nan_ok=True)
        else:
            assert f"auc_pr_{part}" not in scores


@pytest.mark.parametrize(
    ("support", "parts"),
    [
        ([9, 5, 1], ["head", "mid", "tail"]),
        ([1, 5, 9], ["tail", "mid", "head"]),
        ([100, 90, 50, 40, 3, 2], ["head", "head", "mid", "mid", "tail", "tail"]),
        ([8, 8, 8, 8, 2, 1], ["head", "head", "head", "head", "tail", "tail"]),
        ([8, 2, 2, 2, 2, 2], ["head", "head", "head", "head", "head", "head"]),
        ([4, 4, 4], ["head", "head", "head"]),
        ([7], ["head"]),
        ([7, 0], ["head", "mid"]),
    ],
)
def test_parts_by_training_images(support: list[int], parts: list[str]) -> None:
    assert metrics.parts_of(support).tolist() == parts


@given(st.lists(st.integers(0, 30), min_size=1, max_size=90), st.integers(0, 1000))
@LAW
def test_parts_depend_on_the_ranking_of_the_classes_alone(counts: list[int], seed: int) -> None:
    support = np.array(counts)
    order = np.random.default_rng(seed).permutation(len(support))
    parts = metrics.parts_of(support)
    np.testing.assert_array_equal(metrics.parts_of(support[order]), parts[order])
    np.testing.assert_array_equal(metrics.parts_of(support**2 + 3), parts)
    place = np.array([metrics.PARTS.index(part) for part in parts])
    assert (np.diff(place[np.argsort(-support, kind="stable")]) >= 0).all()
    for count in counts:
        assert len(set(parts[support == count])) == 1


def test_thirds_of_82_classes() -> None:
    parts = metrics.parts_of(np.arange(82))
    assert [int((parts == part).sum()) for part in metrics.PARTS] == [28, 27, 27]
