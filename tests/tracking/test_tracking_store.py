from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from tracking_stores import tracking_in

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.paths import shipped_dir
from wellai_exp.tracking import Tracker, Tracking


def test_the_shipped_option_builds_its_class_with_its_defaults(tmp_path: Path) -> None:
    option = yaml.safe_load((shipped_dir("conf") / "tracking" / "default.yaml").read_text())
    assert option.pop("_target_") == "wellai_exp.tracking.Tracking"
    option = {key: {"${paths.store}": tmp_path, "${name}": "demo"}.get(value, value) for key, value in option.items()}
    assert Tracking(**option) == Tracking(tmp_path, "demo")
    assert set(option) == set(Tracking.__dataclass_fields__)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"uri": "file:///tmp/mlruns"}, "tracking.uri"),
        ({"uri": "/tmp/mlruns"}, "tracking.uri"),
        ({"uri": "sqlite:///"}, "tracking.uri"),
        ({"uri": "sqlite:///:memory:"}, "tracking.uri"),
        ({"uri": "gopher://host"}, "tracking.uri"),
        ({"experiment": " "}, "tracking.experiment"),
        ({"experiment": "x" * 501, "registered_name": "x"}, "tracking.experiment"),
        ({"experiment": "team/poses"}, "tracking.registered_name"),
        ({"registered_name": "a:b"}, "tracking.registered_name"),
        ({"registered_name": "a@b"}, "tracking.registered_name"),
        ({"registered_name": "0123456789abcdef" * 2}, "tracking.registered_name"),
        ({"alias": "latest"}, "tracking.alias"),
        ({"alias": "v3"}, "tracking.alias"),
        ({"alias": "a b"}, "tracking.alias"),
        ({"store": "/tmp/what?"}, "paths.store"),
    ],
)
def test_a_bad_value_is_refused_at_birth_and_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError) as caught:
        Tracking(**{"store": Path("mlruns"), "experiment": "demo", **changed})
    assert caught.value.setting == named
    assert "set " in str(caught.value)


def test_a_password_is_never_printed() -> None:
    with pytest.raises(SettingError) as caught:
        Tracking(Path("mlruns"), "demo", uri="oracle://me:secret@host/db")
    assert "secret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_addresses_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Tracking(Path("runs"), "demo").resolved_uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert Tracking(Path("runs"), "demo").artifact_root == f"file://{tmp_path}/runs/artifacts"
    assert (
        Tracking(Path("runs"), "demo", "sqlite:///x.db?timeout=9").resolved_uri
        == f"sqlite:///{tmp_path}/x.db?timeout=9"
    )
    server = Tracking(Path("runs"), "demo", "http://localhost:5000/")
    assert (server.resolved_uri, server.artifact_root, server.database) == ("http://localhost:5000", None, None)


def test_prepare_is_idempotent_and_writes_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    tracking = tracking_in(tmp_path / "a store #1 é", "poses α")
    first = tracking.prepare()
    assert first == tracking.prepare()
    with Tracker(tracking).run("one") as run:
        run.log_text("hello", "a.txt")
    found = list((tracking.store / "artifacts").rglob("a.txt"))
    assert [file.read_text() for file in found] == ["hello"]
    assert list(here.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_by_the_uri(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingError, match=r"^tracking\.uri=sqlite:.*; set tracking\.uri="):
        Tracking(tmp_path / "file" / "store", "demo").prepare()
    with pytest.raises(SettingError, match=r"^tracking\.uri="):
        Tracking(tmp_path / "store", "demo", f"sqlite:///{tmp_path}/file/x.db").prepare()


def test_a_missing_database_driver_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^tracking\.uri=.*cannot be opened"):
        Tracking(tmp_path, "demo", "mssql+nodriver://me:secret@localhost/db").prepare()


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "study.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE studies (id INTEGER)")
        connection.commit()
    before = database.read_bytes()
    with pytest.raises(SettingError, match="another program"):
        Tracking(tmp_path, "demo", f"sqlite:///{database}").prepare()
    assert database.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    with pytest.raises(SettingError, match="cannot be opened"):
        Tracking(tmp_path, "demo").prepare()


def test_a_database_of_a_newer_mlflow_is_refused(tmp_path: Path) -> None:
    tracking = tracking_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fffffffffff0'")
        connection.commit()
    with pytest.raises(SettingError, match="another release"):
        tracking.prepare()


