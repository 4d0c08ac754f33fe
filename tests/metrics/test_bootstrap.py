"""Confidence intervals: what is drawn, how far they reach, and how often they hold the true value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import metrics
from wellai_exp.evaluation import TwoClassifiers
from wellai_exp.metrics import ArrayError, Interval, Score, Scorer
from wellai_exp.metrics._resampling import GroupResampling

Floats = npt.NDArray[np.float64]
LONG_TAIL = TwoClassifiers((60, 40, 27, 18, 12, 8), tuple(np.linspace(3.2, 2.2, 6)), duplicates=3)
PROMISED = ("accuracy", "balanced_accuracy", "auc_pr_macro")


@st.composite
def grouped_labels(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Labels and groups [N]; each group has rows of one class, in any order and under any number."""
    sizes = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=15))
    numbers = draw(st.lists(st.integers(0, 99), min_size=len(sizes), max_size=len(sizes), unique=True))
    rows = [(label, number) for (label, size), number in zip(sizes, numbers, strict=True) for _ in range(size)]
    labels, groups = np.array(draw(st.permutations(rows))).T
    return labels, groups


def weighted_mean(values: Floats) -> Score:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def always(score: float) -> Score:
    return lambda weights: {"x": np.full(len(weights), score)}


@given(grouped_labels(), st.integers(0, 1000))
@settings(max_examples=40)
def test_classes_keep_their_rows_and_groups_stay_together(
    case: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], seed: int
) -> None:
    labels, groups = case
    weights = GroupResampling(labels, groups).weights(np.random.default_rng(seed))
    np.testing.assert_allclose(np.bincount(labels, weights), np.bincount(labels))
    for group in np.unique(groups):
        assert np.ptp(weights[groups == group]) == 0
    for label in np.unique(labels):
        drawn = len(np.unique(groups[(labels == label) & (weights > 0)]))
        assert drawn <= max(1, len(np.unique(groups[labels == label])) - 1)


@given(st.integers(2, 9))
@settings(max_examples=8)
def test_the_variance_of_a_class_mean_is_unbiased(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows)
    drawn = metrics.resample(weighted_mean(values), np.zeros(rows, int), n_resamples=4000).values[:, 0]
    assert drawn.var() == pytest.approx(values.var(ddof=1) / rows, rel=0.15)
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * drawn.std() / np.sqrt(4000))


def test_a_group_of_several_classes_is_drawn_with_the_class_of_most_of_its_rows() -> None:
    rows = GroupResampling([0, 0, 1, 1, 1, 1, 0], [5, 5, 5, 6, 7, 8, 8])
    assert rows.groups_of_class.tolist() == [2, 2]  # 5 and, as the lower of equals, 8; 6 and 7
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights = rows.weights(rng)
        assert weights[0] == weights[1] == weights[2]
        assert weights[5] == weights[6]
        assert weights.sum() == pytest.approx(7)


@given(st.integers(1, 20), st.integers(2, 20))
def test_degrees_of_freedom_and_groups_of_even_classes_add_up(n_classes: int, each: int) -> None:
    rows = GroupResampling(np.repeat(np.arange(n_classes), each))
    assert rows.degrees_of_freedom() == pytest.approx(n_classes * (each - 1))
    assert rows.effective_groups() == pytest.approx(n_classes * each)


def test_a_small_class_leaves_few_degrees_of_freedom() -> None:
    assert GroupResampling(np.repeat([0, 1], [500, 3])).degrees_of_freedom() < 2.1


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    drawn = LONG_TAIL.draw(np.random.default_rng(7))
    return Scorer(drawn.labels, drawn.a, train_support=[9, 8, 7, 3, 2, 1], parents={"level_1": [0, 0, 0, 1, 1, 1]})


