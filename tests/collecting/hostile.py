"""A web server that does everything a list of old URLs may meet, and a port that nothing may connect to."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

MEGABYTES = 0.2
Behaviour = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


def picture(kind: str = "JPEG", seed: int = 0, side: int = 24, mode: str = "RGB", **options: object) -> bytes:
    """Draw a small image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(held, kind, **options)
    return held.getvalue()


def head(status: int = 200, **headers: str | int) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(body: bytes, status: int = 200, **headers: str | int) -> Behaviour:
    """Answer in full."""
    headers.setdefault("Content_Length", len(body))

    async def behave(writer: asyncio.StreamWriter, _times: int) -> None:
        writer.write(head(status, **headers) + body)

    return behave


def raw(data: bytes) -> Behaviour:
    """Send bytes as they are, and close."""

    async def behave(writer: asyncio.StreamWriter, _times: int) -> None:
        writer.write(data)

    return behave


def redirect(location: str, status: int = 302) -> Behaviour:
    return raw(head(status, Content_Length=0)[:-2] + b"Location: " + location.encode("utf-8") + b"\r\n\r\n")


def after(failures: int, first: Behaviour, then: Behaviour) -> Behaviour:
    """Behave one way so many times, and another way from then on."""

    async def behave(writer: asyncio.StreamWriter, times: int) -> None:
        await (first if times <= failures else then)(writer, times)

    return behave


def dripping(start: bytes, drop: bytes, pause: float = 0.1) -> Behaviour:
    """Send something, and then a little for ever."""

    async def behave(writer: asyncio.StreamWriter, _times: int) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


async def silent(_writer: asyncio.StreamWriter, _times: int) -> None:
    await asyncio.sleep(60)


async def reset(writer: asyncio.StreamWriter, _times: int) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def unhurried(writer: asyncio.StreamWriter, _times: int) -> None:
    body = picture(seed=9)
    writer.write(head(Content_Length=len(body)))
    for start in range(0, len(body), 300):
        await asyncio.sleep(0.05)
        writer.write(body[start : start + 300])
        await writer.drain()


def chunked(body: bytes, *, end: bool = True) -> Behaviour:
    data = head(Transfer_Encoding="chunked")
    for start in range(0, len(body), 500):
        piece = body[start : start + 500]
        data += b"%x\r\n%s\r\n" % (len(piece), piece)
    return raw(data + (b"0\r\n\r\n" if end else b""))


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def huge_png() -> bytes:
    """Give a small file that claims 900 megapixels."""
    data = bytearray(picture("PNG"))
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@dataclass
class Hostile:
    """The server; requests are counted by path.

    ``port`` is the exempted one, ``forbidden`` counts connections, at ``closed`` nobody listens.
    """

    port: int = 0
    forbidden: int = 0
    closed: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    trespasses: int = 0
    routes: dict[str, Behaviour] = field(default_factory=dict)
    open_now: int = 0
    most_open: int = 0
    starts: list[float] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        self.starts.append(asyncio.get_running_loop().time())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ")[1].decode().partition("?")[0]
            self.requests[path] += 1
            await self.routes.get(path, whole(b"nothing here", 404))(writer, self.requests[path])
            await writer.drain()
        self.open_now -= 1
        writer.close()

    async def trespass(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trespasses += 1
        writer.write(head(Content_Length=0))
        writer.close()


@contextmanager
def hostile_server() -> Iterator[Hostile]:
    """Run the server in a thread of its own."""
    hostile = Hostile()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def start() -> None:
        server = await asyncio.start_server(hostile.serve, "127.0.0.1", 0, backlog=1000)
        hostile.port = server.sockets[0].getsockname()[1]
        trap = await asyncio.start_server(hostile.trespass, "127.0.0.1", 0)
        hostile.forbidden = trap.sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # a machine without IPv6
            await asyncio.start_server(hostile.trespass, "::1", hostile.forbidden)
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            hostile.closed = unused.getsockname()[1]
        ready.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield hostile
    finally:

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            loop.stop()

        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join(10)
        loop.close()


def packed(body: bytes) -> bytes:
    return gzip.compress(body)
