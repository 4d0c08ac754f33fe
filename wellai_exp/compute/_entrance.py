"""Where workers on other machines come in: a door at the parent's, and the way there."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path

from wellai_exp.compute._place import share_of_machine
from wellai_exp.errors import SettingError

_NAME_BYTES = 64


@dataclass(frozen=True)
class Entrance:
    """All that a worker needs to come in.

    Parameters
    ----------
    host : str
        The parent's address.
    port : int
        Its door.
    key : bytes
        Proves to each side that the other one is meant; it never travels to the door itself.
    name : str
        Which worker it is.
    """

    host: str
    port: int
    name: str
    key: bytes = field(repr=False)

    def enter(self) -> Connection:
        """Go there, on the worker's side."""
        connection = Client((self.host, self.port), authkey=self.key)
        connection.send_bytes(self.name.encode())
        return connection


class Door:
    """Lets in who has the key; every parent has a door and a key of its own.

    Parameters
    ----------
    host : str
        Address of this machine, as the workers reach it; no other address is listened at.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._key = secrets.token_bytes(32)
        try:
            self._listener = Listener((host, 0), backlog=64)
        except OSError as error:
            raise SettingError(
                "compute.host",
                host,
                f"this machine cannot listen there ({error.strerror or error})",
                "set compute.host to an address of this machine that the nodes reach",
            ) from error
        self._arrived: dict[str, Connection] = {}
        self._closed = False
        threading.Thread(target=self._open, name="door", daemon=True).start()

    def entrance(self) -> Entrance:
        """Give a new worker's way in."""
        return Entrance(self.host, int(self._listener.address[1]), secrets.token_hex(8), self._key)

    def arrived(self, name: str) -> Connection | None:
        """Give a worker's connection, once, when it has come."""
        return self._arrived.pop(name, None)

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True
        # A connection wakes the thread, which is waiting for one.
        with suppress(OSError), socket.create_connection(self._listener.address, timeout=1.0):
            pass
        self._listener.close()

    def _open(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            if self._closed:
                connection.close()
                return
            # Who says nothing keeps nobody else waiting.
            threading.Thread(target=self._admit, args=(connection,), name="admission", daemon=True).start()

    def _admit(self, connection: Connection) -> None:
        try:
            # Nothing is unpickled before the other side has proved that it knows the key.
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            name = connection.recv_bytes(_NAME_BYTES).decode()
        except (AuthenticationError, EOFError, OSError, UnicodeDecodeError):
            connection.close()
        else:
            self._arrived[name] = connection


@dataclass(frozen=True)
class Errand:
    """What a cluster is given to run: one worker, as a process of its own.

    Parameters
    ----------
    entrance : Entrance
        Where it goes.
    module : str
        What ``python -m`` starts.
    beat : float
        Seconds between its signs of life.
    threads : int
        How many threads it may use.
    folder : str
        Where it works; the same on every machine.
    log : str
        File for what it says besides.
    """

    entrance: Entrance
    module: str
    beat: float
    threads: int
    folder: str
    log: str

    def run(self) -> int:
        """Run the worker to its end, on the node; gives its status."""
        if not Path(self.folder).is_dir():
            raise SettingError(
                "compute", socket.gethostname(), f"that node has no folder {self.folder}", "work in one that all share"
            )
        command = [sys.executable, "-m", self.module, "-", str(os.getpid()), str(self.beat)]
        Path(self.log).parent.mkdir(parents=True, exist_ok=True)
        with Path(self.log).open("ab") as out:
            worker = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env={**os.environ, **share_of_machine(self.threads)},
                process_group=0,
            )
        entrance = self.entrance
        # Not among its arguments, which everybody on the node could read.
        line = f"{entrance.host} {entrance.port} {entrance.name} {entrance.key.hex()}\n"
        with suppress(BrokenPipeError):
            worker.communicate(line.encode())
        return worker.wait()


def read_entrance() -> Entrance:
    """Read from standard input, in the worker's process, what `Errand.run` wrote."""
    host, port, name, key = sys.stdin.readline().split()
    return Entrance(host, int(port), name, bytes.fromhex(key))