def test_every_interval_holds_its_estimate_and_ends_within_the_range_of_its_score(scorer: Scorer) -> None:
    found = metrics.bootstrap(scorer.weighted_scores, scorer.labels, n_resamples=60)
    assert list(found) == list(scorer.scores())
    for name, estimate in scorer.scores().items():
        interval = found[name]
        assert interval.estimate == pytest.approx(estimate, rel=1e-9), name
        least = {"cohen_kappa": -1, "matthews_corrcoef": -1, "mistake_severity": 1}.get(name, 0)
        greatest = np.inf if name in {"log_loss", "hierarchical_distance", "mistake_severity"} else 1
        assert least < interval.low < interval.estimate <= interval.high <= greatest, name
        assert (interval.high == interval.estimate) == (estimate == greatest), name


def test_a_higher_level_reaches_further(scorer: Scorer) -> None:
    drawn = metrics.resample(scorer.weighted_scores, scorer.labels, n_resamples=40)
    narrow, wide = drawn.intervals(0.8)["auc_pr_macro"], drawn.intervals(0.99)["auc_pr_macro"]
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_seed_decides_and_the_numbers_of_the_groups_do_not(scorer: Scorer) -> None:
    groups = np.arange(len(scorer.labels)) // 2

    def found(groups: npt.NDArray[np.int64], seed: int) -> dict[str, Interval]:
        return metrics.bootstrap(scorer.weighted_scores, scorer.labels, groups, n_resamples=10, seed=seed)

    assert found(groups, 1) == found(groups, 1) == found(3 * groups + 5, 1)
    assert found(groups, 1) != found(groups, 2)


def test_a_score_in_another_unit_has_its_interval_in_that_unit(scorer: Scorer) -> None:
    def in_units(weights: Floats) -> dict[str, Floats]:
        score = scorer.weighted_scores(weights)["auc_pr_macro"]
        return {"share": score, "percent": 100 * score, "signed": 2 * score - 1, "lost": 1 - score}

    ranges = {"percent": (0, 100), "signed": (-1, 1)}
    found = metrics.bootstrap(in_units, scorer.labels, n_resamples=30, ranges=ranges)
    low, high = found["share"].low, found["share"].high
    assert [found["percent"].low, found["percent"].high] == pytest.approx([100 * low, 100 * high])
    assert [found["signed"].low, found["signed"].high] == pytest.approx([2 * low - 1, 2 * high - 1])
    assert [found["lost"].low, found["lost"].high] == pytest.approx([1 - high, 1 - low])


@given(st.integers(1, 60), st.booleans())
@settings(max_examples=30)
def test_all_or_none_of_a_class_reaches_as_far_as_clopper_and_pearson(rows: int, right: bool) -> None:
    from scipy.stats import binomtest

    found = metrics.bootstrap(weighted_mean(np.full(rows + 1, float(right))), np.zeros(rows + 1, int), n_resamples=2)
    expected = binomtest((rows + 1) * right, rows + 1).proportion_ci(method="exact")
    assert [found["mean"].low, found["mean"].high] == pytest.approx([expected.low, expected.high])


def test_duplicated_rows_raise_auc_pr_and_the_interval_does_not_follow() -> None:
    drawn = TwoClassifiers((15,) * 20, tuple(np.linspace(3, 2, 20))).draw(np.random.default_rng(0))
    scorer = Scorer(drawn.labels, drawn.a)
    resamples = metrics.resample(scorer.weighted_scores, drawn.labels, n_resamples=200)
    shift = dict(zip(resamples.names, resamples.values.mean(axis=0) - resamples.estimates, strict=True))
    # The standard error of either mean of resamples is about 0.0015.
    assert abs(shift["accuracy"]) < 0.0045 < shift["auc_pr_macro"]
    interval = resamples.intervals()["auc_pr_macro"]
    assert (interval.low + interval.high) / 2 < interval.estimate - shift["auc_pr_macro"] / 2