@pytest.mark.slow
def test_a_database_of_an_older_mlflow_is_migrated_and_kept_aside(tmp_path: Path) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = utils._get_alembic_config(uri)  # type: ignore[no-untyped-call]
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    assert head is not None
    older = script.get_revision(head).down_revision
    assert isinstance(older, str)
    engine = utils.create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, older)
    engine.dispose()

    with Tracker(Tracking(tmp_path, "demo")).run("one") as run:
        run.log_metrics({"loss": 1.0})
    assert (tmp_path / f"mlflow.db.{older}.bak").is_file()


def test_a_creation_that_dies_leaves_no_half_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.db import utils

    def half(engine: Any) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE experiments (id INTEGER)")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(utils, "_initialize_tables", half)
    with pytest.raises(SettingError, match=r"tracking\.uri.*No space left"):
        Tracking(tmp_path, "demo").prepare()
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.lock"]


def test_a_deleted_experiment_is_told(tmp_path: Path) -> None:
    tracking = tracking_in(tmp_path)
    tracking.client().delete_experiment(tracking.prepare())
    with pytest.raises(SettingError, match=r"tracking\.experiment=demo: .*restore"):
        tracking.prepare()


def test_a_lock_that_is_not_freed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wellai_exp.tracking._store._LOCK_SECONDS", 0.1)
    tracking = tracking_in(tmp_path)
    tracking.store.mkdir(exist_ok=True)
    # A second handle on the file, as another process would have.
    with FileLock(tracking.store / "mlflow.lock"), pytest.raises(StoreError, match=r"mlflow\.lock has been locked"):
        tracking.prepare()


def test_whoever_holds_the_lock_may_ask_for_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wellai_exp.tracking._store._LOCK_SECONDS", 0.1)
    tracking = tracking_in(tmp_path)
    with tracking.lock(), tracking.lock():
        assert (tracking.store / "mlflow.lock").exists()


def test_a_dead_server_is_told_soon(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(StoreError, match=r"no server answers there.*set tracking\.uri=null"):
        Tracking(tmp_path, "demo", f"http://127.0.0.1:{port}").prepare()
    assert time.monotonic() - begun < 10


_EIGHT = """
import multiprocessing, sys
from pathlib import Path
from wellai_exp.tracking import Tracker, Tracking, quiet_mlflow
quiet_mlflow()
import mlflow, mlflow.store.tracking.sqlalchemy_store

def work(number):
    tracker = Tracker(Tracking(Path(sys.argv[1]), "demo"))
    with tracker.run(f"run{number}") as run:
        for step in range(2):
            run.log_metrics({f"m{i}": step for i in range(20)}, step)
            run.log_text("x", f"{step}.txt")

if __name__ == "__main__":
    from mlflow.telemetry.utils import is_telemetry_disabled
    print(is_telemetry_disabled())
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(number,)) for number in range(8)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    sys.exit(sum(worker.exitcode != 0 for worker in workers))
"""


def test_eight_processes_open_a_fresh_store_at_once_and_none_calls_home(tmp_path: Path) -> None:
    # MLflow also keeps quiet where it thinks that it is tested: hide that, and ask for its reports.
    outer = {
        key: value for key, value in os.environ.items() if key != "CI" and not key.startswith(("PYTEST", "GITHUB"))
    }
    done = subprocess.run(
        [sys.executable, "-c", _EIGHT, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=outer | {"MLFLOW_DISABLE_TELEMETRY": "false"},
    )
    assert done.stdout.strip() == "True"
    assert done.returncode == 0, done.stderr[-2000:]
    tracker = Tracker(Tracking(tmp_path / "store", "demo"))
    runs = list(tracker._search("", "attributes.start_time ASC"))
    assert sorted(run.info.run_name for run in runs) == [f"run{number}" for number in range(8)]
    assert all(len(run.data.metrics) == 20 for run in runs)
    assert {experiment.name for experiment in tracker.tracking.client().search_experiments()} == {"Default", "demo"}


def test_importing_the_room_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import json, sys, wellai_exp.tracking;"
        "heavy = ('mlflow', 'tensorflow', 'keras', 'sqlalchemy', 'matplotlib');"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == []
