"""A model file from a stranger runs nothing, whatever vouches for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hostile_models import CASES

from wellai_exp.errors import SettingError
from wellai_exp.models import Application

# What all of them share takes seconds to make.
pytestmark = pytest.mark.xdist_group("hostile_models")

EVIL = "import pathlib\npathlib.Path('RAN').touch()\n\n\nclass Evil:\n    pass\n\n\ndef act(*args):\n    return args\n"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Load every file in one process that listens."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "evil.py").write_text(EVIL)
    (folder / "keras_hub").mkdir()
    for name in ("__init__.py", "models.py"):
        (folder / "keras_hub" / name).write_text(EVIL)
    script = Path(__file__).with_name("hostile_models.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], check=False, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(CASES) + 1, done.stdout[-2000:] + done.stderr[-2000:]
    return folder, {line["name"]: line for line in lines}


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_it_is_run_and_one_sentence_is_said(
    name: str, answers: tuple[Path, dict[str, Any]], injected: Callable[..., None]
) -> None:
    folder, found = answers
    said, seen = found[name]["said"], found[name]["seen"]
    assert said.endswith(("it is not loaded.", "safe mode.")), said
    assert not (folder / "RAN").exists()
    assert not (folder.parent / "RAN").exists()
    assert not [each for each in seen if each.startswith(("os.system", "subprocess", "pickle"))]
    assert not [each for each in seen if "evil" in each or "keras_hub" in each or "secret" in each], seen
    injected("hostile model files")


def test_an_edited_mlmodel_beside_a_sound_model_is_not_read(answers: tuple[Path, dict[str, Any]]) -> None:
    folder, found = answers
    answer = found["sound, with an edited MLmodel"]
    assert answer["said"] == "loaded"
    assert not [each for each in answer["seen"] if "evil" in each or "MLmodel" in each]
    assert not (folder / "RAN").exists()


@pytest.mark.parametrize("kind", ["external", "virtual", "bomb"])
def test_weights_that_are_elsewhere_or_far_too_large_are_refused(
    kind: str, tmp_path: Path, injected: Callable[..., None]
) -> None:
    path = tmp_path / "w.weights.h5"
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    with h5py.File(path, "w") as store:
        if kind == "external":
            store.create_dataset("w", (8, 8), "float32", external=[(str(tmp_path / "secret.bin"), 0, 256)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(8, 8), dtype="float32")
            layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", shape=(8, 8))
            store.create_virtual_dataset("w", layout)
        else:
            store.create_dataset("w", (2**20, 2**20), np.float32, chunks=(1024, 1024), compression="gzip")
    with pytest.raises(SettingError, match=r"^backbone\.weights=.*cut short or damaged"):
        Application("MobileNet", size=32, alpha=0.25, weights=str(path)).build()
    injected("hostile model files")
