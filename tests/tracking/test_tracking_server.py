from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracking_stores import tracking_in, write_run

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.tracking import Registry, Tracker, Tracking, load, server_command, server_environment


def _ask(
    url: str, body: dict[str, Any] | None = None, host: str | None = None, origin: str | None = None
) -> tuple[int, bytes]:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if host is not None:
        request.add_header("Host", host)
    if origin is not None:
        request.add_header("Origin", origin)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tracking, str, subprocess.Popen[bytes]]]:
    folder = tmp_path_factory.mktemp("served")
    tracking = tracking_in(folder / "a store")
    tracking.prepare()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            server_command(tracking, port=port), env=server_environment(tracking), cwd=folder, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if _ask(f"{url}/health")[0] == 200:
                    break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.2)
        yield tracking, url, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_pages_experiments_and_artifacts_of_the_local_store_are_served(
    served: tuple[Tracking, str, subprocess.Popen[bytes]],
) -> None:
    tracking, url, _ = served
    with Tracker(tracking).run("local") as run:
        run.log_text("x: 1\n", "notes/config.yaml")
    assert _ask(f"{url}/health") == (200, b"OK")
    assert b"<html" in _ask(f"{url}/")[1].lower()
    status, answer = _ask(f"{url}/api/2.0/mlflow/experiments/search", {"max_results": 10})
    assert status == 200
    assert {experiment["name"] for experiment in json.loads(answer)["experiments"]} == {"Default", "template", "demo"}
    listed = _ask(f"{url}/api/2.0/mlflow/artifacts/list?run_id={run.id}&path=notes")[1]
    assert [file["path"] for file in json.loads(listed)["files"]] == ["notes/config.yaml"]
    assert _ask(f"{url}/get-artifact?path=notes/config.yaml&run_uuid={run.id}") == (200, b"x: 1\n")
    assert sorted(path.name for path in tracking.store.parent.iterdir()) == ["a store", "server.log"]


def test_a_foreign_host_is_refused(served: tuple[Tracking, str, subprocess.Popen[bytes]]) -> None:
    _, url, _ = served
    port = url.rpartition(":")[2]
    ask = f"{url}/api/2.0/mlflow/experiments/search"
    answers = {
        host: _ask(ask, {"max_results": 1}, host)[0]
        for host in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            "evil.example.org",
            f"10.0.0.1:{port}",
            f"192.168.1.1:{port}",
        )
    }
    assert list(answers.values()) == [200, 200, 403, 403, 403]


def test_a_foreign_origin_changes_nothing(served: tuple[Tracking, str, subprocess.Popen[bytes]]) -> None:
    """A page elsewhere may make a browser send a request here, which says where it comes from."""
    _, url, _ = served
    ask, own = f"{url}/api/2.0/mlflow/experiments/create", url.replace("127.0.0.1", "localhost")
    foreign = ["https://evil.example.org", "http://evil.example.org:5000", "http://10.0.0.1:5000", "null"]
    # Names that only begin like ours. MLflow lets every page of this machine's own in, whatever its port.
    foreign += ["http://127.0.0.1.evil.example.org", "http://localhost.evil.example.org:5000"]
    answers = {origin: _ask(ask, {"name": f"of {origin}"}, origin=origin)[0] for origin in foreign}
    assert answers == dict.fromkeys(foreign, 403)
    search = f"{url}/api/2.0/mlflow/experiments/search"
    assert [_ask(search, {"max_results": 1}, origin=origin)[0] for origin in (url, own)] == [200, 200]


def test_the_store_is_not_on_the_command_line(tmp_path: Path) -> None:
    tracking = Tracking(tmp_path, "demo", "postgresql://u:canary-password@127.0.0.1:9/mlflow")
    assert not [word for word in server_command(tracking) if "canary" in word]
    assert server_environment(tracking)["MLFLOW_BACKEND_STORE_URI"] == tracking.resolved_uri


def test_a_client_of_the_server_does_all_that_a_local_one_does_and_notices_its_end(
    served: tuple[Tracking, str, subprocess.Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.chdir(tmp_path)
    _, url, process = served
    remote = Tracking(tmp_path / "mine", "remote", url)
    tracker, registry = Tracker(remote), Registry(remote)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with tracker.run("sweep") as sweep:
        trial = write_run(tracker, "t", parent=sweep.id, params={"a": 1}, metrics={"m": 1.0}, texts={"a/b.txt": "hi"})
        uri = tracker.log_model(sweep, model, class_names=["a", "b"], size=8)
    assert [child.id for child in tracker.children(sweep.id)] == [trial]
    assert _ask(f"{url}/get-artifact?path=a/b.txt&run_uuid={trial}") == (200, b"hi")
    assert registry.register(uri) == 1
    registry.promote("remote", who="ada", reason="first")
    for _ in range(2):
        ref = registry.resolve("remote")
    images = np.ones((1, 8, 8, 3), "float32")
    np.testing.assert_allclose(load(ref)(images), model(images), rtol=1e-6)
    assert registry.rollback("remote", who="ada", reason="back").version is None

    process.send_signal(signal.SIGTERM)
    process.wait(30)
    begun = time.monotonic()
    with pytest.raises(StoreError, match=r"^tracking\.uri=http://127.*start the server"):
        tracker.get(trial)
    assert time.monotonic() - begun < 10


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    local = Tracking(tmp_path, "demo")
    with pytest.raises(SettingError, match=r"^tracking\.uri=.*server already"):
        server_command(Tracking(tmp_path, "demo", "http://localhost:1"))
    with pytest.raises(SettingError, match=r"^port=0"):
        server_command(local, port=0)
    with pytest.raises(SettingError, match=r"^host=0\.0\.0\.0"):
        server_command(local, host="0.0.0.0")
    command = server_command(local, "0.0.0.0", 5001, ["poses.example.org:5001"])
    assert command[command.index("--allowed-hosts") + 1] == "0.0.0.0:5001,localhost:5001,poses.example.org:5001"
