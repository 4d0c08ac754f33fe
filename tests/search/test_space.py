"""The search space: conditional arguments, pinned keys, covering points."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.errors import SettingError
from wellai_exp.search import Choice, Distribution, Integers, Interval, Space

OWN: dict[tuple[str, str], dict[str, Distribution]] = {
    ("imbalance", "smote"): {"k_neighbors": Integers(1, 9)},
    ("imbalance", "adasyn"): {"k_neighbors": Integers(2, 4)},
    ("head", "linear"): {"l2": Interval(1e-5, 1e-1, log=True)},
}


def own(group: str, option: str) -> Mapping[str, Distribution]:
    return OWN.get((group, option), {})


def make(pinned: frozenset[str] = frozenset()) -> Space:
    dimensions = {"imbalance": Choice(("none", "smote", "adasyn")), "backbone": Choice(("a", "b"))}
    return Space(dimensions, own, {"imbalance": "none", "head": "linear"}, pinned)


def suggest(space: Space, **fixed: object) -> list[str]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial(fixed)
    return space.suggest(study.ask())


def test_an_options_own_arguments_are_searched_only_beside_it() -> None:
    assert [line.split("=")[0] for line in suggest(make(), imbalance="none")] == ["imbalance", "head.l2", "backbone"]
    assert "imbalance.k_neighbors=3" in suggest(make(), imbalance="smote", **{"imbalance.smote.k_neighbors": 3})
    assert "imbalance.k_neighbors=2" in suggest(make(), imbalance="adasyn", **{"imbalance.adasyn.k_neighbors": 2})


def test_a_pinned_group_is_left_to_the_command_and_its_arguments_are_still_searched() -> None:
    space = Space({"imbalance": Choice(("none",))}, own, {"imbalance": "smote"}, frozenset({"imbalance"}))
    assert [line.split("=")[0] for line in suggest(space)] == ["imbalance.k_neighbors"]


def test_a_pinned_argument_is_not_searched() -> None:
    keys = [line.split("=")[0] for line in suggest(make(frozenset({"imbalance.k_neighbors"})), imbalance="smote")]
    assert "imbalance.k_neighbors" not in keys


def test_nothing_left_to_search_is_refused() -> None:
    with pytest.raises(SettingError, match=r"search\.space"):
        Space({"imbalance": Choice(("none",))}, own, {}, frozenset({"imbalance"}))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 100))
def test_covering_points_show_every_option_in_as_few_points_as_possible(sizes: list[int], seed: int) -> None:
    dimensions = {
        f"g{index}": Choice(tuple(f"o{option}" for option in range(size))) for index, size in enumerate(sizes)
    }
    points = Space(dimensions, own, {}).cover(seed)
    assert len(points) == max(sizes)
    for key, choice in dimensions.items():
        assert {point[key] for point in points} == set(choice.values)


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3))
def test_a_suggested_number_survives_as_text(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if low == high:
        return
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    text = Interval(low, high).suggest(trial, "x")
    assert float(text) == trial.params["x"]


CARRIED = {
    "k0": ("backbone=b", "imbalance=smote", "imbalance.k_neighbors=3", "optimizer.lr=0.1"),
    "k1": ("backbone=a", "imbalance=none"),
}


def later(carried: Mapping[str, tuple[str, ...]], pinned: frozenset[str] = frozenset()) -> Space:
    groups = {"imbalance": "none", "head": "linear"}
    return Space({"epochs": Integers(3, 9)}, own, groups, pinned, carried)


def test_a_trial_starts_from_a_carried_configuration() -> None:
    space = later(CARRIED)
    assert suggest(space, start="k1", epochs=4, **{"head.linear.l2": 0.01}) == [
        "backbone=a", "imbalance=none", "head.l2=0.01", "epochs=4",
    ]  # fmt: skip
    smote = suggest(space, start="k0", epochs=4, **{"imbalance.smote.k_neighbors": 7, "head.linear.l2": 0.01})
    assert smote == [
        "backbone=b", "imbalance=smote", "optimizer.lr=0.1", "imbalance.k_neighbors=7", "head.l2=0.01", "epochs=4",
    ]  # fmt: skip
    assert {point["start"] for point in space.cover(0)} == {"k0", "k1"}


def test_one_carried_configuration_is_no_parameter() -> None:
    space = later({"only": CARRIED["k1"]})
    assert list(space.searched) == ["epochs"]
    assert suggest(space)[:2] == ["backbone=a", "imbalance=none"]


def test_carried_overrides_give_way_to_what_the_stage_searches_and_to_the_command() -> None:
    searched = Space({"imbalance": Choice(("none", "adasyn"))}, own, {"imbalance": "none"}, frozenset(), CARRIED)
    assert suggest(searched, start="k0", imbalance="none") == ["backbone=b", "optimizer.lr=0.1", "imbalance=none"]
    pinned = suggest(later(CARRIED, frozenset({"imbalance", "optimizer.lr"})), start="k0")
    assert [line.split("=")[0] for line in pinned] == ["backbone", "head.l2", "epochs"]


def test_choosing_among_carried_configurations_is_enough_to_search() -> None:
    assert suggest(Space({}, own, {}, frozenset(), CARRIED), start="k1") == list(CARRIED["k1"])
    with pytest.raises(SettingError, match=r"search\.space"):
        Space({}, own, {}, frozenset(), {"only": CARRIED["k1"]})


def test_a_point_to_try_first_starts_from_the_best_and_is_written_as_the_study_has_it() -> None:
    carried = {"probe-0003": ("backbone=a",), "probe-0001": ("backbone=b",)}
    space = Space({"rate": Interval(0.0, 1.0), "depth": Choice(("8", "14"))}, own, {}, carried=carried)
    assert space.checked_point({"depth": 14, "rate": 0.5}) == {"start": "probe-0003", "depth": "14", "rate": 0.5}
    assert space.checked_point({"start": "probe-0001"}) == {"start": "probe-0001"}
    with pytest.raises(SettingError, match=r"search\.space\.depth=9: .*choose among 8, 14"):
        space.checked_point({"depth": 9})
