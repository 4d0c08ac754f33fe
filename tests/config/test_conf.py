"""Every shipped option composes and makes its object; experiments compose and keep their lab note."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from wellai_exp.collecting import Limits
from wellai_exp.config import SPACE_KEY, build, parse_distribution, register_plugins
from wellai_exp.errors import SettingError
from wellai_exp.export import ParityRules, target_named
from wellai_exp.paths import shipped_dir
from wellai_exp.search import Choice, Integers, Interval
from wellai_exp.verbs._stages import stages_of
from wellai_exp.verbs._workbench import make_choices

GROUPS = (
    "data",
    "split",
    "backbone",
    "augmentation",
    "imbalance",
    "head",
    "regime",
    "optimizer",
    "ranking",
    "runtime",
    "search",
    "tracking",
)
OPTIONS = [
    (group, file.stem)
    for group in GROUPS
    for file in sorted((shipped_dir("conf") / group).glob("*.yaml"))
    if file.stem != "defaults"
]
EXPERIMENTS = sorted(file.stem for file in shipped_dir("experiments").glob("*.yaml"))


@pytest.fixture
def hydra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("WELLAI_ASSETS", str(tmp_path))
    register_plugins()
    OmegaConf.register_new_resolver("wellai.pid", lambda: 1, replace=True)
    with initialize_config_dir(str(shipped_dir("conf")), version_base="1.3"):
        yield


def fill(group: str, tmp_path: Path) -> list[str]:
    """Give what an option leaves to its user."""
    if group == "movenet":
        return ["backbone.weights=movenet.tflite"]
    return [f"data.root={tmp_path}", *(["data.table=t.csv"] if group in ("table", "links") else [])]


def left_open(experiment: str, tmp_path: Path) -> list[str]:
    """Give what an experiment leaves to its user."""
    return [f"data.root={tmp_path}"] if experiment == "yoga82" else []


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_composes_and_makes_its_object(group: str, option: str, tmp_path: Path) -> None:
    if group == "search" and option == "gp":
        pytest.importorskip("torch", reason="the Gaussian-process sampler needs the extra gp")
    needs = fill(option, tmp_path) if option in ("folder", "table", "links", "yoga82", "movenet") else []
    cfg = compose("train", overrides=[f"{group}={option}", *needs])
    made = build(cfg, group)
    if group == "search":
        assert made.make_sampler(seed=3) is not None
    for key, text in (OmegaConf.select(cfg, f"{group}.{SPACE_KEY}") or {}).items():
        parse_distribution(f"{group}.{key}", text)


@pytest.mark.usefixtures("hydra")
def test_the_collector_composes_and_spells_out_every_limit(tmp_path: Path) -> None:
    cfg = compose("collect", overrides=fill("links", tmp_path))
    assert build(cfg, "collect") == Limits()
    assert set(cfg.collect) - {"_target_"} == {each.name for each in fields(Limits)}
    assert build(cfg, "data").table == Path("t.csv")


@pytest.mark.usefixtures("hydra")
def test_every_target_composes_under_its_own_name_and_the_default_lists_all() -> None:
    cfg = compose("export", overrides=["model=demo"])
    files = {file.stem for file in (shipped_dir("conf") / "target").glob("*.yaml")} - {"default"}
    assert set(cfg.target) == files
    for name in files:
        assert build(cfg, f"target.{name}") == target_named(name)
    assert build(cfg, "parity") == ParityRules()


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_its_note_and_composes(name: str, tmp_path: Path) -> None:
    text = (shipped_dir("experiments") / f"{name}.yaml").read_text(encoding="utf-8")
    for heading in ("# Question", "# Cost", "# Expected", "# Command"):
        assert heading in text
    assert f"experiment={name}" in text
    for verb in ("sweep", "train"):
        cfg = compose(verb, overrides=[f"experiment={name}", *left_open(name, tmp_path)])
        assert cfg.name == name
        for group in GROUPS:
            build(cfg, group)
        for key, space in cfg.search.space.items():
            parse_distribution(f"search.space.{key}", space)


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_stage_of_an_experiment_composes_and_makes_its_objects(name: str, tmp_path: Path) -> None:
    command = [f"experiment={name}", *left_open(name, tmp_path)]
    for stage in stages_of(compose("sweep", overrides=command)):
        cfg = stage.settings(compose("sweep", overrides=[*stage.overrides, *command]))
        search = build(cfg, "search")
        assert search.make_sampler(seed=1) is not None
        make_choices(cfg)
        for key, text in search.space.items():
            option = parse_distribution(f"stages.{stage.name}.search.space.{key}", text)
            for value in option.values if isinstance(option, Choice) else ():
                make_choices(compose("sweep", overrides=[*stage.overrides, *command, f"{key}={value}"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("choice(none, smote)", Choice(("none", "smote"))),
        ("choice(0.0, 0.1)", Choice(("0.0", "0.1"))),
        ("none, smote", Choice(("none", "smote"))),
        ("range(1, 10)", Integers(1, 9)),
        ("range(1, 10, 4)", Integers(1, 9, 4)),
        ("interval(0.5, 2)", Interval(0.5, 2.0)),
        ("tag(log, interval(0.001, 0.1))", Interval(0.001, 0.1, log=True)),
        ("tag(log, range(1, 100))", Integers(1, 99, log=True)),
    ],
)
def test_the_grammar(text: str, expected: Any) -> None:
    assert parse_distribution("s", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "choice(",
        "interval(2, 1)",
        "range(5, 5)",
        "range(0.5, 3)",
        "tag(log, interval(0, 1))",
        "range(1,9,-1)",
    ],
)
def test_what_is_no_distribution_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"search\.space\.x="):
        parse_distribution("search.space.x", text)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "pandas.read_pickle",
        "joblib.load",
        "keras.layers.Lambda",
        "hydra.utils.get_class",
        "wellai_exp.data.pathlib.Path",
        "wellai_exp.paths.os.system",
        "optuna.storages.RDBStorage",
        "wellai_exp.models._weights.open",
    ],
)
def test_a_target_outside_the_list_is_refused_and_never_imported(target: str) -> None:
    cfg = OmegaConf.create(
        {"imbalance": {"_target_": target}, "deep": {"_target_": "wellai_exp.data.Split", "x": [{"_target_": target}]}}
    )
    for key in ("imbalance", "deep"):
        with pytest.raises(SettingError, match="only classes of wellai_exp"):
            build(cfg, key)
