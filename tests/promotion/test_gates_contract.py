"""Every gate in conf/promotion is made from its YAML, named after it, and refuses numbers that cannot work."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contenders import evidence, predictions
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from wellai_exp import promotion
from wellai_exp.config import build, register_plugins
from wellai_exp.errors import SettingError
from wellai_exp.paths import shipped_dir
from wellai_exp.promotion import Calibration, Gate, PairedImprovement, Verdict, document, judge

FILES = sorted(file.stem for file in (shipped_dir("conf") / "promotion").glob("*.yaml"))
GATES = [name for name in FILES if name != "default"]
CLASSES = [
    member for name in promotion.__all__ if isinstance(member := getattr(promotion, name), type) and member is not Gate
]


@pytest.fixture
def hydra() -> Iterator[None]:
    register_plugins()
    OmegaConf.register_new_resolver("wellai.pid", lambda: 1, replace=True)
    with initialize_config_dir(str(shipped_dir("conf")), version_base="1.3"):
        yield


def gates_of(*overrides: str) -> list[Gate]:
    cfg = compose("promote", overrides=["model=demo", *overrides])
    return [build(cfg, f"promotion.{name}", name=name) for name in cfg.promotion]


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("option", GATES)
def test_a_gate_is_made_from_its_file_and_has_its_name(option: str) -> None:
    (gate,) = gates_of(f"promotion=[{option}]")
    assert gate.name == option
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", type(gate).__name__).lower() == option
    text = (shipped_dir("conf") / "promotion" / f"{option}.yaml").read_text(encoding="utf-8")
    for setting in gate.ranges:
        assert f"  {setting}:" in text


def test_every_gate_has_a_file() -> None:
    made = {re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower() for each in CLASSES if issubclass(each, Gate)}
    assert made == set(GATES)


@pytest.mark.usefixtures("hydra")
def test_gates_are_added_taken_out_and_changed_on_the_command_line() -> None:
    usual = [gate.name for gate in gates_of()]
    assert usual == [name for name in usual if name in GATES]
    assert "export_parity" not in usual
    assert [gate.name for gate in gates_of("promotion=[default,export_parity]")] == [*usual, "export_parity"]
    assert "latency" not in [gate.name for gate in gates_of("~promotion.latency")]
    (size,) = gates_of("promotion=[size]", "promotion.size.most=20")
    assert size == promotion.Size(most=20)
    same_class = "{_target_:wellai_exp.promotion.PairedImprovement,metric:auc_pr_tail,margin:-0.02}"
    gates = {gate.name: gate for gate in gates_of(f"+promotion.tail={same_class}")}
    assert gates["tail"] == PairedImprovement("auc_pr_tail", -0.02, name="tail")
    with pytest.raises(SettingError, match=r"promotion\.tail\.level=2: .*set promotion\.tail\.level=0\.95"):
        gates_of(f"+promotion.tail={same_class[:-1]},level:2}}")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "many", None, True, -1e9])
@pytest.mark.parametrize("kind", [each for each in CLASSES if issubclass(each, Gate) and each.ranges])
def test_a_number_that_cannot_work_is_refused(kind: type[Gate], wrong: Any) -> None:
    for setting, (low, _) in kind.ranges.items():
        if wrong == -1e9 and low == -math.inf:
            continue
        with pytest.raises(SettingError) as caught:
            kind(**{setting: wrong})
        assert caught.value.setting.startswith("promotion.")
        assert caught.value.setting.endswith(f".{setting}")
        assert f"set {caught.value.setting}=" in str(caught.value)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, "it bounds no metric"),
        ({"at_least": {"accuracy": "high"}}, r"at_least\.accuracy=high: it must be a number"),
        ({"at_most": {"log_loss": math.inf}}, r"at_most\.log_loss=inf"),
        ({"at_least": 0.5}, "must map metrics to numbers"),
    ],
)
def test_bounds_that_are_none_are_refused(bounds: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        promotion.Absolute(**bounds)


def test_every_gate_is_asked_also_after_one_has_refused(tmp_path: Path) -> None:
    gates = [Calibration(most=0.0), promotion.Size(), Calibration(most=1.0, name="loose")]
    found = judge(gates, evidence(tmp_path, predictions()))
    assert [(verdict.gate, verdict.passed) for verdict in found] == [
        ("calibration", False),
        ("size", True),
        ("loose", True),
    ]


def test_the_document_holds_what_was_judged_in_plain_json(tmp_path: Path) -> None:
    known = evidence(tmp_path, predictions(), predictions(1.0))
    verdicts = [Verdict("size", True, "small", {"size_mb": 2.0}), Verdict("odd", False, "NaN", {"value": math.nan})]
    kept = json.loads(json.dumps(document(verdicts, known), allow_nan=False))
    assert kept["images"] == len(known.challenger.evaluation.labels)
    assert (kept["challenger"]["model"], kept["champion"]["model"]) == ("demo/2", "demo/1")
    assert kept["verdicts"] == [
        {"gate": "size", "passed": True, "sentence": "small", "figures": {"size_mb": 2.0}},
        {"gate": "odd", "passed": False, "sentence": "NaN", "figures": {"value": None}},
    ]
    assert document(verdicts)["verdicts"] == kept["verdicts"]
    assert document(verdicts, evidence(tmp_path, predictions()))["champion"] is None


@pytest.mark.parametrize(("gate", "sentence"), [(" ", "it is small"), ("size", "")])
def test_a_verdict_without_a_name_or_a_sentence_is_none(gate: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="a verdict needs"):
        Verdict(gate, True, sentence)
