"""Runs, models and studies in PostgreSQL, by machines that share nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest
from clusters import PASSWORD, Cluster
from tracking_stores import write_run

from wellai_exp import databases
from wellai_exp.compute import Local
from wellai_exp.databases import advisory_lock, driven
from wellai_exp.errors import SettingError, StoreError
from wellai_exp.masking import masked
from wellai_exp.search import Choice, Distribution, Interval, Proposal, Report, Search, Space, Study
from wellai_exp.tracking import Tracker, Tracking
from wellai_exp.verbs._instant import InstantSweep

_EIGHT = """
import multiprocessing, sys
from pathlib import Path
import optuna
from wellai_exp.search import Choice, Search, Space, Study
from wellai_exp.tracking import Tracker, Tracking, quiet_mlflow
quiet_mlflow()
import mlflow, mlflow.store.tracking.sqlalchemy_store
optuna.logging.set_verbosity(optuna.logging.WARNING)

def work(number, start):
    store = Path(sys.argv[1]) / str(number)  # Nothing shared but the databases.
    start.wait()
    tracker = Tracker(Tracking(store, "demo", sys.argv[2]))
    with tracker.run(f"run{number}") as run:
        run.log_metrics({f"m{i}": i for i in range(20)})
        run.log_text("x", "note.txt")
    search = Search(optuna.samplers.RandomSampler, n_trials=2, storage=sys.argv[3])
    study = Study(search, Space({"a": Choice(("x", "y"))}, lambda group, option: {}, {}), f"s{number}", store, number)
    with study.opened():
        study.run(lambda proposal, report: {"auc_pr_macro": 0.5}, lambda: None)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    start = context.Barrier(8)
    workers = [context.Process(target=work, args=(number, start)) for number in range(8)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    sys.exit(sum(worker.exitcode != 0 for worker in workers))
"""


def open_at_once(folder: Path, tracking: str, storage: str) -> None:
    """Have eight processes open two empty databases at the same moment, and look at what they left."""
    done = subprocess.run(
        [sys.executable, "-c", _EIGHT, str(folder), tracking, storage],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    tracker = Tracker(Tracking(folder / "reader", "demo", tracking))
    runs = list(tracker._search("", "attributes.start_time ASC"))
    assert sorted(run.info.run_name for run in runs) == [f"run{number}" for number in range(8)]
    assert all(len(run.data.metrics) == 20 and run.info.status == "FINISHED" for run in runs)
    found = optuna.get_all_study_summaries(driven("search.storage", storage))
    assert sorted((each.study_name, each.n_trials) for each in found) == [(f"s{number}", 2) for number in range(8)]


def nothing(_group: str, _option: str) -> Mapping[str, Distribution]:
    return {}


def study_in(storage: str, store: Path, n_trials: int = 4) -> Study:
    search = Search(optuna.samplers.RandomSampler, n_trials=n_trials, storage=storage)
    space = Space({"a": Choice(("x", "y", "z")), "b": Interval(0.0, 1.0)}, nothing, {})
    return Study(search, space, "shared", store, seed=3)


def measure(proposal: Proposal, _report: Report) -> dict[str, float]:
    return {"auc_pr_macro": float(next(text for text in proposal.overrides if text.startswith("b="))[2:])}


def hold(study: Study) -> None:
    """Open a study and let go of it."""
    with study.opened():
        pass


def test_eight_processes_open_empty_databases_at_once(database: Callable[[], str], tmp_path: Path) -> None:
    open_at_once(tmp_path, database(), database())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_processes_open_empty_databases_at_once_again_and_again(
    database: Callable[[], str], tmp_path: Path
) -> None:
    for number in range(10):
        open_at_once(tmp_path / str(number), database(), database())


def test_runs_are_written_found_and_mended(database: Callable[[], str], tmp_path: Path) -> None:
    tracker = Tracker(Tracking(tmp_path, "demo", database()))
    with tracker.run("parent") as parent:
        child = write_run(tracker, "child", parent=parent.id, params={"a": 1}, metrics={"m": 0.5}, texts={"a.txt": "x"})
    assert [each.id for each in tracker.children(parent.id)] == [child]
    assert tracker.find_run({"mlflow.runName": "child"}) == child
    assert tracker.fetch(child, "a.txt").read_text() == "x"
    assert tracker.reconcile(parent.id, lambda tags: False) == 1


def test_a_study_goes_on_from_another_machine(database: Callable[[], str], tmp_path: Path) -> None:
    storage = database()
    first, second = study_in(storage, tmp_path / "one", 3), study_in(storage, tmp_path / "two", 5)
    with first.opened():
        first.run(measure, lambda: None)
    with second.opened():
        second.run(measure, lambda: None)
    assert len(second.trials()) == 5
    assert second.trials()["b"].is_unique


def test_one_process_at_a_time_runs_a_sweep_on_whatever_machine(database: Callable[[], str], tmp_path: Path) -> None:
    storage = database()
    first, second = study_in(storage, tmp_path / "one"), study_in(storage, tmp_path / "two")
    with first.opened(), pytest.raises(StoreError, match=r"^search\.study=shared: another process is running"):
        hold(second)
    with second.opened():
        second.run(measure, lambda: None)


_HOLDER = """
import sys, time
from wellai_exp.databases import advisory_lock, driven
with advisory_lock("search.storage", driven("search.storage", sys.argv[1]), "study shared", 1):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_of_a_killed_process_is_free(database: Callable[[], str], tmp_path: Path) -> None:
    storage = database()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, storage], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="another process is running"):
            hold(study_in(storage, tmp_path))
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    study = study_in(storage, tmp_path)
    with study.opened():
        study.run(measure, lambda: None)
    assert len(study.trials()) == 4


