"""A real MLflow server that can be struck, and what is compared before and after."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from tracking_stores import tracking_in

from wellai_exp.tracking import Run, Tracker, Tracking, server_command, server_environment
from wellai_exp.tracking._entries import KEY_TAG


class Served:
    """A server over a store of its own, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.behind = tracking_in(folder / "server")
        self.behind.prepare()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = server_command(self.behind, port=self.port)
        with (self.folder / "server.log").open("ab") as log:
            # A session of its own: the server has children, and a blow is meant for all of them.
            self.process = subprocess.Popen(
                command,
                env=server_environment(self.behind),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(1500):
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, (self.folder / "server.log").read_text()
                time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text())

    def strike(self, number: signal.Signals) -> None:
        """Send a signal to the server and its children."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(60)
            self.process = None

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self.process is not None:
            self.strike(signal.SIGKILL)

    def tracking(self, store: Path, experiment: str = "demo") -> Tracking:
        """Give a client's store."""
        return Tracking(store, experiment, self.url)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the database behind it, which is there when the server is not."""
        return self.behind.client()


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve during the block."""
    served = Served(folder)
    served.start()
    try:
        yield served
    finally:
        served.end()


def write(tracker: Tracker, between: Callable[[int], object]) -> Run:
    """Write a parent and two children with all that a run may hold; `between` is called before each of 22 steps."""
    step = iter(range(100))

    def now() -> None:
        between(next(step))

    now()
    with tracker.run("parent", tags={"wellai.kind": "sweep", "stays": "as it is"}) as parent:
        now()
        parent.log_params({"a": 1, "b": "two", **{f"p{index}": index for index in range(120)}})
        now()
        parent.log_text("x: 1\n", "notes/config.yaml")
        for number in range(2):
            now()
            with tracker.run(f"child {number}", parent=parent.id, tags={"wellai.trial": number}) as child:
                now()
                child.log_params({"number": number})
                for epoch in range(1, 4):
                    now()
                    child.log_metrics({"loss": 1 / (epoch + number), "epoch": epoch}, step=epoch)
                now()
                child.log_table(pd.DataFrame({"n": [number]}), "table.csv")
                now()
                child.log_dataset("poses", "f" * 36, "/nowhere", 7)
        now()
        parent.log_queryable(pd.DataFrame({"n": [1, 2]}), "search/table.json")
        now()
        parent.log_metrics({"best": 0.5, "worst": float("inf")})
        now()
        parent.set_tags({"wellai.winner": "child 1"})
        now()
    now()
    return parent


def story(served: Served, experiment: str) -> list[dict[str, Any]]:
    """Tell all that a server holds of an experiment's runs, without what differs from one time to the next."""
    client = served.client
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = list(client.search_runs([found.experiment_id]))
    names = {run.info.run_id: run.info.run_name for run in runs}
    files = MlflowClient(served.url)
    return sorted((_told(client, files, run, names) for run in runs), key=lambda each: str(each["name"]))


def _told(client: MlflowClient, files: MlflowClient, run: Any, names: dict[str, str]) -> dict[str, Any]:
    own = {"mlflow.parentRunId", "mlflow.user", "mlflow.runName", KEY_TAG}
    histories = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return {
        "name": run.info.run_name,
        "parent": names.get(run.data.tags.get("mlflow.parentRunId", ""), "none"),
        "status": run.info.status,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key not in own},
        "metrics": {key: [(point.step, point.value) for point in points] for key, points in histories.items()},
        "data": [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs],
        "artifacts": _files(files, run.info.run_id, None),
        "over": run.info.end_time is not None,
    }


def _files(client: MlflowClient, run_id: str, folder: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for info in client.list_artifacts(run_id, folder):
        found |= _files(client, run_id, info.path) if info.is_dir else {info.path: int(info.file_size or 0)}
    return found
