"""The checked predictions and their tables."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from wellai_exp import metrics
from wellai_exp.errors import WellaiError
from wellai_exp.evaluation import Evaluation

NAMES = ("boat", "crane", "tree", "plank")
LABELS = [0, 0, 0, 1, 1, 2]
PREDICTED = [0, 1, 1, 1, 1, 0]


def small() -> Evaluation:
    """Six rows; class 3 has none, class 2 is never right, class 0 goes to class 1 twice of three times."""
    probabilities = np.full((6, 4), 0.1)
    probabilities[np.arange(6), PREDICTED] = 0.7
    return Evaluation(LABELS, probabilities, NAMES)  # type: ignore[arg-type]


def test_tables_tell_what_happened() -> None:
    evaluation = small()
    np.testing.assert_array_equal(
        evaluation.confusion, [[1, 2, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], strict=False
    )
    table = evaluation.per_class
    assert list(table.columns) == ["class", "support", "precision", "recall", "f1", "auc_pr", "most_confused_with"]
    assert list(table["class"]) == list(NAMES)
    assert list(table["support"]) == [3, 2, 1, 0]
    assert list(table["most_confused_with"]) == ["crane", "", "boat", ""]
    np.testing.assert_allclose(table["recall"], [1 / 3, 1, 0, np.nan])
    np.testing.assert_allclose(table["precision"], [0.5, 0.5, 0, 0])
    assert np.isnan(table["auc_pr"][3])
    assert np.isnan(table["f1"][3])


def test_tables_agree_with_the_metrics_and_with_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, classification_report

    rng = np.random.default_rng(3)
    labels = rng.integers(0, 7, 200)
    probabilities = rng.dirichlet(np.ones(7), 200)
    names = [f"class {index}" for index in range(7)]
    evaluation = Evaluation(labels, probabilities, names)  # type: ignore[arg-type]
    assert evaluation.aggregates == metrics.Scorer(labels, probabilities).scores()
    assert evaluation.per_class["auc_pr"].mean() == pytest.approx(evaluation.aggregates["auc_pr_macro"], abs=1e-12)
    expected = average_precision_score(np.eye(7)[labels], probabilities, average=None)
    np.testing.assert_allclose(evaluation.per_class["auc_pr"], expected, atol=1e-9)
    report = classification_report(labels, probabilities.argmax(axis=1), target_names=names, digits=3)
    assert evaluation.report == report


def test_nothing_can_be_changed_afterwards() -> None:
    labels = np.array(LABELS)
    probabilities = np.full((6, 4), 0.25)
    evaluation = Evaluation(labels, probabilities, NAMES)
    labels[:] = 3
    probabilities[:] = 9
    assert evaluation.support.tolist() == [3, 2, 1, 0]
    assert evaluation.probabilities.max() == 0.25
    with pytest.raises(ValueError, match="read-only"):
        evaluation.confusion[0, 0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluation.labels = labels  # type: ignore[misc]
    evaluation.aggregates["accuracy"] = 2
    table = evaluation.per_class
    table["auc_pr"] = 2.0
    assert evaluation.aggregates["accuracy"] <= 1
    assert evaluation.per_class["auc_pr"].max() <= 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (NAMES[:3], "3 class names but 4 columns"),
        (("a", "b", "a", "c"), "'a' occurs 2 times"),
        ("four", "sequence of names"),
        (("a", "b", "c", "caf\udce9"), "not valid text"),
    ],
)
def test_names_that_do_not_fit_are_refused(names: Any, words: str) -> None:
    with pytest.raises(WellaiError, match=words):
        Evaluation(LABELS, np.full((6, 4), 0.25), names)  # type: ignore[arg-type]


def test_unsound_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="sums to 2"):
        Evaluation(LABELS, np.full((6, 4), 0.5), NAMES)  # type: ignore[arg-type]
