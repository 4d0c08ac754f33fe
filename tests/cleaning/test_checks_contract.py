"""Every check in conf/cleaning is made from its YAML, named after it, and refuses numbers that cannot work."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from wellai_exp import cleaning
from wellai_exp.cleaning import Alike, Blurred, Check, Evidence, Finding, Limits, Measured, TooSmall
from wellai_exp.config import build, register_plugins
from wellai_exp.errors import SettingError
from wellai_exp.paths import shipped_dir
from wellai_exp.verbs.clean import checks_of

FOLDER = shipped_dir("conf") / "cleaning"
CHECKS = sorted(file.stem for file in FOLDER.glob("*.yaml") if file.stem != "default")
BASES = (Check, Measured, Alike)
CLASSES = [
    member
    for name in cleaning.__all__
    if isinstance(member := getattr(cleaning, name), type) and issubclass(member, Check) and member not in BASES
]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    register_plugins()
    OmegaConf.register_new_resolver("wellai.pid", lambda: 1, replace=True)
    with initialize_config_dir(str(shipped_dir("conf")), version_base="1.3"):
        yield


def made(*overrides: str) -> list[Check]:
    return checks_of(compose("clean", overrides=list(overrides)))


@pytest.mark.parametrize("option", CHECKS)
def test_a_check_is_made_from_its_file_has_its_name_and_the_defaults_of_its_class(option: str) -> None:
    (check,) = made(f"cleaning=[{option}]")
    assert check.name == option
    assert check == type(check)(name=option)
    assert check.title
    written = set(yaml.safe_load((FOLDER / f"{option}.yaml").read_text(encoding="utf-8"))[option]) - {"_target_"}
    assert written == {each.name for each in fields(check)} - {"name"}
    assert set(check.ranges) <= written
    if isinstance(check, Measured):
        assert check.limit in check.ranges
        assert check.side in ("below", "above")


def test_every_check_has_a_file_and_a_place_in_the_default_order() -> None:
    names = {re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower() for each in CLASSES} - {"problem"}
    assert names == set(CHECKS)
    order = [check.name for check in made()]
    assert set(order) == names
    # A copy is told from its original before anything is said of what it shows, and a label before copies are thrown.
    assert order.index("two_labels") < order.index("exact_duplicate") < order.index("near_duplicate")
    assert order.index("near_duplicate") < order.index("mislabelled")


def test_checks_are_taken_out_changed_and_added_on_the_command_line() -> None:
    assert "blurred" not in [check.name for check in made("~cleaning.blurred")]
    (changed,) = (check for check in made("cleaning.too_small.least=100") if check.name == "too_small")
    assert changed == TooSmall(100)
    own = {check.name: check for check in made("+cleaning.soft={_target_:wellai_exp.cleaning.Blurred,least:0.02}")}
    assert own["soft"] == Blurred(0.02, name="soft")
    with pytest.raises(SettingError, match=r"cleaning\.soft\.least=-1: .*set cleaning\.soft\.least="):
        made("+cleaning.soft={_target_:wellai_exp.cleaning.Blurred,least:-1}")
    with pytest.raises(SettingError, match=r"cleaning\.odd=.*no check"):
        made("+cleaning.odd={_target_:wellai_exp.promotion.Size}")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "many", None, True, -1e9])
@pytest.mark.parametrize("kind", [each for each in CLASSES if each.ranges])
def test_a_number_that_cannot_work_is_refused(kind: type[Check], wrong: Any) -> None:
    for setting in kind.ranges:
        with pytest.raises(SettingError) as caught:
            kind(**{setting: wrong})
        assert caught.value.setting == f"cleaning.{kind().name}.{setting}"
        assert f"set {caught.value.setting}=" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "wrong"), [("memory_gb", 0.1), ("memory_gb", "much"), ("seconds", 0), ("workers", 0), ("workers", 1.5)]
)
def test_limits_that_cannot_work_are_refused(setting: str, wrong: Any) -> None:
    with pytest.raises(SettingError, match=rf"limits\.{setting}={wrong}: .*set limits\.{setting}="):
        Limits(**{setting: wrong})
    assert build(compose("clean"), "limits") == Limits()


def test_a_finding_needs_a_reason_for_each_that_it_flags() -> None:
    with pytest.raises(ValueError, match="a reason for each"):
        Finding(np.array([True, False]), np.zeros(2), 0.0, {})


def test_a_check_that_lacks_what_it_needs_says_so_and_is_not_asked() -> None:
    import pandas as pd

    nothing = Evidence(pd.DataFrame({"label": []}), np.zeros((0, 8), np.uint64), np.zeros(0, bool))
    for kind in CLASSES:
        check = kind()
        assert check.missing(nothing) == bool(check.needs)
        if check.needs:
            with pytest.raises(ValueError, match=check.needs):
                check.judge(nothing, np.zeros(0, np.int64))
