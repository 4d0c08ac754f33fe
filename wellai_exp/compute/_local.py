"""Workers on this machine: processes of their own that share its threads and its memory."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from wellai_exp.compute._messages import Hired, Job
from wellai_exp.compute._place import Place, Post, share_of_machine

# Of the machine's memory; the rest is the parent's and the system's.
_SHARED_MEMORY = 0.9
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Local(Place):
    """Evaluate trials on this machine.

    Parameters
    ----------
    workers : int
        1 evaluates in the command's own process; more are processes, among which threads and memory are divided.
    grace_seconds : float
        A worker that gives no sign of life for so long loses its trial to another; 5 s later it is ended. Above 14 one
        that is stopped inside a write to SQLite can make those of the others fail.
    retries : int
        How often a trial is tried again whose worker was lost.
    memory_mb : float or None
        What a worker may take, MB, files mapped into memory left out; None is an equal share of the machine's.
    """

    memory_mb: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory_mb is not None:
            self._check_number("memory_mb", self.memory_mb, 100, "null")

    @property
    def in_process(self) -> bool:
        """Whether the command evaluates the trials itself."""
        return self.workers == 1

    @property
    def memory_share(self) -> float:
        """What of a machine's memory, as settings allow it, is one worker's."""
        return 1 / self.workers

    @cached_property
    def limit_mb(self) -> float:
        """What a worker may take, MB."""
        if self.memory_mb is not None:
            return float(self.memory_mb)
        return _memory_mb() * _SHARED_MEMORY / self.workers

    def hire(self, job: Job, log: Path) -> LocalPost:
        """Start a worker; it writes what it has to say besides into `log`."""
        return LocalPost(self, job, log)


class LocalPost(Post):
    """A worker's process on this machine."""

    def __init__(self, place: Local, job: Job, log: Path) -> None:
        self._place = place
        self._connection, theirs = Pipe()
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

    @property
    def connection(self) -> Connection:
        """To the worker."""
        return self._connection

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
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **share_of_machine(max(1, cores // workers)), "PYTHONPATH": path}


def _memory_mb() -> float:
    """Give what this machine, or the container around this process, has."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int(_CGROUP.read_text(encoding="ascii")))
    return total / 2**20
