from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from wellai_exp.errors import SettingError
from wellai_exp.search import Candidate
from wellai_exp.verbs._final import Finalist, FinalSettings, best_of_stages

NO_COMPOSER = cast(Any, None)


def finalists(stage: str, values: list[float]) -> list[Finalist]:
    ordered = sorted(values, reverse=True)
    return [
        Finalist(stage, NO_COMPOSER, Candidate(number, ("imbalance=none",), value, {}, {}))
        for number, value in enumerate(ordered)
    ]


VALUES = st.lists(st.lists(st.floats(0, 1), max_size=6), min_size=1, max_size=4)


@given(VALUES, st.integers(1, 12))
def test_each_stage_sends_its_best_before_any_sends_a_second(values: list[list[float]], k: int) -> None:
    stages = [finalists(str(index), each) for index, each in enumerate(values)]
    chosen = best_of_stages(stages, k)
    leaders = [found[0] for found in stages if found]
    assert len(chosen) == min(k, sum(map(len, stages)))
    assert [each.trial.value for each in chosen] == sorted((each.trial.value for each in chosen), reverse=True)
    assert len([each for each in chosen if each in leaders]) == min(k, len(leaders))
    if leaders:
        assert chosen[0].trial.value == max(each.trial.value for each in leaders)


def test_many_trials_of_one_stage_do_not_crowd_out_another() -> None:
    crowd, single = finalists("decoupled", [0.97, 0.971, 0.972]), finalists("finetune", [0.96])
    assert [each.name for each in best_of_stages([single, crowd], 2)] == ["decoupled 0000", "finetune 0000"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"final": {"seeds": 0}}, "final.seeds=0"),
        ({"final": {"seeds": "few"}}, "final.seeds=few"),
        ({"confirm": {"candidates": 0}}, "confirm.candidates=0"),
        ({"confirm": {"seeds": -1}}, "confirm.seeds=-1"),
        ({"final": {"soup": "yes"}}, "final.soup=yes"),
        ({"final": {"soup": True}}, "final.soup=True"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_final_round_is_refused_by_name(changed: dict[str, object], named: str) -> None:
    usual = {"confirm": {"candidates": 1, "seeds": 1}, "final": {"seeds": 1, "soup": False}}
    assert FinalSettings.of(OmegaConf.create(usual)).seeds == 1
    with pytest.raises(SettingError) as refused:
        FinalSettings.of(cast(DictConfig, OmegaConf.merge(usual, changed)))
    assert named in str(refused.value)