@pytest.mark.parametrize("found", [3, 1])
def test_resamples_without_a_score_are_left_out(found: int) -> None:
    scores = iter([0.5, 0.4, np.nan, 0.6, 0.5] if found == 3 else [0.5, 0.4, np.nan, np.nan, np.nan])
    interval = metrics.bootstrap(lambda w: {"x": np.array([next(scores) for _ in w])}, [0] * 9, n_resamples=4)["x"]
    assert interval.estimate == 0.5
    assert np.isfinite([interval.low, interval.high]).all() == (found == 3)


@pytest.mark.parametrize(("labels", "score"), [([0, 1, 2], 0.5), ([0, 0, 1], np.nan)])
def test_where_nothing_is_known_the_ends_are_nan(labels: list[int], score: float) -> None:
    found = metrics.bootstrap(always(score), labels, n_resamples=3)["x"]
    assert np.isnan([found.low, found.high]).all()
    assert found.estimate == pytest.approx(score, nan_ok=True)


def test_a_class_is_judged_by_its_own_groups() -> None:
    labels = np.repeat([0, 1, 3], [30, 4, 1])
    noise = np.random.default_rng(0).normal(size=(len(labels), 4)) + 1.5 * np.eye(4)[labels]
    powers = np.exp(noise)
    scorer = Scorer(labels, powers / powers.sum(axis=1, keepdims=True))
    found = metrics.bootstrap_per_class(scorer.weighted_auc_pr, labels, n_resamples=50)
    assert [each.estimate for each in found] == pytest.approx(scorer.auc_pr().tolist(), nan_ok=True)
    assert np.isfinite([found[0].low, found[1].high]).all()
    assert found[1].high - found[1].low > found[0].high - found[0].low
    assert np.isnan([found[2].estimate, found[2].low, found[3].low, found[3].high]).all()


BAD: list[tuple[Mapping[str, Any], str]] = [
    ({"n_resamples": 1}, "n_resamples must be at least 2, but it is 1"),
    ({"level": 95}, "level must lie between 0 and 1, e.g. 0.95, but it is 95"),
    ({"groups": [0, 1]}, "There are 3 labels but 2 groups"),
    ({"ranges": {"x": (0, 1)}}, r"The score x is 3, but must lie in \[0, 1\]"),
    ({"ranges": {"x": (5, 5)}}, r"finite low < high, but it is \(5, 5\)"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD)
def test_what_cannot_work_is_said(options: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(ArrayError, match=sentence):
        metrics.bootstrap(always(3.0), [0, 0, 1], **{"n_resamples": 3, "ranges": {"x": (0, 9)}, **options})


def _coverage(draws: int, n_resamples: int) -> tuple[dict[str, float], dict[str, float]]:
    """Give how often the intervals hold the true value, and their width in true standard errors."""
    truth = LONG_TAIL.true_scores(np.random.default_rng(0))[0]
    rng = np.random.default_rng(1)
    found = []
    for seed in range(draws):
        drawn = LONG_TAIL.draw(rng)
        score = Scorer(drawn.labels, drawn.a).weighted_scores
        found.append(metrics.bootstrap(score, drawn.labels, drawn.groups, n_resamples=n_resamples, seed=seed))
    hits = {name: float(np.mean([f[name].low <= truth[name] <= f[name].high for f in found])) for name in PROMISED}
    errors = {name: np.std([f[name].estimate for f in found]) for name in PROMISED}
    widths = {name: float(np.mean([f[name].high - f[name].low for f in found]) / errors[name]) for name in PROMISED}
    return hits, widths


def test_few_simulated_test_sets_are_covered() -> None:
    hits, widths = _coverage(draws=60, n_resamples=40)
    for name in PROMISED:
        # 0.95 less 3.2 standard errors of a share of 60; 3.92 standard errors wide, if normal.
        assert hits[name] >= 0.86, name
        assert 2.9 < widths[name] < 5.2, name


@pytest.mark.slow
def test_intervals_hold_the_true_value_in_93_to_97_of_100_test_sets() -> None:
    hits, _ = _coverage(draws=500, n_resamples=150)
    assert all(0.93 <= share <= 0.97 for share in hits.values()), hits
