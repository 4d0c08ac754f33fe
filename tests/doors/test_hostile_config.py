"""A config from a stranger, or a command that a stranger wrote: nothing that it names is imported, run or read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wellai_exp.config._guard import check
from wellai_exp.errors import SettingError

# What all of them share takes seconds to make.
pytestmark = pytest.mark.xdist_group("hostile_config")

SECRET = "canary-7f3a9c51"
EVIL = "import pathlib; pathlib.Path('RAN').touch()\n\ndef act(*args, **kwargs):\n    pathlib.Path('RAN').touch()\n"

# What an experiment file says beyond its first line.
FILES: dict[str, str] = {
    "system": "imbalance: {_target_: os.system, command: touch RAN}",
    "a module of one's own": "imbalance: {_target_: evil.act}",
    "a module below ours": "imbalance: {_target_: wellai_exp.paths.os.system}",
    "a private name of ours": "imbalance: {_target_: wellai_exp.data._index._measure}",
    "a pickle": "head: {_target_: pandas.read_pickle, filepath_or_buffer: x.pkl}",
    "joblib": "head: {_target_: joblib.load, filename: x.pkl}",
    "eval": "optimizer: {_target_: builtins.eval, _args_: ['1']}",
    "exec in arguments": "split: {_target_: builtins.exec, _args_: ['1']}",
    "a list of targets": "regime: {_target_: wellai_exp.training.Probe, representation: [{_target_: evil.act}]}",
    "deep in a regime": "regime: {representation: {training: {_target_: evil.act}}}",
    "partial": "augmentation: {_target_: evil.act, _partial_: true}",
    "hydra's own": "data: {_target_: hydra.utils.get_method, path: evil.act}",
    "a lambda layer": "backbone: {_target_: keras.layers.Lambda, function: x}",
    "a target that is a list": "backbone: {_target_: [os, system]}",
    "a target of numbers": "backbone: {_target_: 7}",
    "an interpolated target": "name: os.system\nimbalance: {_target_: '${name}'}",
    "a sampler elsewhere": "search: {sampler: {_target_: evil.EvilSampler}}",
    "a pruner elsewhere": "search: {pruner: {_target_: evil.EvilPruner}}",
    "tracking": "tracking: {_target_: evil.act}",
    "where nothing is built": "card: {owner: {_target_: evil.act}}",
    "a callback": "hydra: {callbacks: {x: {_target_: evil.act}}}",
    "a launcher": "hydra: {launcher: {_target_: evil.act}}",
    "a sweeper": "hydra: {sweeper: {_target_: evil.act}}",
    "a log's handler": "hydra: {job_logging: {handlers: {x: {class: evil.act}}}}",
    "a log's factory": "hydra: {job_logging: {formatters: {x: {(): evil.act}}}}",
    "a log's filter": "hydra: {hydra_logging: {filters: {x: {(): evil.act}}}}",
    "a log's stream": "hydra: {job_logging: {handlers: {console: {stream: ext://evil.act}}}}",
    "the environment": "hydra: {job: {env_set: {PATH: /evil, LD_PRELOAD: evil.so}}}",
    "python/object/apply": "name: !!python/object/apply:os.system ['touch RAN']",
    "python/object/new": "name: !!python/object/new:evil.act {}",
    "python/name": "name: !!python/name:evil.act",
    "python/module": "name: !!python/module:evil",
    "a tag of one's own": "name: !evil {a: 1}",
    "a secret": "name: '${oc.env:AWS_SECRET_ACCESS_KEY}'",
    "a secret in a decoder": "name: '${oc.decode:${oc.env:MLFLOW_TRACKING_TOKEN}}'",
    "a secret with a default": "tracking: {experiment: '${oc.env:DATABASE_PASSWORD,none}'}",
    "an unknown resolver": "name: '${evil:act}'",
    "a dict made by a resolver": "imbalance: ${oc.create:{_target_:evil.act}}",
    "a resolver of eval": "name: '${eval:1+1}'",
}
COMMANDS: dict[str, list[str]] = {
    "a target typed": ["imbalance._target_=evil.act"],
    "a callback typed": ["+hydra.callbacks.x._target_=evil.act"],
    "a package to search": ["hydra.searchpath=[pkg://evil]"],
    "a module to search": ["hydra.searchpath=[structured://evil]"],
    "a package as the config": ["--config-path", "pkg://evil"],
    "a pickled job": ["--experimental-rerun", "x.pkl"],
    "a log typed": ["hydra.job_logging.handlers.console.class=evil.act"],
    "the environment typed": ["+hydra.job.env_set.PATH=/evil"],
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Run every case in one process that listens."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "evil.py").write_text(EVIL)
    (folder / "experiments").mkdir()
    cases: dict[str, list[str]] = {}
    for number, (name, text) in enumerate(FILES.items()):
        (folder / "experiments" / f"h{number}.yaml").write_text(f"# @package _global_\n{text}\n")
        cases[name] = ["sweep", f"experiment=h{number}"]
    cases |= {name: ["train", *arguments] for name, arguments in COMMANDS.items()}
    (folder / "cases.json").write_text(json.dumps(list(cases.values())))
    script = Path(__file__).with_name("listener.py")
    secrets = {"AWS_SECRET_ACCESS_KEY": SECRET, "MLFLOW_TRACKING_TOKEN": SECRET, "DATABASE_PASSWORD": SECRET}
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "cases.json"), str(folder)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **secrets},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(cases), done.stdout + done.stderr
    return folder, dict(zip(cases, lines, strict=True))


@pytest.mark.parametrize("name", [*FILES, *COMMANDS])
def test_nothing_is_run_and_one_sentence_is_said(
    name: str, answers: tuple[Path, dict[str, dict[str, Any]]], injected: Callable[..., None]
) -> None:
    folder, found = answers
    answer = found[name]
    assert answer["status"] == 1, answer
    assert not (folder / "RAN").exists()
    errors = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, answer["said"]
    assert "Traceback" not in answer["said"]
    assert SECRET not in answer["said"]
    assert not [each for each in answer["seen"] if "evil" in each.split()[1].split(".")[0]], answer["seen"]
    assert not [each for each in answer["seen"] if each.startswith(("os.", "subprocess", "pty", "pickle", "socket"))]
    written = [each.split(" ", 1)[1] for each in answer["seen"] if each.startswith("write ")]
    assert all(Path(file).is_relative_to(folder / "mlruns") or file == os.devnull for file in written), written
    injected("hostile configurations")


def test_no_secret_is_in_any_file(answers: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, _ = answers
    assert not [file for file in folder.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]


def test_what_hydra_needs_passes() -> None:
    plugin = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
    check({"hydra": {"launcher": plugin, "callbacks": {}, "job": {"env_set": {}}, "job_logging": None}})
    with pytest.raises(SettingError, match=r"^hydra\.launcher\._target_=evil\.X"):
        check({"hydra": {"launcher": {"_target_": "evil.X"}}})
