"""A sweep whose study and runs are in PostgreSQL: killed, gone on with, and kept from running twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from clusters import PASSWORD
from mlflow import MlflowClient
from place import Place

from wellai_exp.databases import driven

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def finished(storage: str) -> int:
    """How many trials are complete; by a connection that is closed again, of which the server has few."""
    with closing(psycopg.connect(storage)) as connection:
        try:
            found = connection.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0  # It is only being made.
    return int(found[0]) if found else 0


def test_a_sweep_is_killed_goes_on_and_runs_once(
    new_place: Callable[[], Place], database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, storage, tracking = new_place(), database(), database()
    monkeypatch.setenv("STUDY", storage)
    monkeypatch.setenv("RUNS", tracking)
    command = ["sweep", "experiment=tiny", "search.storage=${oc.env:STUDY}", "tracking.uri=${oc.env:RUNS}"]
    process = place.start(*command)
    while finished(storage) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.5)
    # It has few trials, and might be done before the other one has begun.
    process.send_signal(signal.SIGSTOP)
    other = place.type(*command, "paths.store=elsewhere", check=False)
    assert other.returncode == 1
    assert "another process is running this sweep" in other.stderr
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    said = place.type(*command)
    assert finished(storage) == 6
    client = MlflowClient(driven("tracking.uri", tracking))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id]))
    assert not [run for run in runs if run.info.status == "RUNNING"]
    trials = [run.data.tags["wellai.trial"] for run in runs if run.data.tags["wellai.kind"] == "trial"]
    assert len([run for run in runs if run.data.tags["wellai.kind"] == "trial" and run.info.status == "FINISHED"]) == 6
    assert len(set(trials)) == len(trials)
    assert int(client.get_model_version_by_alias("tiny", "challenger").version) == 1
    assert not (place.folder / "mlruns" / "study.db").exists()
    printed = said.stdout + said.stderr + other.stdout + other.stderr
    assert PASSWORD not in printed
    assert not list(Path(place.folder).rglob("mlflow.db"))
