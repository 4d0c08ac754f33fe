"""Precision-recall curves and thresholds as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.errors import WellaiError
from wellai_exp.evaluation import Evaluation, pr_table, thresholds_table


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    """Rows of 1 to 5 classes, some without a row, with many equal probabilities."""
    n_classes, rows = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(1, draw(st.sampled_from([3, 1000])), (rows, n_classes)).astype(float)
    kind = draw(st.sampled_from(["float32", "float64"]))
    probabilities = (counts / counts.sum(axis=1, keepdims=True)).astype(kind)
    return Evaluation(rng.integers(0, n_classes, rows), probabilities, [f"class {at}" for at in range(n_classes)])  # type: ignore[arg-type]


@given(evaluations())
def test_the_area_under_each_class_is_its_auc_pr(evaluation: Evaluation) -> None:
    table = pr_table(evaluation)
    for index, name in enumerate(evaluation.class_names):
        corners = table[table["class"] == name]
        if evaluation.support[index]:
            area = float((corners["recall"].diff().fillna(corners["recall"]) * corners["precision"]).sum())
            assert area == pytest.approx(evaluation.auc_pr[index], abs=1e-9)
        else:
            assert corners.empty


@given(evaluations())
def test_each_corner_is_what_its_threshold_gives(evaluation: Evaluation) -> None:
    for corner in pr_table(evaluation).to_dict("records"):
        index = evaluation.class_names.index(corner["class"])
        accepted = evaluation.probabilities[:, index] >= corner["threshold"]
        right = (evaluation.labels[accepted] == index).sum()
        assert corner["precision"] == pytest.approx(right / accepted.sum(), abs=1e-12)
        assert corner["recall"] == pytest.approx(right / evaluation.support[index], abs=1e-12)


@given(evaluations(), st.sampled_from([0.05, 1 / 3, 0.5, 0.9, 1.0]))
def test_no_other_threshold_with_that_precision_finds_more(evaluation: Evaluation, precision: float) -> None:
    table = thresholds_table(evaluation, precision)
    assert tuple(table["class"]) == evaluation.class_names
    for index, row in enumerate(table.to_dict("records")):
        scores, truth = evaluation.probabilities[:, index], evaluation.labels == index
        reached = [
            truth[scores >= threshold].sum() / truth.sum()
            for threshold in np.unique(scores)
            if truth.any() and truth[scores >= threshold].mean() >= precision and truth[scores >= threshold].any()
        ]
        if reached:
            accepted = scores >= row["threshold"]
            assert truth[accepted].mean() == pytest.approx(row["precision"], abs=1e-12)
            assert row["precision"] >= precision
            assert row["recall"] == pytest.approx(max(reached), abs=1e-12)
        else:
            assert np.isnan([row["threshold"], row["precision"], row["recall"]]).all()


def test_a_precision_that_cannot_be_reached_leaves_its_class_empty() -> None:
    probabilities = np.array([[0.4, 0.6, 0], [0.3, 0.7, 0], [0.9, 0.1, 0], [0.8, 0.2, 0]])
    table = thresholds_table(Evaluation(np.array([0, 1, 0, 0]), probabilities, ("a", "b", "none")), 0.9)
    assert table["threshold"].tolist() == pytest.approx([0.4, 0.7, np.nan], nan_ok=True)
    assert table["recall"].tolist() == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    table = thresholds_table(Evaluation(np.array([1, 0, 0, 0]), probabilities, ("a", "b", "none")), 0.9)
    assert table["threshold"].tolist() == pytest.approx([0.8, np.nan, np.nan], nan_ok=True)
    assert table["recall"][0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("precision", [0.0, -0.1, 1.01, float("nan")])
def test_a_precision_outside_its_range_is_refused(precision: float) -> None:
    with pytest.raises(WellaiError, match="precision must lie above 0"):
        thresholds_table(Evaluation(np.array([0, 1]), np.eye(2), ("a", "b")), precision)
