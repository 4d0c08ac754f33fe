"""Workers on this machine: processes of their own that share its threads and its memory."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import ClassVar

import psutil

from wellai_exp.compute._messages import Hired, Job, Received
from wellai_exp.errors import SettingError

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# Of the machine's memory; the rest is the parent's and the system's.
_SHARED_MEMORY = 0.9
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Local:
    """Evaluate trials on this machine.

    Parameters
    ----------
    workers : int
        1 evaluates in the command's own process; more are processes, among which threads and memory are divided.
    memory_mb : float or None
        What a worker may take, MB, files mapped into memory left out; None is an equal share of the machine's.
    grace_seconds : float
        A worker that gives no sign of life for so long loses its trial to another; 5 s later it is ended. Above 14 one
        that is stopped inside a write to SQLite can make those of the others fail.
    retries : int
        How often a trial is tried again whose worker was lost.
    """

    workers: int = 1
    memory_mb: float | None = None
    grace_seconds: float = 10.0
    retries: int = 2
    entry: ClassVar[str] = "wellai_exp.compute"

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SettingError(
                    f"compute.{name}", value, f"it must be a whole number of at least {least}", f"set compute.{name}=2"
                )
        self._check_number("grace_seconds", self.grace_seconds, 1)
        if self.memory_mb is not None:
            self._check_number("memory_mb", self.memory_mb, 100)

    @staticmethod
    def _check_number(name: str, value: object, least: float) -> None:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= least:
            remedy = f"set compute.{name}={'10' if name == 'grace_seconds' else 'null'}"
            raise SettingError(f"compute.{name}", value, f"it must be a number of at least {least}", remedy)

    @property
    def beat(self) -> float:
        """Seconds between two signs of life."""
        return min(1.0, self.grace_seconds / 5)

    @cached_property
    def limit_mb(self) -> float:
        """What a worker may take, MB."""
        if self.memory_mb is not None:
            return float(self.memory_mb)
        return _memory_mb() * _SHARED_MEMORY / self.workers

    def hire(self, job: Job, log: Path) -> Post:
        """Start a worker; it writes what it has to say besides into `log`."""
        return Post(self, job, log)

    @staticmethod
    def wait(posts: Sequence[Post], seconds: float) -> list[Post]:
        """Give the workers that have something to say, as soon as one has, or none after some time."""
        by_connection = {post.connection: post for post in posts if not post.closed}
        if not by_connection:
            time.sleep(seconds)
            return []
        return [by_connection[ready] for ready in wait(list(by_connection), seconds) if isinstance(ready, Connection)]


class Post:
    """A worker's process, seen from its parent.

    Attributes
    ----------
    connection : multiprocessing.connection.Connection
        To the worker.
    closed : bool
        Whether its end of the line is gone.
    """

    def __init__(self, place: Local, job: Job, log: Path) -> None:
        self._place = place
        self.connection, theirs = Pipe()
        self.closed = False
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", place.entry, str(theirs.fileno()), str(os.getpid()), str(place.beat)]
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[theirs.fileno()],
                env=_environment(place.workers),
                # Ctrl-C in a terminal goes to its whole group; the parent alone decides what becomes of its workers.
                process_group=0,
            )
        theirs.close()
        self.send(Hired(pickle.dumps(job)))

    def send(self, message: object) -> None:
        """Send a message; a worker that is gone does not get it, which `ended` tells."""
        with suppress(OSError):
            self.connection.send(message)

    def receive(self) -> list[Received]:
        """Give all that has come."""
        messages: list[Received] = []
        try:
            while self.connection.poll():
                messages.append(self.connection.recv())
        except (EOFError, OSError):
            self.closed = True
        return messages

    def ended(self) -> str:
        """Say how the process ended; empty while it runs."""
        if not self.closed and self._process.poll() is None:
            return ""
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        if status < 0:
            return f"it was ended by {signal.Signals(-status).name}"
        return f"it ended with status {status}"

    def too_large(self) -> str:
        """Say that the process takes more memory than it may; empty where it does not."""
        try:
            # Pages of mapped files are the system's, which takes them back when it needs to.
            memory = psutil.Process(self._process.pid).memory_info()
        except psutil.Error:
            return ""
        taken = (memory.rss - getattr(memory, "shared", 0)) / 2**20
        if taken <= self._place.limit_mb:
            return ""
        setting = self._place.memory_mb
        limit = f"compute.memory_mb={setting:g}" if setting else f"its share of the memory, {self._place.limit_mb:.0f}"
        return f"it took {taken:.0f} MB, more than {limit}"

    def kill(self) -> None:
        """End the process at once, a stopped one too."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid


def _environment(workers: int) -> dict[str, str]:
    """Give a worker its share of the threads, and this interpreter's path."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = dict.fromkeys(_THREADS, str(max(1, cores // workers)))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # Without it the first worker would take a whole GPU's memory for itself.
    return {**os.environ, **threads, "PYTHONPATH": path, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def _memory_mb() -> float:
    """Give what this machine, or the container around this process, has."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int(_CGROUP.read_text(encoding="ascii")))
    return total / 2**20
