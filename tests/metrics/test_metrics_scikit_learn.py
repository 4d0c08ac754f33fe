"""Every score equals scikit-learn's on generated cases with ties, missing classes and a single class."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import metrics

Case = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
TOLERANCE = 1e-9


@st.composite
def cases(draw: st.DrawFn, min_classes: int = 1) -> Case:
    """Labels [N] and probabilities [N, C] on a coarse grid, so that ties abound; any class may be missing."""
    n_classes = draw(st.integers(min_classes, 9))
    n_rows = draw(st.integers(1, 24))
    labels = draw(st.lists(st.integers(0, n_classes - 1), min_size=n_rows, max_size=n_rows))
    grid = st.lists(st.integers(0, 4), min_size=n_classes, max_size=n_classes).filter(any)
    rows = np.array(draw(st.lists(grid, min_size=n_rows, max_size=n_rows)), dtype=np.float64)
    return np.array(labels), rows / rows.sum(axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # scikit-learn warns about missing classes, which these cases have on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reference_average_precision(targets: npt.NDArray[Any], scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    from sklearn.metrics import average_precision_score

    return np.array(
        [
            average_precision_score(column, score) if column.any() else np.nan
            for column, score in zip(targets.T, scores.T, strict=True)
        ]
    )


@given(cases())
@settings(deadline=None, max_examples=80)
def test_average_precision_of_each_class(case: Case) -> None:
    labels, probabilities = case
    targets = np.eye(probabilities.shape[1], dtype=int)[labels]
    expected = reference_average_precision(targets, probabilities)
    np.testing.assert_allclose(metrics.average_precision(targets, probabilities), expected, atol=TOLERANCE, rtol=0)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_average_precision_of_several_classes_a_row(data: st.DataObject) -> None:
    n_rows, n_classes = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    targets = rng.random((n_rows, n_classes)) < 0.4
    scores = rng.integers(-2, 3, (n_rows, n_classes)).astype(np.float32)
    expected = reference_average_precision(targets, scores)
    np.testing.assert_allclose(metrics.average_precision(targets, scores), expected, atol=TOLERANCE, rtol=0)


@given(cases())
@settings(deadline=None, max_examples=80)
def test_aggregates(case: Case) -> None:
    from sklearn import metrics as sk

    labels, probabilities = case
    n_classes = probabilities.shape[1]
    present = np.unique(labels)
    targets = np.eye(n_classes, dtype=int)[labels]
    predictions = probabilities.argmax(axis=1)
    per_class = reference_average_precision(targets, probabilities)
    expected = {
        "accuracy": sk.accuracy_score(labels, predictions),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predictions),
        "auc_pr_macro": sk.average_precision_score(targets[:, present], probabilities[:, present], average="macro"),
        "auc_pr_micro": sk.average_precision_score(targets.ravel(), probabilities.ravel()),
        "auc_pr_weighted": np.average(per_class[present], weights=np.bincount(labels)[present]),
        "f1_macro": sk.f1_score(labels, predictions, labels=present, average="macro", zero_division=0),
    }
    if n_classes > 1:
        expected["log_loss"] = sk.log_loss(labels, probabilities, labels=np.arange(n_classes))
    else:
        expected["log_loss"] = 0.0
    if n_classes > 5:
        expected["top5_accuracy"] = sk.top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(n_classes))
    found = metrics.aggregates(labels, probabilities)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=TOLERANCE), name


@given(cases())
@settings(deadline=None, max_examples=40)
def test_each_function_gives_the_value_of_aggregates(case: Case) -> None:
    labels, probabilities = case
    predictions = probabilities.argmax(axis=1)
    found = metrics.aggregates(labels, probabilities)
    single = {
        "accuracy": metrics.accuracy(labels, predictions),
        "balanced_accuracy": metrics.balanced_accuracy(labels, predictions),
        "auc_pr_macro": metrics.auc_pr_macro(labels, probabilities),
        "auc_pr_micro": metrics.auc_pr_micro(labels, probabilities),
        "auc_pr_weighted": metrics.auc_pr_weighted(labels, probabilities),
        "f1_macro": metrics.f1_macro(labels, predictions),
        "log_loss": metrics.log_loss(labels, probabilities),
    }
    if probabilities.shape[1] > 5:
        single["top5_accuracy"] = metrics.top_k_accuracy(labels, probabilities)
    assert found == pytest.approx(single, abs=TOLERANCE)


@given(cases())
@settings(deadline=None, max_examples=40)
def test_precision_recall_f1_and_confusion(case: Case) -> None:
    from sklearn import metrics as sk

    labels, probabilities = case
    n_classes = probabilities.shape[1]
    predictions = probabilities.argmax(axis=1)
    classes = np.arange(n_classes)
    expected = sk.precision_recall_fscore_support(labels, predictions, labels=classes, zero_division=0)[:3]
    found = metrics.precision_recall_f1_per_class(labels, predictions, n_classes)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    confusion = metrics.confusion_matrix(labels, predictions, n_classes)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(labels, predictions, labels=classes))


@given(cases(min_classes=3), st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_top_k_accuracy_breaks_ties_alike(case: Case, k: int) -> None:
    from sklearn.metrics import top_k_accuracy_score

    labels, probabilities = case
    expected = top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(probabilities.shape[1]))
    assert metrics.top_k_accuracy(labels, probabilities, k) == pytest.approx(expected, abs=TOLERANCE)


def test_log_loss_clips_by_the_type_of_the_probabilities() -> None:
    from sklearn.metrics import log_loss

    certain = np.array([[1.0, 0.0], [1.0, 0.0], [0.25, 0.75]])
    for dtype, tolerance in ((np.float64, TOLERANCE), (np.float32, 1e-5)):
        expected = log_loss([0, 1, 1], certain.astype(dtype), labels=[0, 1])
        assert metrics.log_loss([0, 1, 1], certain.astype(dtype)) == pytest.approx(expected, abs=tolerance)


@given(cases(), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_the_order_of_rows_does_not_matter(case: Case, seed: int) -> None:
    labels, probabilities = case
    order = np.random.default_rng(seed).permutation(len(labels))
    found = metrics.aggregates(labels[order], probabilities[order])
    assert found == pytest.approx(metrics.aggregates(labels, probabilities), abs=TOLERANCE)
