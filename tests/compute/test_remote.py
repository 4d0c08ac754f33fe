"""Workers that come from elsewhere: by way of a door, with a key, and through whatever brings them."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import pytest
from clusters_here import Here
from jobs import DiesAt, FreezesAt, NeverOpens, Plain, Tells
from test_crew import go, make_study, values

from wellai_exp.compute import Ray, Slurm
from wellai_exp.compute._entrance import Door, Errand
from wellai_exp.compute._remote import Remote
from wellai_exp.errors import SettingError, WellaiError


@pytest.fixture(autouse=True)
def _same_code_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of a cluster have the same environment as its head."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))


def in_a_queue(**settings: Any) -> Slurm:
    pytest.importorskip("submitit", reason="the package submitit is missing")
    return Slurm(cluster="local", host="127.0.0.1", **settings)


@pytest.mark.parametrize("place", [Here, in_a_queue])
def test_workers_from_elsewhere_do_each_trial_once(tmp_path: Path, place: Callable[..., Remote]) -> None:
    study = make_study(tmp_path, 8)
    heard = go(study, DiesAt(tmp_path, 0.05, times=1), place(workers=2))
    assert values(study) == list(range(8))
    assert heard.finished == 8
    assert len({note.value for note in heard.notes}) >= 2
    assert [attempt.state for attempt in heard.settled] == ["CUT OFF"]


def test_one_worker_elsewhere_is_one_process_elsewhere(tmp_path: Path) -> None:
    heard = go(make_study(tmp_path, 2), Plain(tmp_path), Here(workers=1))
    assert {note.value for note in heard.notes}.isdisjoint({os.getpid()})


def test_a_frozen_one_is_replaced(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    heard = go(study, FreezesAt(tmp_path), Here(workers=2, grace_seconds=1))
    assert values(study) == list(range(6))
    assert [attempt.attempt for attempt in heard.settled] == [1]


def test_variables_that_are_named_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSES_HERE", "yes")
    go(make_study(tmp_path, 1), Tells(tmp_path, variable="POSES_HERE"), Here(workers=1, environment=["POSES_HERE"]))
    assert (tmp_path / "told").read_text() == "yes"


def test_workers_that_never_come_to_a_trial_end_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(WellaiError, match=r"3 workers in a row ended before they were ready, the last with .*no such"):
        go(make_study(tmp_path), NeverOpens(tmp_path), Here(workers=1))


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door("127.0.0.1")
    yield door
    door.close()


def arrival(door: Door, name: str) -> Any:
    for _ in range(200):
        if (came := door.arrived(name)) is not None:
            return came
        time.sleep(0.05)
    return None


def test_nobody_comes_in_without_the_key_and_nobody_else_has_to_wait(door: Door) -> None:
    entrance = door.entrance()
    silent = socket.create_connection((entrance.host, entrance.port))
    with pytest.raises((AuthenticationError, EOFError, OSError)):
        Client((entrance.host, entrance.port), authkey=b"guessed").send_bytes(entrance.name.encode())
    with socket.create_connection((entrance.host, entrance.port)) as stranger:
        stranger.sendall(b"\x00\x00\x00\x05GET /")
    entered: list[Any] = []
    thread = threading.Thread(target=lambda: entered.append(entrance.enter()))
    thread.start()
    came = arrival(door, entrance.name)
    thread.join(10)
    entered[0].send("hello")
    assert came.recv() == "hello"
    # Its place is taken: the name is good once.
    assert door.arrived(entrance.name) is None
    silent.close()


def test_a_key_opens_one_door_alone(door: Door) -> None:
    other = Door("127.0.0.1")
    try:
        assert door.entrance().key != other.entrance().key
        assert door.entrance().key.hex() not in repr(door.entrance())
    finally:
        other.close()


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: Slurm(gpus=0.5), "gpus"),
        (lambda: Slurm(minutes=0), "minutes"),
        (lambda: Ray(cpus=0), "cpus"),
        (lambda: Ray(gpus=-1), "gpus"),
        (lambda: Door("192.0.2.1"), "host"),
    ],
)
def test_settings_that_cannot_work_elsewhere(make: Callable[[], object], setting: str) -> None:
    with pytest.raises(SettingError, match=f"compute.{setting}="):
        make()


def test_a_node_without_the_folder_says_so(door: Door, tmp_path: Path) -> None:
    errand = Errand(door.entrance(), "wellai_exp.compute", 1.0, 1, str(tmp_path / "nowhere"), str(tmp_path / "log"))
    with pytest.raises(SettingError, match=r"has no folder .*nowhere; work in one that all share"):
        errand.run()