def test_a_database_that_is_taken_away_is_told(postgres: Cluster, tmp_path: Path) -> None:
    storage = postgres.new_database()
    study = study_in(storage, tmp_path)

    def taken_away(proposal: Proposal, report: Report) -> dict[str, float]:
        postgres.drop(storage)
        return measure(proposal, report)

    told = pytest.raises(StoreError, match=r"^search\.storage=postgresql.*did not do what was asked")
    with told as caught, study.opened():
        study.run(taken_away, lambda: None)
    assert PASSWORD not in str(caught.value)


def test_study_and_tracking_cannot_share_a_database(database: Callable[[], str], tmp_path: Path) -> None:
    first, second = database(), database()
    Tracking(tmp_path, "demo", first).prepare()
    with (
        pytest.raises(SettingError, match=r"^search\.storage=.*holds other tables"),
        study_in(first, tmp_path).opened(),
    ):
        pass
    with study_in(second, tmp_path).opened():
        pass
    with pytest.raises(SettingError, match=r"^tracking\.uri=.*holds other tables"):
        Tracking(tmp_path, "demo", second).prepare()
    apart = f"{second}?options=-csearch_path%3Druns"
    with advisory_lock("tracking.uri", driven("tracking.uri", second), "test", 1) as connection:
        connection.exec_driver_sql("CREATE SCHEMA runs")
    write_run(Tracker(Tracking(tmp_path, "demo", apart)), "one", metrics={"m": 1.0})


def test_what_cannot_be_reached_is_told_without_its_password(postgres: Cluster, tmp_path: Path) -> None:
    wrong = postgres.address("postgres", "another-secret")
    nowhere = postgres.address("no_such_database")
    for uri in (wrong, nowhere):
        with pytest.raises(SettingError, match=r"^tracking\.uri=.*(authentication failed|does not exist)") as caught:
            Tracking(tmp_path, "demo", uri).prepare()
        with pytest.raises(SettingError, match=r"^search\.storage=.*(authentication failed|does not exist)") as other:
            hold(study_in(uri, tmp_path))
        for said in (str(caught.value), str(other.value)):
            assert "secret" not in said
            assert "***" in said


@pytest.mark.parametrize(
    ("uri", "printed"),
    [
        ("postgresql://u:p%40ss@h:1/d", "postgresql://u:***@h:1/d"),
        ("postgresql://u@h/d?password=pass&sslmode=require", "postgresql://u@h/d?password=***&sslmode=require"),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_addresses_are_printed_without_passwords(uri: str, printed: str) -> None:
    assert masked(uri) == printed


@pytest.mark.parametrize("uri", ["mysql://u:secret@h/d", "study.db", "grpc://h:1", "postgresql://u:secret@h:port/d"])
def test_a_study_cannot_be_kept_anywhere(uri: str) -> None:
    with pytest.raises(SettingError, match=r"^search\.storage=") as caught:
        Search(optuna.samplers.RandomSampler, storage=uri)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"psycopg is missing.*wellai-exp\[postgres\]"):
        databases.driven("tracking.uri", "postgres://u:secret@h/d")


@pytest.mark.slow
def test_workers_share_a_study_and_runs_in_databases(database: Callable[[], str], tmp_path: Path) -> None:
    storage, tracking = database(), database()
    search = Search(optuna.samplers.RandomSampler, n_trials=8, storage=storage)
    sweep = InstantSweep(tmp_path, search, Local(workers=2), uri=tracking)
    study = sweep.run(lambda: None)
    assert [attempt.state for attempt in study.attempts()] == ["COMPLETE"] * 8
    (parent,) = (
        run for run in sweep.tracker()._search("", "attributes.start_time ASC") if run.info.run_name == "instant"
    )
    runs = sweep.tracker().children(str(parent.info.run_id))
    assert sorted(int(run.tags["wellai.trial"]) for run in runs) == list(range(8))
    assert {run.status for run in runs} == {"FINISHED"}
    assert not (tmp_path / "study.db").exists()
    assert not (tmp_path / "mlflow.db").exists()
