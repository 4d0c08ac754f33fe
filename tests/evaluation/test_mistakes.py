"""Confused pairs, worst mistakes and suspected labels, against what they are by definition."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from wellai_exp.errors import SettingError
from wellai_exp.evaluation import Evaluation, confused_pairs, likely_mislabelled, worst_mistakes

NAMES = ("나무", "Upward_Bow_(Wheel)", "plank's", "never seen")


def drawn(seed: int, rows: int = 60) -> Evaluation:
    """Random predictions of four classes in two families; the last class has no row."""
    rng = np.random.default_rng(seed)
    return Evaluation(
        rng.integers(0, 3, rows),
        rng.dirichlet(np.ones(4), rows),
        NAMES,
        levels={"level_1": ("all", "all", "all", "all"), "level_2": ("up", "up", "down", "down")},
    )


def told(labels: list[int], predicted: list[int], classes: int = 3) -> Evaluation:
    """Give an evaluation that predicts these classes, each with 0.8."""
    probabilities = np.full((len(labels), classes), 0.2 / (classes - 1))
    probabilities[np.arange(len(labels)), predicted] = 0.8
    return Evaluation(np.array(labels), probabilities, tuple("abcdef"[:classes]))


@given(seed=st.integers(0, 2**32 - 1))
def test_pairs_are_the_counted_mistakes_and_fall(seed: int) -> None:
    evaluation = drawn(seed)
    pairs = confused_pairs(evaluation, 100)
    counted = Counter(
        (NAMES[true], NAMES[given])
        for true, given in zip(evaluation.labels.tolist(), evaluation.predictions.tolist(), strict=True)
        if true != given
    )
    listed = {(pair["true"], pair["predicted"]): pair["rows"] for pair in pairs.to_dict("records")}
    assert listed == counted
    assert pairs["rows"].is_monotonic_decreasing
    support = Counter(NAMES[label] for label in evaluation.labels.tolist())
    np.testing.assert_allclose(pairs["share"], [rows / support[true] for (true, _), rows in listed.items()])
    families = dict(zip(NAMES, evaluation.levels["level_2"], strict=True))
    assert pairs["cross_parent"].tolist() == [families[true] != families[given] for true, given in listed]


def test_of_equally_frequent_pairs_the_greater_share_comes_first() -> None:
    evaluation = told([0, 0, 0, 1, 1, 2], [1, 0, 0, 2, 1, 2])
    pairs = confused_pairs(evaluation)
    assert pairs["true"].tolist() == ["b", "a"]
    assert pairs["share"].tolist() == [1 / 2, 1 / 3]
    assert "cross_parent" not in pairs


def test_without_mistakes_there_is_nothing_to_list() -> None:
    for evaluation in (told([0, 1, 2], [0, 1, 2]), Evaluation(np.zeros(3, int), np.ones((3, 1)), ("only",))):
        assert confused_pairs(evaluation).empty
        assert len(worst_mistakes(evaluation)) == 0
        assert likely_mislabelled(evaluation).empty


@given(seed=st.integers(0, 2**32 - 1), top=st.integers(1, 80))
def test_worst_mistakes_are_the_wrong_rows_of_most_log_loss(seed: int, top: int) -> None:
    evaluation = drawn(seed)
    rows = worst_mistakes(evaluation, top)
    loss = -np.log(evaluation.probabilities[np.arange(60), evaluation.labels])
    wrong = evaluation.predictions != evaluation.labels
    assert len(rows) == min(top, wrong.sum())
    assert wrong[rows].all()
    assert (np.diff(loss[rows]) <= 0).all()
    left = np.setdiff1d(np.flatnonzero(wrong), rows)
    assert not len(left) or loss[left].max() <= loss[rows].min()


@given(seed=st.integers(0, 2**32 - 1))
def test_suspected_labels_are_those_off_the_diagonal_of_the_confident_joint(seed: int) -> None:
    """Equations 1 and 2 of Northcutt et al., written out; whom its own label leads is never suspected."""
    evaluation = drawn(seed)
    labels, given_to = evaluation.labels.tolist(), evaluation.probabilities
    given_to = given_to / given_to[:, :3].sum(axis=1, keepdims=True)
    thresholds = {
        c: np.mean([given_to[row, c] for row in range(60) if labels[row] == c]) for c in range(4) if c in labels
    }
    expected = {}
    for row in range(60):
        confident = [c for c, threshold in thresholds.items() if given_to[row, c] >= threshold]
        leading = max(thresholds, key=lambda c: given_to[row, c])
        claimed = confident[0] if len(confident) == 1 else leading
        if confident and claimed != labels[row] != leading:
            expected[row] = NAMES[leading]
    suspects = likely_mislabelled(evaluation)
    found = {record["row"]: record for record in suspects.to_dict("records")}
    assert {row: record["suggested"] for row, record in found.items()} == expected
    for row, record in found.items():
        assert record["label"] == NAMES[labels[row]]
        own, other = (evaluation.probabilities[row, NAMES.index(record[name])] for name in ("label", "suggested"))
        assert record["margin"] == pytest.approx(other - own)


@pytest.mark.parametrize(("certainty", "at_least"), [(4.0, 9), (8.0, 15)])
@pytest.mark.parametrize("seed", range(3))
def test_planted_wrong_labels_are_found_and_the_classifiers_own_mistakes_are_not(
    certainty: float, at_least: int, seed: int
) -> None:
    """A sure classifier finds all 15; one that errs in a row of a hundred finds fewer, but accuses nobody."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 300)
    logits = rng.normal(size=(300, 5))
    logits[np.arange(300), truth] += certainty
    planted = rng.choice(300, 15, replace=False)
    labels = truth.copy()
    labels[planted] = (truth[planted] + 1 + rng.integers(0, 4, 15)) % 5
    suspects = likely_mislabelled(Evaluation(labels, softmax(logits, axis=1), tuple("abcde")))
    found = suspects["row"].tolist()
    assert set(found) <= set(planted.tolist())
    assert len(found) >= at_least
    assert suspects["suggested"].tolist() == ["abcde"[truth[row]] for row in found]


def test_equally_sure_rows_of_one_class_are_all_at_its_threshold() -> None:
    """The mean of three times 0.8 is above 0.8 in floating point."""
    evaluation = told([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    assert likely_mislabelled(evaluation)["row"].tolist() == [3]


def test_paths_are_given_where_they_are_known() -> None:
    evaluation = told([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    paths = tuple(f"{row}.jpg" for row in range(5))
    known = Evaluation(evaluation.labels, evaluation.probabilities, evaluation.class_names, paths=paths)
    assert likely_mislabelled(evaluation)["path"].tolist() == [""]
    assert likely_mislabelled(known)["path"].tolist() == ["3.jpg"]


def test_a_list_of_nothing_is_refused() -> None:
    evaluation = told([0, 1], [1, 0])
    for ask in (confused_pairs, worst_mistakes, likely_mislabelled):
        with pytest.raises(SettingError, match="top=0"):
            ask(evaluation, 0)
