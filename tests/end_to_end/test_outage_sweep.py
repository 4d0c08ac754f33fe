"""A sweep whose tracking server goes away: it is finished all the same, and nothing is missing in the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from mlflow.entities import Run
from place import Place
from served import Served, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as found:
        yield found


def finished(place: Place) -> int:
    """How many trials are complete."""
    storage = f"sqlite:///{place.folder / 'mlruns' / 'study.db'}"
    try:
        (name,) = optuna.get_all_study_names(storage)
        study = optuna.load_study(study_name=name, storage=storage)
    except Exception:
        return 0  # It is only being made.
    return len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))


def runs_of(served: Served) -> list[Run]:
    experiment = served.client.get_experiment_by_name("tiny")
    assert experiment is not None
    return list(served.client.search_runs([experiment.experiment_id]))


def complete(served: Served) -> None:
    """Check that the server has all that an undisturbed sweep leaves."""
    runs = runs_of(served)
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = [run for run in runs if run.data.tags["wellai.kind"] == "trial"]
    assert sorted(int(run.data.tags["wellai.trial"]) for run in trials) == list(range(6))
    (parent,) = [run for run in runs if run.data.tags["wellai.kind"] == "sweep"]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
    for run in trials:
        assert len(served.client.get_metric_history(run.info.run_id, "cv/auc_pr_macro")) == 3
    assert parent.data.tags["wellai.version"] == "1"
    version = served.client.get_model_version_by_alias("tiny", "challenger")
    assert (int(version.version), version.run_id) == (1, parent.info.run_id)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_comes_back_during_the_sweep_has_all_of_it(
    new_place: Callable[[], Place], served: Served, blow: signal.Signals
) -> None:
    place = new_place()
    process = place.start("sweep", "experiment=tiny", f"tracking.uri={served.url}")
    while finished(place) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    served.strike(blow)
    while finished(place) < 4:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    served.strike(signal.SIGCONT) if blow == signal.SIGSTOP else served.start()
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said
    complete(served)
    assert not list((place.folder / "mlruns" / "outbox").iterdir())


def test_a_server_that_never_comes_back_gets_all_of_it_by_sync(new_place: Callable[[], Place], served: Served) -> None:
    place = new_place()
    process = place.start("sweep", "experiment=tiny", f"tracking.uri={served.url}")
    while finished(place) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    served.strike(signal.SIGKILL)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 1, said
    for words in ("Not registered yet", "wellai-exp sync", "Leaderboard"):
        assert words in " ".join(said.split()), said
    served.start()
    assert "brought " in place.type("sync").stdout
    complete(served)
    assert "nothing was kept" in place.type("sync").stdout
    # The same command again finds that there is nothing left to do.
    before = {run.info.run_id for run in runs_of(served)}
    again = place.type("sweep", "experiment=tiny", f"tracking.uri={served.url}").stdout
    assert "Registered: tiny version 1" in again
    assert {run.info.run_id for run in runs_of(served)} == before
    assert len(served.client.search_model_versions("name = 'tiny'")) == 1


def test_a_sweep_that_is_killed_during_an_outage_goes_on_with_all_of_it(
    new_place: Callable[[], Place], served: Served
) -> None:
    place = new_place()
    command = ("sweep", "experiment=tiny", f"tracking.uri={served.url}")
    process = place.start(*command)
    while finished(place) < 1:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    served.strike(signal.SIGKILL)
    while finished(place) < 3:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    refused = place.type(*command, check=False)
    assert refused.returncode == 1
    assert "no server answers there" in refused.stderr
    served.start()
    assert "entries of" in place.type(*command).stdout
    ended = [run for run in runs_of(served) if run.info.status == "FINISHED"]
    assert len([run for run in ended if run.data.tags["wellai.kind"] == "trial"]) == 6
    assert {run.info.status for run in runs_of(served)} <= {"FINISHED", "KILLED"}
