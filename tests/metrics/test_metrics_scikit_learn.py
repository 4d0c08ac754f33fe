"""Every score equals scikit-learn's on generated cases with weights, ties, missing classes and a single class."""

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
from wellai_exp.metrics._average_precision import Ranking

FloatArray = npt.NDArray[np.float64]
Case = tuple[npt.NDArray[np.int64], FloatArray]
TOLERANCE = 1e-9
# Sums of these are exact, so that scikit-learn's own tests for 0 hold where only one class is left.
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 7.0)


@st.composite
def cases(draw: st.DrawFn, min_classes: int = 1) -> Case:
    """Labels [N] and probabilities [N, C] on a coarse grid, so that ties abound; any class may be missing."""
    n_classes = draw(st.integers(min_classes, 9))
    n_rows = draw(st.integers(1, 24))
    labels = draw(st.lists(st.integers(0, n_classes - 1), min_size=n_rows, max_size=n_rows))
    grid = st.lists(st.integers(0, 4), min_size=n_classes, max_size=n_classes).filter(any)
    rows = np.array(draw(st.lists(grid, min_size=n_rows, max_size=n_rows)), dtype=np.float64)
    return np.array(labels), rows / rows.sum(axis=1, keepdims=True)


@st.composite
def weighted_cases(draw: st.DrawFn) -> tuple[Case, FloatArray | None]:
    """Give a case and the weight of each row [N], of which at least one is above 0; None for no weights."""
    case = draw(cases())
    rows = len(case[0])
    weights = draw(st.none() | st.lists(st.sampled_from(WEIGHTS), min_size=rows, max_size=rows).filter(any))
    return case, None if weights is None else np.array(weights)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # scikit-learn warns about missing classes, which these cases have on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reference_average_precision(
    targets: npt.NDArray[Any], scores: npt.NDArray[Any], weights: FloatArray | None = None
) -> FloatArray:
    from sklearn.metrics import average_precision_score

    counted = np.ones(len(targets), dtype=bool) if weights is None else weights > 0
    return np.array(
        [
            average_precision_score(column, score, sample_weight=weights) if column[counted].any() else np.nan
            for column, score in zip(targets.T, scores.T, strict=True)
        ]
    )


def reference_of_labels(
    labels: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64], weights: FloatArray | None
) -> dict[str, float]:
    from sklearn import metrics as sk

    present = np.unique(labels if weights is None else labels[weights > 0])
    every = {"sample_weight": weights}
    f1 = {"zero_division": 0, **every}
    return {
        "accuracy": sk.accuracy_score(labels, predictions, **every),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predictions, **every),
        "f1_macro": sk.f1_score(labels, predictions, labels=present, average="macro", **f1),
        "f1_micro": sk.f1_score(labels, predictions, average="micro", **f1),
        "f1_weighted": sk.f1_score(labels, predictions, average="weighted", **f1),
        "cohen_kappa": sk.cohen_kappa_score(labels, predictions, **every),
        "matthews_corrcoef": sk.matthews_corrcoef(labels, predictions, **every),
    }


def reference_of_probabilities(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[Any], weights: FloatArray | None
) -> dict[str, float]:
    from sklearn import metrics as sk

    n_classes = probabilities.shape[1]
    support = np.bincount(labels, weights, n_classes)
    present = support > 0
    targets = np.eye(n_classes, dtype=int)[labels]
    per_class = reference_average_precision(targets, probabilities, weights)[present]
    every = {"sample_weight": weights}
    shown = (targets[:, present], probabilities[:, present])
    expected = {
        "auc_pr_macro": sk.average_precision_score(*shown, average="macro", **every),
        "auc_pr_micro": sk.average_precision_score(targets, probabilities, average="micro", **every),
        "auc_pr_weighted": sk.average_precision_score(*shown, average="weighted", **every),
        "auc_pr_worst": per_class.min(),
        "log_loss": 0.0,
    }
    if n_classes > 1:
        expected["log_loss"] = sk.log_loss(labels, probabilities, labels=np.arange(n_classes), **every)
    if n_classes > 5:
        classes = np.arange(n_classes)
        expected["top5_accuracy"] = sk.top_k_accuracy_score(labels, probabilities, k=5, labels=classes, **every)
    return expected


def assert_among(found: dict[str, float], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=TOLERANCE, rel=0, nan_ok=True), name


@pytest.mark.parametrize("together", [1, 7, 40])
def test_however_many_weightings_are_asked_for_together(together: int) -> None:
    rng = np.random.default_rng(together)
    labels, scores = rng.integers(0, 6, 40), rng.integers(0, 9, (40, 6)) / 8
    targets, weights = labels[:, None] == np.arange(6), rng.choice(WEIGHTS, (together, 40))
    expected = [reference_average_precision(targets, scores, each) for each in weights]
    np.testing.assert_allclose(Ranking.of_classes(targets, scores).weighted(weights), expected, atol=TOLERANCE)
    scorer = metrics.Scorer(labels, scores / scores.sum(axis=1, keepdims=True))
    found = scorer.weighted_scores(weights)
    for row, each in enumerate(weights):
        assert_among({name: float(values[row]) for name, values in found.items()}, scorer.scores(each))
        np.testing.assert_allclose(scorer.weighted_auc_pr(weights)[row], scorer.auc_pr(each), atol=TOLERANCE)


