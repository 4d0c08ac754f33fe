"""Tests of two models on the same images: their laws, and how often they raise a false alarm."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import metrics
from wellai_exp.evaluation import PairedPredictions, TwoClassifiers
from wellai_exp.metrics import ArrayError, Difference, Scorer
from wellai_exp.metrics._swaps import _SwappedClass

LONG_TAIL = TwoClassifiers((60, 40, 27, 18, 12, 8), tuple(np.linspace(3.2, 2.2, 6)), duplicates=3)
SMALL = TwoClassifiers((9, 5, 3), (1.5, 1.5, 1.0), duplicates=2)
PROMISED = ("accuracy", "balanced_accuracy", "auc_pr_macro")


def drawn(seed: int = 0, gap: float = 0.0, of: TwoClassifiers = SMALL) -> PairedPredictions:
    return replace(of, gap=gap).draw(np.random.default_rng(seed))


def compared(pair: PairedPredictions, **options: Any) -> dict[str, Difference]:
    a, b = (Scorer(pair.labels, each).weighted_scores for each in (pair.a, pair.b))
    return metrics.paired_bootstrap(a, b, pair.labels, pair.groups, **{"n_resamples": 30, **options})


def test_a_model_does_not_differ_from_itself() -> None:
    pair = drawn()
    same = replace(pair, b=pair.a)
    assert set(compared(same).values()) == {Difference(0.0, 0.0, 0.0, 1.0)}
    classes = metrics.paired_per_class(pair.labels, pair.a, pair.a, pair.groups, n_resamples=10, n_swaps=30)
    assert classes.low.tolist() == classes.estimate.tolist() == classes.high.tolist() == [0, 0, 0]
    assert classes.p_value.tolist() == classes.p_adjusted.tolist() == [1, 1, 1]


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_the_other_way_round_the_sign_changes_and_nothing_else(seed: int) -> None:
    pair = drawn(seed)
    there, back = compared(pair), compared(replace(pair, a=pair.b, b=pair.a))
    for name, one in there.items():
        other = back[name]
        assert [-other.estimate, -other.high, -other.low, other.p_value] == pytest.approx(
            [one.estimate, one.low, one.high, one.p_value], nan_ok=True
        )
    forth = metrics.swap_test(pair.labels, pair.a, pair.b, pair.groups, n_swaps=99)
    assert forth.tolist() == metrics.swap_test(pair.labels, pair.b, pair.a, pair.groups, n_swaps=99).tolist()


@given(st.integers(0, 10_000), st.floats(0, 1.5), st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=15)
def test_p_value_and_interval_agree(seed: int, gap: float, level: float) -> None:
    for name, found in compared(drawn(seed, gap), level=level).items():
        if not np.isnan(found.p_value):
            assert found.low <= found.estimate <= found.high, name
            assert (found.p_value < 1 - level) == (not found.low <= 0 <= found.high), name


def test_resamples_that_were_drawn_apart_give_the_same() -> None:
    pair = drawn()
    a, b = (
        metrics.resample(Scorer(pair.labels, each).weighted_scores, pair.labels, pair.groups, n_resamples=30)
        for each in (pair.a, pair.b)
    )
    assert metrics.differences(a, b) == compared(pair)


def test_only_what_both_are_scored_on_is_subtracted() -> None:
    labels = [0, 0, 0, 1, 1]
    half = np.full(5, 0.5)
    a = metrics.resample(lambda w: {"x": w[:, 0] / 9, "only_a": half}, labels, n_resamples=5)
    b = metrics.resample(lambda w: {"only_b": half, "x": w[:, 1] / 9}, labels, n_resamples=5)
    assert list(metrics.differences(a, b)) == ["x"]
    with pytest.raises(ArrayError, match="A has the scores x, only_a and B has none of them"):
        metrics.differences(a, metrics.resample(lambda _: {"y": half}, labels, n_resamples=5))
    alike: dict[str, Any] = {"labels": labels, "n_resamples": 5}
    for other in ({"labels": [0, 0, 1, 1, 1]}, {"seed": 1}, {"n_resamples": 6}, {"groups": [0, 0, 1, 2, 3]}):
        with pytest.raises(ArrayError, match="same labels, groups, seed and number"):
            metrics.differences(a, metrics.resample(lambda w: {"x": w[:, 0] / 9}, **{**alike, **other}))


@pytest.mark.parametrize(("rows", "certain"), [(5, False), (6, True), (40, True)])
def test_a_difference_without_spread_is_judged_by_the_sign_test(rows: int, certain: bool) -> None:
    found = metrics.paired_bootstrap(
        lambda w: {"x": np.zeros(len(w))}, lambda w: {"x": np.ones(len(w))}, [0] * rows, n_resamples=2
    )["x"]
    assert found.p_value == pytest.approx(2 * 0.5**rows)
    assert found.high == 1
    assert (found.low > 0) == certain


def test_a_class_without_a_row_or_with_one_group() -> None:
    pair = drawn()
    rows = pair.labels != 1
    rows[np.flatnonzero(pair.labels == 2)[1:]] = False
    found = metrics.paired_per_class(
        pair.labels[rows], pair.a[rows], pair.b[rows], pair.groups[rows], n_resamples=10, n_swaps=30
    )
    assert np.isfinite([found.low[0], found.p_value[0], found.estimate[2], found.p_value[2]]).all()
    assert np.isnan([found.estimate[1], found.p_value[1], found.p_adjusted[1], found.low[2], found.high[2]]).all()


def test_a_lost_class_is_found_among_many() -> None:
    rng = np.random.default_rng(0)
    pair = TwoClassifiers((12,) * 20, (2.0,) * 20).draw(rng)
    lost = pair.b.copy()
    lost[:, 3] = rng.permutation(lost[:, 3])
    lost /= lost.sum(axis=1, keepdims=True)
    found = metrics.paired_per_class(pair.labels, pair.b, lost, n_resamples=10, n_swaps=999)
    assert found.p_adjusted.argmin() == 3
    assert found.p_adjusted[3] < 0.05
    assert found.estimate[3] < -0.3


@given(st.data())
@settings(max_examples=40)
def test_a_swap_gives_the_auc_pr_of_the_swapped_ranks(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 7))
    grid = st.lists(st.integers(0, 3), min_size=rows, max_size=rows)
    a, b = np.array(data.draw(grid), float), np.array(data.draw(grid), float)
    targets = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows).filter(any)))
    swaps = np.array([[bool(index >> row & 1) for row in range(rows)] for index in range(2**rows)])

    def difference(swap: npt.NDArray[np.bool_]) -> float:
        ranks = [np.array([(one < each).sum() + ((one == each).sum() + 1) / 2 for each in one]) for one in (a, b)]
        of_a, of_b = np.where(swap, ranks[1], ranks[0]), np.where(swap, ranks[0], ranks[1])
        found = [metrics.average_precision(targets[:, None], each[:, None])[0] for each in (of_a, of_b)]
        return float(abs(found[1] - found[0]))

    observed = difference(np.zeros(rows, bool))
    expected = [difference(swap) >= observed - 1e-12 for swap in swaps]
    assert _SwappedClass(targets, a, b).as_great(swaps).tolist() == expected


def test_only_the_ranks_of_a_class_matter_to_a_swap() -> None:
    pair = drawn(3)
    found = metrics.swap_test(pair.labels, pair.a, pair.b, n_swaps=99)
    surer = metrics.swap_test(pair.labels, np.log(pair.a) * 7 + [5, 0, -5], pair.b, n_swaps=99)
    assert found.tolist() == surer.tolist()


def test_the_p_value_of_swaps_is_their_share() -> None:
    # B ranks the rows of class 0 above all others, A below: of the swaps of 2 + 2 rows, 2 in 16 do so.
    scores = np.array([[4.0, 0], [3, 0], [2, 0], [1, 0]])
    p_value = metrics.swap_test([0, 0, 1, 1], scores[::-1], scores, n_swaps=2000)[0]
    assert p_value == pytest.approx(2 / 16, rel=0.5)
    assert metrics.swap_test([0, 0, 1, 1], scores[::-1], scores, n_swaps=3)[0] >= 1 / 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"n_swaps": 0}, "n_swaps must be at least 1"), ({"groups": [0]}, "5 labels, 1 groups and scores of shapes")],
)
def test_swaps_that_cannot_work_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArrayError, match=sentence):
        metrics.swap_test([0, 0, 0, 1, 1], np.ones((5, 2)), np.ones((5, 2)), **options)


def test_models_of_other_classes_are_refused() -> None:
    with pytest.raises(ArrayError, match="A has 2 classes but B 4"):
        metrics.paired_per_class([0, 1], np.full((2, 2), 0.5), np.full((2, 4), 0.25))


p_values = st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=12)


@given(p_values)
def test_holm_is_the_step_down_procedure(given_values: list[float]) -> None:
    adjusted = metrics.holm(given_values).tolist()
    tested = sorted(value for value in given_values if not math.isnan(value))
    for value, found in zip(given_values, adjusted, strict=True):
        if math.isnan(value):
            assert math.isnan(found)
        else:
            # The greatest of p_(j) × (m - j) over the p-values up to this one, j from 0.
            steps = [(len(tested) - j) * each for j, each in enumerate(tested) if each <= value]
            assert found == pytest.approx(min(1.0, max(steps)))


@pytest.mark.parametrize("bad", [[0.5, 1.5], [-0.1], [[0.5]]])
def test_holm_refuses_what_is_no_p_value(bad: Any) -> None:
    with pytest.raises(ArrayError, match="p_values must"):
        metrics.holm(bad)


def right_and_wrong(both: int, only_a: int, only_b: int, neither: int) -> tuple[npt.NDArray[np.int64], ...]:
    sizes = (both, only_a, only_b, neither)
    a, b = np.repeat([1, 1, 0, 0], sizes), np.repeat([1, 0, 1, 0], sizes)
    return np.ones(sum(sizes), np.int64), a, b


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 5))
def test_mcnemar_is_the_binomial_test_of_the_discordant_rows(a: int, b: int, both: int, neither: int) -> None:
    found = metrics.mcnemar(*right_and_wrong(both, a, b, neither))
    assert found.counts.tolist() == [[neither, b], [a, both]]
    assert (found.only_a, found.only_b) == (a, b)
    tosses = a + b
    tail = 2 * sum(Fraction(math.comb(tosses, heads), 2**tosses) for heads in range(min(a, b) + 1))
    seen = Fraction(math.comb(tosses, a), 2**tosses)
    assert found.exact_p_value == pytest.approx(min(1.0, float(tail)))
    assert found.p_value == pytest.approx(min(1.0, float(tail - seen)))


def test_a_group_has_one_vote() -> None:
    labels, a, b = right_and_wrong(0, 1, 8, 0)
    votes = metrics.mcnemar(labels, a, b, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert (votes.only_a, votes.only_b) == (0, 3)
    assert votes.exact_p_value == 0.25
    assert votes.counts.sum() == 9
    with pytest.raises(ArrayError, match="There are 9 labels but 2 groups"):
        metrics.mcnemar(labels, a, b, [0, 1])


def _alarms(pairs: int, n_resamples: int, gap: float = 0.0) -> dict[str, float]:
    """Give how often each test finds a difference between models of a given gap."""
    rng = np.random.default_rng(2)
    found: list[dict[str, bool]] = []
    for seed in range(pairs):
        pair = replace(LONG_TAIL, gap=gap).draw(rng)
        tested = compared(pair, n_resamples=n_resamples, seed=seed)
        right = metrics.mcnemar(pair.labels, pair.a.argmax(axis=1), pair.b.argmax(axis=1), pair.groups)
        classes = metrics.swap_test(pair.labels, pair.a, pair.b, pair.groups, n_swaps=199, seed=seed)
        found.append(
            {name: tested[name].p_value < 0.05 for name in PROMISED}
            | {"mcnemar": right.p_value < 0.05}
            | {f"class_{index}": p_value < 0.05 for index, p_value in enumerate(classes)}
            | {"any_class": bool((metrics.holm(classes) < 0.05).any())}
        )
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def test_few_simulated_pairs_of_equal_models_raise_few_alarms() -> None:
    # 0.05 and 3.4 standard errors of a share of 30.
    assert max(_alarms(pairs=30, n_resamples=25).values()) <= 0.19


def test_a_great_difference_is_found() -> None:
    found = _alarms(pairs=8, n_resamples=25, gap=2.5)
    assert min(found[name] for name in (*PROMISED, "mcnemar")) >= 0.5


@pytest.mark.slow
def test_equal_models_raise_3_to_7_false_alarms_in_100_pairs() -> None:
    found = _alarms(pairs=500, n_resamples=120)
    assert all(0.03 <= found[name] <= 0.07 for name in PROMISED), found
    assert all(share <= 0.07 for share in found.values()), found
