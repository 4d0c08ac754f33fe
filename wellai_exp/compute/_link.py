"""A worker's end of the line: one thread that alone reads and writes it, so that no signal tears a message."""

from __future__ import annotations

import os
import queue
import signal
import threading
from multiprocessing.connection import Connection, wait
from typing import Any

from wellai_exp.compute._messages import Beat, Dropped, Stop
from wellai_exp.search import Superseded


class Link:
    """Sends what it is given, a sign of life now and then, and keeps what comes until it is asked for.

    The process ends at once where the parent is gone: whatever it still did would be done again.

    Parameters
    ----------
    connection : multiprocessing.connection.Connection
        To the parent.
    beat : float
        Seconds between two signs of life.
    """

    def __init__(self, connection: Connection, beat: float) -> None:
        self._connection = connection
        self._beat = beat
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._woken, self._wake = os.pipe()
        self._dropped: set[int] = set()
        self._thread = threading.Thread(target=self._serve, name="link", daemon=True)

    def start(self) -> None:
        """Begin to give signs of life."""
        self._thread.start()

    def send(self, message: object) -> None:
        """Have a message sent soon; messages arrive in order."""
        self._outbox.put(message)
        os.write(self._wake, b".")

    def receive(self) -> Any:
        """Wait for a message."""
        return self._inbox.get()

    def check(self, number: int) -> None:
        """Raise :class:`Superseded` where the attempt was given up."""
        if number in self._dropped:
            raise Superseded

    def close(self) -> None:
        """Send what is left and end the thread."""
        self.send(None)
        self._thread.join(5.0)

    def _serve(self) -> None:
        try:
            while True:
                ready = wait([self._connection, self._woken], self._beat)
                if not ready:
                    self._connection.send(Beat())
                if self._woken in ready:
                    os.read(self._woken, 1024)
                while not self._outbox.empty():
                    message = self._outbox.get()
                    if message is None:
                        return
                    self._connection.send(message)
                if self._connection in ready:
                    self._take(self._connection.recv())
        except (EOFError, OSError):
            os._exit(1)

    def _take(self, message: object) -> None:
        if isinstance(message, Stop):
            os.kill(os.getpid(), signal.SIGTERM)
        elif isinstance(message, Dropped):
            self._dropped.add(message.number)
        else:
            self._inbox.put(message)
