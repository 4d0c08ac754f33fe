"""Where workers are hired, and a worker as its parent sees it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, ClassVar

from wellai_exp.compute._messages import Job, Received
from wellai_exp.errors import SettingError

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Variables by which libraries are told how many threads they may start."""


def share_of_machine(threads: int) -> dict[str, str]:
    """Give the variables that keep a worker to its share of a machine's threads and of a GPU's memory."""
    # Without the last the first worker would take a whole GPU's memory for itself.
    return {**dict.fromkeys(THREADS, str(threads)), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


class Post(ABC):
    """A worker, seen from its parent.

    Attributes
    ----------
    closed : bool
        Whether its end of the line is gone.
    """

    closed: bool = False

    @property
    @abstractmethod
    def connection(self) -> Connection | None:
        """To the worker; None as long as it has not come."""

    def send(self, message: object) -> None:
        """Send a message; a worker that is gone does not get it, which `ended` tells."""
        if self.connection is not None:
            with suppress(OSError):
                self.connection.send(message)

    def receive(self) -> list[Received]:
        """Give all that has come."""
        messages: list[Received] = []
        if self.connection is None:
            return messages
        try:
            while self.connection.poll():
                messages.append(self.connection.recv())
        except (EOFError, OSError):
            self.closed = True
        return messages

    @property
    def waiting(self) -> bool:
        """Whether it was asked for and has not come yet, for want of room."""
        return False

    @abstractmethod
    def ended(self) -> str:
        """Say how it ended; empty while it runs."""

    def too_large(self) -> str:
        """Say that it takes more memory than it may; empty where it does not, or where others see to that."""
        return ""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, a stopped one too."""


@dataclass(frozen=True)
class Place(ABC):
    """Where trials are evaluated, and by how many workers.

    Parameters
    ----------
    workers : int
        How many trials at the same time, as far as there is room.
    grace_seconds : float
        A worker that gives no sign of life for so long loses its trial to another; 5 s later it is ended.
    retries : int
        How often a trial is tried again whose worker was lost.
    """

    workers: int = 1
    grace_seconds: float = 10.0
    retries: int = 2
    entry: ClassVar[str] = "wellai_exp.compute"

    def __post_init__(self) -> None:
        self._check_whole("workers", 1)
        self._check_whole("retries", 0)
        self._check_number("grace_seconds", self.grace_seconds, 1, "10")

    def _check_whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SettingError(
                f"compute.{name}", value, f"it must be a whole number of at least {least}", f"set compute.{name}=2"
            )

    @staticmethod
    def _check_number(name: str, value: object, least: float, remedy: str) -> None:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= least:
            raise SettingError(
                f"compute.{name}", value, f"it must be a number of at least {least:g}", f"set compute.{name}={remedy}"
            )

    @property
    def beat(self) -> float:
        """Seconds between two signs of life."""
        return min(1.0, self.grace_seconds / 5)

    @property
    def in_process(self) -> bool:
        """Whether the command evaluates the trials itself."""
        return False

    @property
    def memory_share(self) -> float:
        """What of a machine's memory, as settings allow it, is one worker's."""
        return 1.0

    @abstractmethod
    def hire(self, job: Job, log: Path) -> Post:
        """Start a worker; it writes what it has to say besides into `log`."""

    def close(self) -> None:  # noqa: B027 - most places hold nothing
        """Let go of what all workers needed."""

    @staticmethod
    def wait(posts: Sequence[Post], seconds: float) -> list[Post]:
        """Give the workers that have something to say, as soon as one has, or none after some time."""
        open_ones: dict[Any, Post] = {post.connection: post for post in posts if not post.closed}
        open_ones.pop(None, None)
        if not open_ones:
            time.sleep(seconds)
            return []
        return [open_ones[ready] for ready in wait(list(open_ones), seconds)]
