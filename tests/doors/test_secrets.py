"""Ten canaries go into a real sweep, a report, an evaluation and a promotion; none comes out anywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from place import Place
from tracking_stores import tracking_in

from wellai_exp.errors import TrialFailed
from wellai_exp.search import Interval, Proposal, Report, Search, Space, Study
from wellai_exp.tracking import Tracker

TOKENS = {
    "MLFLOW_TRACKING_TOKEN": "canary-environment-token",
    "AWS_SECRET_ACCESS_KEY": "canary-environment-secret",
    "MLFLOW_TRACKING_PASSWORD": "canary-environment-password",
    "HTTPS_PROXY": "http://proxy:canary-proxy@127.0.0.1:9",
    "DATABASE_URL": "postgresql://wellai:canary-database@127.0.0.1:9/mlflow",
}
CONFIG = """
card:
  intended_use: "Looked up with token=canary-in-a-text"
  owner: "https://canary-in-a-config@example.org/team"
"""
PLACES = [
    "canary-environment-token",
    "canary-environment-secret",
    "canary-environment-password",
    "canary-proxy",
    "canary-database",
    "canary-in-a-text",
    "canary-in-a-config",
    "canary-in-an-override",
    "canary-in-a-reason",
    "canary-in-a-remote",
    "canary-in-netrc",
    "canary-in-a-tracking-uri",
]


def _cells(database: Path) -> Iterator[str]:
    with sqlite3.connect(database) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in opened.execute(f'SELECT * FROM "{table}"'):
                yield from (str(cell) for cell in row)


def _found(folder: Path, said: list[str]) -> list[tuple[str, str]]:
    """Give each canary that came out, and where."""
    hits = []
    for canary in PLACES:
        hits += [(canary, f"screen {number}") for number, text in enumerate(said) if canary in text]
        for file in folder.rglob("*"):
            if file.is_file() and canary.encode() in file.read_bytes():
                hits.append((canary, str(file.relative_to(folder))))
    for database in folder.glob("*.db"):
        cells = list(_cells(database))
        hits += [(canary, f"{database.name}: {cell[:80]}") for cell in cells for canary in PLACES if canary in cell]
    return hits


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_canary_comes_out(new_place: Callable[[], Place]) -> None:
    place = new_place()
    git = place.folder / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text('[remote "origin"]\n\turl = https://canary-in-a-remote@github.com/us/it.git\n')
    (git / "objects").mkdir()
    (git / "refs").mkdir()
    (place.folder / "netrc").write_text("machine 127.0.0.1 login me password canary-in-netrc\n")
    tiny = place.folder / "experiments" / "tiny.yaml"
    tiny.write_text(tiny.read_text() + CONFIG)
    environment = {**TOKENS, "NETRC": str(place.folder / "netrc"), "NO_PROXY": "127.0.0.1"}
    said = []

    def run(*arguments: str, check: bool = True) -> str:
        done = place.type(*arguments, check=check, environment=environment)
        said.append(done.stdout + done.stderr)
        return said[-1]

    override = "+card.api_token=canary-in-an-override"
    run("sweep", "experiment=tiny", override, "search.n_trials=3")
    run("--version")
    run("sweep", "--cfg", "job", "experiment=tiny", override)
    run("report", "tiny", "browser=false")
    run("report", "tiny@challenger", "out=sent")
    run("evaluate", "tiny@challenger", "experiment=tiny")
    reason = "better; password=canary-in-a-reason"
    run("promote", "tiny", "--force", "--reason", reason)
    uri = "tracking.uri=http://u:canary-in-a-tracking-uri@127.0.0.1:9"
    run("train", uri, "experiment=tiny", check=False)
    run("train", "--multirun", override, "experiment=tiny", uri, "seed=0,1", check=False)
    assert _found(place.folder / "mlruns", said) == []
    assert _found(place.folder / "sent", []) == []
    assert "***" in (next((place.folder / "mlruns").rglob("command.txt"))).read_text()
    version = place.client.get_model_version_by_alias("tiny", "champion")
    assert version.tags["promotion_reason"] == "better; password=***"


def test_an_exceptions_message_is_kept_without_its_secret(tmp_path: Path) -> None:
    secret = "canary-in-an-exception"
    tracker = Tracker(tracking_in(tmp_path))
    space = Space({"b": Interval(0.0, 1.0)}, lambda *_: {}, {})
    study = Study(Search(sampler=optuna.samplers.RandomSampler, n_trials=1), space, "s", tmp_path, seed=0)

    def fails(_proposal: Proposal, _report: Report) -> dict[str, float]:
        with tracker.run("trial", tags={"note": f"token={secret}"}) as run:
            run.log_params({"url": f"http://u:{secret}@h"})
            run.log_text(f"password: {secret}\n", "config.yaml")
            raise TrialFailed(f"postgresql://u:{secret}@h/d did not answer")

    with study.opened():
        study.run(fails, lambda: None)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert study.trials()["reason"].tolist() == ["postgresql://u:***@h/d did not answer"]
