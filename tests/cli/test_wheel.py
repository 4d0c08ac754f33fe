"""The installed wheel offers what the checkout does."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import wellai_exp


def test_a_wheel_carries_the_options_and_the_experiments(tmp_path: Path) -> None:
    checkout = Path(wellai_exp.__file__).parent.parent
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(checkout)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert {"index.html", "app.js", "package-lock.json"} <= {
        path.name for path in (tmp_path / "site" / "wellai_exp" / "page").iterdir()
    }
    (tmp_path / "work" / "experiments").mkdir(parents=True)
    (tmp_path / "work" / "experiments" / "mine.yaml").write_text("# @package _global_\nname: my own\n")
    for experiment, expected in (("demo", "name: demo"), ("mine", "name: my own")):
        done = subprocess.run(
            [sys.executable, "-m", "wellai_exp", "sweep", f"experiment={experiment}", "--cfg", "job"],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path / "work",
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        )
        assert expected in done.stdout
        assert "_target_: wellai_exp.imbalance.NoStrategy" in done.stdout
    listed = subprocess.run(
        [sys.executable, "-c", "import wellai_exp; print(wellai_exp.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path / "work",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert str(tmp_path / "site") in listed.stdout
