"""The laws of the split, on random labels and groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.data import Split
from wellai_exp.data._split import IntArray, repair
from wellai_exp.errors import SettingError


def _random(seed: int, n_classes: int, fewest: int, mixed: float) -> tuple[IntArray, IntArray, list[str]]:
    """Give labels and groups: every class has `fewest` groups of its own or more, and some are of two."""
    rng = np.random.default_rng(seed)
    labels: list[int] = []
    groups: list[int] = []
    group = 0
    for label in range(n_classes):
        for _ in range(int(rng.integers(fewest, fewest + 20))):
            size = int(rng.integers(1, 4))
            labels += [label] * size
            groups += [group] * size
            if rng.random() < mixed:
                labels.append(int(rng.integers(n_classes)))
                groups.append(group)
            group += 1
    order = rng.permutation(len(labels))
    return np.array(labels)[order], np.array(groups)[order], [f"c{label}" for label in range(n_classes)]


def _apart(groups: IntArray, parts: IntArray) -> bool:
    pairs = np.unique(np.stack([groups, parts]), axis=1)
    return bool(len(np.unique(pairs[0])) == pairs.shape[1])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.integers(2, 8),
    folds=st.integers(2, 6),
    test=st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.33, 0.5]),
)
def test_no_group_on_two_sides_and_every_class_everywhere(seed: int, n_classes: int, folds: int, test: float) -> None:
    labels, groups, names = _random(seed, n_classes, 3, mixed=0.0)
    split = Split(test=test, folds=folds, seed=seed)
    held = split.test_part(labels, groups, names)
    assert _apart(groups, held.astype(np.int64))
    assert set(labels[held]) == set(labels) == set(labels[~held])
    kept, together = labels[~held], groups[~held]
    if len(np.unique(together)) < folds:
        with pytest.raises(SettingError, match=r"split\.folds="):
            split.fold_of(kept, together, names, np.bincount(labels))
        return
    fold = split.fold_of(kept, together, names, np.bincount(labels))
    assert _apart(together, fold)
    assert fold.min() >= 0
    assert fold.max() < folds
    for label in range(n_classes):
        mine = kept == label
        assert len(np.unique(fold[mine])) == min(folds, len(np.unique(together[mine])))
        for number in range(folds):
            assert (mine & (fold != number)).any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_laws_hold_with_groups_of_two_classes_or_it_is_refused(seed: int) -> None:
    labels, groups, names = _random(seed, 5, 3, mixed=0.3)
    split = Split(seed=seed)
    try:
        held = split.test_part(labels, groups, names)
        fold = split.fold_of(labels[~held], groups[~held], names, np.bincount(labels))
    except SettingError as error:
        assert "split." in str(error)
        return
    assert _apart(groups, held.astype(np.int64))
    assert _apart(groups[~held], fold)
    assert set(labels[held]) == set(labels)
    for number in range(split.folds):
        assert set(labels[~held][fold != number]) == set(labels)


@pytest.mark.parametrize("test", [0.1, 0.15, 0.2, 0.3, 0.5])
def test_the_test_part_has_its_share_of_every_class(test: float) -> None:
    labels = np.repeat(np.arange(4), [400, 200, 100, 60])
    held = Split(test=test).test_part(labels, np.arange(len(labels)), ["a", "b", "c", "d"])
    shares = np.bincount(labels[held]) / np.bincount(labels)
    np.testing.assert_allclose(shares, test, atol=0.03)


def test_one_seed_gives_one_split_and_another_gives_another() -> None:
    labels, groups, names = _random(0, 6, 5, mixed=0.1)
    first = Split(seed=1).test_part(labels, groups, names)
    np.testing.assert_array_equal(first, Split(seed=1).test_part(labels, groups, names))
    assert (first != Split(seed=2).test_part(labels, groups, names)).any()


def test_a_class_of_one_photograph_is_named_with_its_count_and_what_to_set() -> None:
    labels = np.array([0] * 9 + [1] * 4 + [2])
    groups = np.array([*range(9), 20, 20, 20, 21, 30])
    with pytest.raises(SettingError) as caught:
        Split().test_part(labels, groups, ["tree", "crow", "bow"])
    sentence = str(caught.value)
    assert "'crow' has 2 different photographs in 4 images (and 1 other classes" in sentence
    assert "data.min_per_class=5" in sentence


def test_fewer_photographs_than_folds_names_the_number_that_fits() -> None:
    labels = np.array([0, 0, 1, 1])
    with pytest.raises(SettingError, match=r"split.folds=9: .*set split.folds=4"):
        Split(folds=9).fold_of(labels, np.arange(4), ["a", "b"], np.bincount(labels))


@pytest.mark.parametrize(
    ("setting", "value"), [("test", 0.0), ("test", 0.6), ("test", float("nan")), ("folds", 1), ("threshold", 200)]
)
def test_settings_are_checked_at_birth(setting: str, value: Any) -> None:
    with pytest.raises(SettingError, match=rf"split.{setting}=.*; set split.{setting}="):
        Split(**{setting: value})


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n_parts=st.integers(2, 5))
def test_a_repair_never_makes_a_lack(seed: int, n_parts: int) -> None:
    labels, groups, names = _random(seed, 5, 1, mixed=0.4)
    rng = np.random.default_rng(seed)
    parts = rng.integers(0, n_parts, groups.max() + 1)[groups] * (rng.random() < 0.7)
    after = repair(parts, labels, groups, (1,) * n_parts)
    assert _apart(groups, after)
    for label in range(len(names)):
        assert set(parts[labels == label]) <= set(after[labels == label])