@given(weighted_cases())
@settings(deadline=None, max_examples=50)
def test_scores_of_labels(weighted: tuple[Case, FloatArray | None]) -> None:
    (labels, probabilities), weights = weighted
    found = metrics.Scorer(labels, probabilities).scores(weights)
    assert_among(found, reference_of_labels(labels, probabilities.argmax(axis=1), weights))


@given(weighted_cases())
@settings(deadline=None, max_examples=40)
def test_scores_of_probabilities(weighted: tuple[Case, FloatArray | None]) -> None:
    (labels, probabilities), weights = weighted
    found = metrics.Scorer(labels, probabilities).scores(weights)
    assert_among(found, reference_of_probabilities(labels, probabilities, weights))
    assert ("top5_accuracy" in found) == (probabilities.shape[1] > 5)


def test_every_score_is_compared() -> None:
    labels, probabilities = np.array([0, 1, 5]), np.eye(6)[[0, 2, 5]]
    compared = {
        *reference_of_labels(labels, probabilities.argmax(axis=1), None),
        *reference_of_probabilities(labels, probabilities, None),
    }
    # scikit-learn has no calibration error of several classes; test_calibration.py writes it out.
    assert set(metrics.Scorer(labels, probabilities).scores()) == {*compared, "expected_calibration_error"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_82_classes_in_a_bootstrap(dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(0)
    labels = (82 * rng.random(600) ** 3).astype(np.int64)
    probabilities = rng.dirichlet(np.full(82, 0.2), 600)
    probabilities[np.arange(600), labels] += 0.05
    # Rounded, so that scores tie. Of float32, scikit-learn sums the log loss in float32, which costs digits.
    rounded = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), 2) + 1e-4
    sound = (rounded / rounded.sum(axis=1, keepdims=True)).astype(dtype)
    weights = np.bincount(rng.integers(0, 600, 600), minlength=600).astype(np.float64)
    found = metrics.Scorer(labels, sound).scores(weights)
    if dtype is np.float64:
        assert_among(found, reference_of_labels(labels, sound.argmax(axis=1), weights))
        assert_among(found, reference_of_probabilities(labels, sound, weights))
    else:
        wide = metrics.Scorer(labels, sound.astype(np.float64)).scores(weights)
        assert found == pytest.approx(wide, abs=TOLERANCE, rel=0)


@given(weighted_cases())
@settings(deadline=None, max_examples=60)
def test_average_precision_of_each_class(weighted: tuple[Case, FloatArray | None]) -> None:
    (labels, probabilities), weights = weighted
    targets = np.eye(probabilities.shape[1], dtype=int)[labels]
    expected = reference_average_precision(targets, probabilities, weights)
    found = metrics.Scorer(labels, probabilities).auc_pr(weights)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    if weights is None:
        np.testing.assert_array_equal(metrics.average_precision(targets, probabilities), found)


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


def test_log_loss_clips_by_the_type_of_the_probabilities() -> None:
    from sklearn.metrics import log_loss

    certain = np.array([[1.0, 0.0], [1.0, 0.0], [0.25, 0.75]])
    for dtype, tolerance in ((np.float64, TOLERANCE), (np.float32, 1e-5)):
        expected = log_loss([0, 1, 1], certain.astype(dtype), labels=[0, 1])
        found = metrics.Scorer([0, 1, 1], certain.astype(dtype)).scores()["log_loss"]
        assert found == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("weight", [1.0, 0.1, 0.3, 1 / 3, 1e-12])
def test_agreement_is_undefined_where_one_class_is_left(weight: float) -> None:
    from sklearn.metrics import cohen_kappa_score, matthews_corrcoef

    weights = np.append(np.full(10, weight), 0.0)
    labels = np.append(np.zeros(10, np.int64), 1)
    probabilities = np.tile([0.75, 0.25], (11, 1))
    with np.errstate(all="raise"):
        scores = metrics.Scorer(labels, probabilities).scores(weights)
    assert np.isnan(scores["cohen_kappa"])
    assert scores["matthews_corrcoef"] == 0
    assert np.isnan(cohen_kappa_score([0], [0], labels=[0]))
    assert matthews_corrcoef([0], [0]) == 0


@pytest.mark.parametrize("weight", [0.1, 0.3, 1 / 3])
def test_correlation_is_0_where_one_class_is_predicted_for_all(weight: float) -> None:
    probabilities = np.full((164, 82), 0.01)
    probabilities[:, 40] = 0.19
    scores = metrics.Scorer(np.arange(164) % 82, probabilities).scores(np.full(164, weight))
    assert scores["matthews_corrcoef"] == 0
    assert scores["cohen_kappa"] == pytest.approx(0, abs=1e-12)
