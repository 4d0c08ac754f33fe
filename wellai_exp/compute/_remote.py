"""Workers on other machines, whatever brings them there: they come in by the parent's door and are like local ones."""

from __future__ import annotations

import os
import pickle
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from wellai_exp.compute._entrance import Door, Errand
from wellai_exp.compute._messages import Hired, Job
from wellai_exp.compute._place import Place, Post

# What data, weights, trackers and databases ask for.
ENVIRONMENT = (
    "WELLAI_ASSETS",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
)
_SECONDS_TO_TELL = 2.0


class Ticket(Protocol):
    """What a cluster gives for an errand."""

    def ended(self, seconds: float) -> str:
        """Say how it ended, waiting so long at most; empty while it runs or waits."""

    def cancel(self) -> None:
        """End it, running or waiting."""


@dataclass(frozen=True)
class Remote(Place, ABC):
    """Evaluate trials on other machines.

    Parameters
    ----------
    workers : int
        How many trials at the same time, as far as the cluster has room; the others wait until there is.
    grace_seconds : float
        As for every place.
    retries : int
        As for every place.
    cpus : int
        Of a worker; it uses so many threads.
    gpus : float
        Of a worker.
    host : str or None
        Name or address of this machine, as the nodes reach it; None leaves it to the cluster.
    environment : sequence of str
        Variables that workers get from this process, over their own connection.
    """

    workers: int = 4
    grace_seconds: float = 30.0
    cpus: int = 1
    gpus: float = 0
    host: str | None = None
    environment: Sequence[str] = ENVIRONMENT

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("cpus", 1)
        self._check_number("gpus", self.gpus, 0, "0")

    @abstractmethod
    def _submit(self, errand: Errand) -> Ticket:
        """Give an errand to the cluster."""

    def _own_host(self) -> str:
        """Give this machine's address, as the cluster knows it."""
        return socket.gethostname()

    @cached_property
    def _door(self) -> Door:
        return Door(self.host or self._own_host())

    def hire(self, job: Job, log: Path) -> RemotePost:
        """Ask for a worker; it writes what it has to say besides into `log`."""
        entrance = self._door.entrance()
        errand = Errand(entrance, self.entry, self.beat, self.cpus, str(Path.cwd()), str(log.absolute()))
        post = RemotePost(self._door, entrance.name, self._submit(errand))
        known = {name: os.environ[name] for name in self.environment if name in os.environ}
        post.send(Hired(pickle.dumps(job), known))
        return post

    def close(self) -> None:
        """Close the door."""
        if "_door" in self.__dict__:
            self._door.close()
            del self.__dict__["_door"]


class RemotePost(Post):
    """A worker on another machine.

    Parameters
    ----------
    door : Door
        Where it will come in.
    name : str
        What it will say it is.
    ticket : Ticket
        The cluster's.
    """

    def __init__(self, door: Door, name: str, ticket: Ticket) -> None:
        self._door = door
        self._name = name
        self._ticket = ticket
        self._came: Connection | None = None
        self._unsent: list[object] = []

    @property
    def connection(self) -> Connection | None:
        """To the worker; None as long as it has not come."""
        if self._came is None:
            self._came = self._door.arrived(self._name)
            if self._came is not None:
                unsent, self._unsent = self._unsent, []
                for message in unsent:
                    self.send(message)
        return self._came

    def send(self, message: object) -> None:
        """Send a message; it waits for a worker that has not come."""
        if self.connection is None:
            self._unsent.append(message)
        else:
            super().send(message)

    @property
    def waiting(self) -> bool:
        """Whether it has not come yet."""
        return self.connection is None

    def ended(self) -> str:
        """Say how it ended; empty while it runs or waits."""
        if self.waiting:
            return self._ticket.ended(0.0)
        if not self.closed:
            return ""
        return self._ticket.ended(_SECONDS_TO_TELL) or "its connection was lost"

    def kill(self) -> None:
        """End it: the cluster is told, and a worker whose connection is gone ends by itself."""
        with suppress(Exception):
            # Whatever the cluster says: it may be gone itself.
            self._ticket.cancel()
        if self._came is not None:
            self._came.close()
        self.closed = True
