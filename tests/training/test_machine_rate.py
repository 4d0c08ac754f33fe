"""What is compared, and that the figures come from processes with the settings asked for."""

from __future__ import annotations

import os
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_training import CHOICES, SHORT

from wellai_exp.errors import WellaiError
from wellai_exp.training import MachineRates, MachineSetting, measure_machine, settings_around


@given(st.integers(1, 32), st.sampled_from([8, 16, 24, 32, 64]))
def test_each_setting_differs_in_one_thing_and_takes_no_more_than_the_cores(cores: int, batch_size: int) -> None:
    usual = MachineSetting(threads=cores, batch_size=batch_size)
    settings = settings_around(usual, cores)
    assert settings[0] == usual
    assert len(set(settings)) == len(settings)
    for setting in settings[1:]:
        changed = {each.name for each in fields(setting) if getattr(setting, each.name) != getattr(usual, each.name)}
        assert len(changed) == 1 or changed == {"workers", "threads"}
        assert setting.workers * setting.threads <= cores


def test_gains_are_those_of_rounds_that_share_the_machines_drift() -> None:
    usual, other = (MachineRates(MachineSetting(batch_size=size)) for size in (8, 16))
    usual.rounds["features"], other.rounds["features"] = [100.0, 50.0, 10.0], [200.0, 100.0, 20.0]
    assert other.gain(usual, "features") == 2.0
    assert usual.rate("features") == 50.0


def test_both_kinds_of_work_are_timed_in_processes_of_their_own() -> None:
    recipe = SHORT.recipe(CHOICES)
    settings = [MachineSetting(batch_size=4), MachineSetting("mixed_bfloat16", False, 2, 1, 4)]
    before = dict(os.environ)
    found = measure_machine(recipe, 5, settings, rounds=2, seconds=0.05)
    assert [rates.setting for rates in found] == settings
    for rates in found:
        assert [len(rates.rounds[work]) for work in ("features", "training")] == [2, 2]
        assert min(min(rounds) for rounds in rates.rounds.values()) > 0
    assert dict(os.environ) == before


def test_a_setting_that_cannot_run_ends_in_a_sentence() -> None:
    recipe = SHORT.recipe(CHOICES)
    with pytest.raises(WellaiError, match=r"cannot be measured with MachineSetting\(precision='no_such'"):
        measure_machine(recipe, 5, [replace(MachineSetting(batch_size=4), precision="no_such")], rounds=1, seconds=0.05)
