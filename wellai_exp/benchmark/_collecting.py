"""How many photographs a second are collected from a server on this machine."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from wellai_exp.collecting import Limits, Record, Watcher, collect
from wellai_exp.data import Link
from wellai_exp.errors import StoreError
from wellai_exp.seeding import generator

_CLASSES = 82
_PHOTOGRAPHS = 40
_SIZE = (640, 480)
_CONCURRENCY = 64
_HOST = "127.0.0.1"
_STARTS_WITHIN = 60


@dataclass(frozen=True)
class CollectingRate:
    """What was collected, and how long it took.

    Parameters
    ----------
    urls, got : int
        URLs listed, and photographs that are there.
    seconds : float
        From reading the folder to the last byte of the table.
    cpu_seconds : float
        Of this process in that time, all threads together; the server's are not in it.
    megabytes : float
        Of the photographs, in 10⁶ bytes.
    """

    urls: int
    got: int
    seconds: float
    cpu_seconds: float
    megabytes: float

    @property
    def urls_per_second(self) -> float:
        """URLs a second."""
        return self.urls / self.seconds


def measure_collecting(urls: int, seed: int, watcher: Watcher) -> CollectingRate:
    """Collect drawn photographs of 640 × 480 pixels from a server in a process of its own.

    Connections are made, photographs decoded, written and synced as for any list, into a folder that is thrown away;
    only the pause between two requests to one host is left out, because all of them are for one.

    Parameters
    ----------
    urls : int
        URLs to collect.
    seed : int
        Decides the photographs.
    watcher : Watcher
        Is told how it goes on.

    Raises
    ------
    StoreError
        Where the server does not start or the temporary folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="wellai-") as folder, _server(_drawn(seed)) as port:
        links = [
            Link(f"http://{_HOST}:{port}/{number}.jpg", f"class {number % _CLASSES:02d}") for number in range(urls)
        ]
        limits = Limits(concurrency=_CONCURRENCY, per_host=_CONCURRENCY, pause=0.0, allow=[f"{_HOST}:{port}"])
        started, cpu_started = time.perf_counter(), time.process_time()
        records: list[Record] = collect(Path(folder), links, limits, watcher)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    got = [each for each in records if each.verdict == "got"]
    return CollectingRate(urls, len(got), seconds, cpu_seconds, sum(each.bytes for each in got) / 1e6)


def _drawn(seed: int) -> list[bytes]:
    import cv2

    rng = generator(seed, "benchmark", "collect")
    drawn = []
    for _ in range(_PHOTOGRAPHS):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, _SIZE, interpolation=cv2.INTER_CUBIC)
        # Grain, as photographs have it; without it they would be a fifth of the size.
        grain = rng.normal(0.0, 6.0, pixels.shape)
        noisy = np.clip(pixels + grain, 0, 255).astype(np.uint8)
        drawn.append(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    return drawn


@contextmanager
def _server(photographs: Sequence[bytes]) -> Iterator[int]:
    """Serve photographs from another process; gives its port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, list(photographs)), daemon=True)
    process.start()
    try:
        if not ours.poll(_STARTS_WITHIN):
            raise StoreError(f"The local server did not start within {_STARTS_WITHIN} s; type the same command.")
        yield int(ours.recv())
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, photographs: list[bytes]) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Answering(photographs), _HOST, 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


class _Answering(asyncio.Protocol):
    """Answers every request with a photograph and keeps the connection; as cheap as can be, to leave the cores free."""

    def __init__(self, photographs: Sequence[bytes]) -> None:
        self._photographs = photographs
        self._request = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._request += data
        if self._transport is None or not self._request.endswith(b"\r\n\r\n"):
            return
        number = int(self._request[5 : self._request.index(b".")])
        body = self._photographs[number % len(self._photographs)]
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        self._request = b""
