"""Help, completion and the plain arguments of verbs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from wellai_exp.cli._verbs import VERBS, UsageError, quote, to_overrides

HEAVY = {
    "tensorflow",
    "keras",
    "mlflow",
    "sklearn",
    "optuna",
    "pandas",
    "matplotlib",
    "cv2",
    "hydra",
    "numpy",
    "aiohttp",
}


def call(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wellai_exp", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import json, sys
sys.argv = ["wellai-exp", *{arguments!r}]
from wellai_exp.cli import main
main()
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    *shown, modules = done.stdout.strip().splitlines()
    assert not HEAVY & set(json.loads(modules))
    assert any("wellai-exp" in line for line in shown)


def test_help_groups_the_options_and_shows_an_example_for_each_verb(tmp_path: Path) -> None:
    overview = call(["--help"], tmp_path).stdout
    assert all(verb.examples[0] in overview for verb in VERBS.values())
    sweep = call(["sweep", "--help"], tmp_path).stdout
    for words in ("imbalance=", "smote", "experiment=", "demo", "search=", "random", "--multirun"):
        assert words in sweep


def test_the_help_of_promote_lists_its_gates_and_switches(tmp_path: Path) -> None:
    shown = call(["promote", "--help"], tmp_path).stdout
    for words in ("[--reason VALUE] [--force]", "promotion=", "paired_improvement", "runtime=", "--force --reason"):
        assert words in shown
    assert "imbalance=" not in shown
    assert "promotion=" not in call(["sweep", "--help"], tmp_path).stdout


def test_the_help_of_collect_lists_the_data_alone(tmp_path: Path) -> None:
    shown = call(["collect", "--help"], tmp_path).stdout
    assert "links" in shown
    assert "split=" not in shown
    assert "tracking=" not in shown


def test_own_options_are_listed_first(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text("# @package _global_\nname: mine\n")
    assert "mine, demo" in call(["sweep", "--help"], tmp_path).stdout


def test_own_conf_and_experiments_come_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "conf" / "head").mkdir(parents=True)
    (tmp_path / "experiments" / "demo.yaml").write_text("# @package _global_\nname: my own demo\n")
    (tmp_path / "conf" / "head" / "linear.yaml").write_text("_target_: wellai_exp.models.LinearHead\nsteps: 7\n")
    done = call(["sweep", "experiment=demo", "--cfg", "job"], tmp_path)
    assert "name: my own demo" in done.stdout
    assert "steps: 7" in done.stdout
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wellai-exp sw", "sweep"),
        ("wellai-exp sweep experiment=d", "experiment=demo"),
        ("wellai-exp sweep imbalance=bal", "imbalance=balanced_softmax"),
        ("wellai-exp train head.st", "head.steps="),
    ],
)
def test_completion_works_behind_a_verb(tmp_path: Path, line: str, expected: str) -> None:
    done = call(["-sc", "query=bash"], tmp_path, COMP_LINE=line, COMP_POINT=str(len(line)))
    assert expected in done.stdout.split()


def test_plain_arguments_become_overrides() -> None:
    assert to_overrides("promote", ["demo", "--version", "3", "--reason=it's better"]) == [
        "model='demo'",
        "version='3'",
        "reason='it\\'s better'",
    ]
    assert to_overrides("promote", ["demo", "--force", "--reason", "why"]) == [
        "model='demo'",
        "force=true",
        "reason='why'",
    ]
    assert to_overrides("sweep", ["--cfg", "job", "a=b", "-m"]) == ["--cfg", "job", "a=b", "-m"]


def test_values_in_other_scripts_need_no_quotes() -> None:
    assert to_overrides("sweep", ["name=나무 자세", "data.root=/사진", "imbalance=a,나", "a=b"]) == [
        "name='나무 자세'",
        "data.root='/사진'",
        "imbalance=a,나",
        "a=b",
    ]


def test_stray_arguments_are_refused() -> None:
    for arguments in (["promote", "demo", "another"], ["sweep", "demo"]):
        with pytest.raises(UsageError, match="neither KEY=VALUE"):
            to_overrides(arguments[0], arguments[1:])
    with pytest.raises(UsageError, match="needs a value"):
        to_overrides("promote", ["demo", "--version"])


def test_files_may_be_called_anything() -> None:
    asked = ["demo", "a.jpg", "-", "some/a=b.jpg", "top=3", "--cfg", "job", "-0", "--", "-z", "top=4"]
    assert to_overrides("predict", asked) == [
        "model='demo'",
        "images=['a.jpg','-','some/a=b.jpg','-z','top=4']",
        "top=3",
        "--cfg",
        "job",
        "zero_ended=true",
    ]
    assert to_overrides("predict", ["demo", "hydra/launcher=basic"]) == ["model='demo'", "hydra/launcher=basic"]


@hypothesis.example("back\\slash")
@hypothesis.example("end\\")
@hypothesis.example("나무 \udcff [자세]\n${x")
@hypothesis.given(st.text(st.sampled_from("\\'\"${}[](),= \nab나\udcff"), min_size=1, max_size=10))
def test_quoting_survives_hydras_grammar_and_interpolation(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    cfg = OmegaConf.create({"key": "", "list": []})
    for override in (f"key={quote(text)}", f"list=[{quote(text)},{quote(text)}]"):
        parsed = OverridesParser.create().parse_override(override)
        OmegaConf.update(cfg, parsed.key_or_group, parsed.value())
    assert (cfg.key, list(cfg.list)) == (text, [text, text])
