"""A fixed set of files over HTTP on this machine alone, for a browser on it."""

from __future__ import annotations

import errno
import hashlib
import socketserver
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.export._bundle import Bundle, file_sums

HOST = "127.0.0.1"
_NAMES = frozenset({HOST, "localhost"})
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""What the page may load: its own files, WebAssembly, and pictures of the visitor's that never leave the browser."""

_HEADERS = {
    # Only a header can forbid other pages to frame this one.
    "Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept, but asked for each time: another bundle may be served at the same address next.
    "Cache-Control": "no-cache",
}
_LARGEST_PORT = 65535
_IDLE_SECONDS = 60


@dataclass(frozen=True)
class Entry:
    """A file that is served.

    Parameters
    ----------
    path : Path
        Where it lies.
    sha256 : str or None
        What it must be; None where that does not matter.
    """

    path: Path
    sha256: str | None = None


def bundle_site(bundle: Bundle, port: int) -> Site:
    """Give a server of a bundle's files, each as it was verified.

    Parameters
    ----------
    bundle : Bundle
        As `read_bundle` gave it.
    port : int
        Where it listens; 0 for any that is free.

    Raises
    ------
    StoreError
        Where the bundle has no page.
    SettingError
        Where the port cannot be had.
    """
    sums = file_sums(bundle.folder)
    if "index.html" not in sums:
        raise StoreError(
            f"{bundle.folder} holds no live page; export the model again where Node.js is installed, which brings npm."
        )
    return Site({name: Entry(bundle.folder / name, digest) for name, digest in sums.items()}, port)


class Site(socketserver.ThreadingTCPServer):
    """A server of named files and of nothing else; a context manager.

    Nothing is looked up on the disk by what a request says, so no path leads out of the set and no folder is listed.

    Parameters
    ----------
    entries : mapping
        Name as in the address, e.g. ``page/app.js``, to the file.
    port : int
        Where it listens; 0 for any that is free.
    inbox : callable, optional
        Takes the name and the body of a POST; None where nothing may be posted.

    Attributes
    ----------
    outbox : dict
        Name to bytes that are served beside the files, for as long as they are there.

    Raises
    ------
    SettingError
        Where the port cannot be had.
    """

    allow_reuse_address = True
    daemon_threads = True
    # A browser opens several connections at once.
    request_queue_size = 64

    def __init__(
        self, entries: Mapping[str, Entry], port: int = 0, inbox: Callable[[str, bytes], object] | None = None
    ) -> None:
        self.entries = dict(entries)
        self.outbox: dict[str, bytes] = {}
        self.inbox = inbox
        if not 0 <= port <= _LARGEST_PORT:
            raise SettingError("port", port, f"it must be 0 to {_LARGEST_PORT}", "type --port 8000")
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            problem = "another program listens there" if busy else f"it cannot be had ({error.strerror})"
            raise SettingError("port", port, problem, "type --port 0 for any that is free") from error

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.server_address[1]}"

    def read(self, name: str) -> bytes | None:
        """Give what is served under a name; None for nothing."""
        if name in self.outbox:
            return self.outbox[name]
        try:
            return self.entries[name].path.read_bytes()
        except (KeyError, OSError):
            return None

    def changed(self, name: str, sha256: str) -> bool:
        """Tell whether a file is not what it was when it was verified: a browser gets what was exported, or nothing."""
        entry = self.entries.get(name)
        return entry is not None and entry.sha256 not in (None, sha256)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that went away half-way is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: Site
    server_version, sys_version = "wellai-exp", ""
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.server.inbox is None or not self._local() or not length.isdecimal():
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        self.server.inbox(urlsplit(self.path).path.lstrip("/"), self.rfile.read(int(length)))
        self._send(HTTPStatus.NO_CONTENT, {"Content-Length": "0"})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write no line for each request."""

    def _answer(self, *, body: bool) -> None:
        if not self._local():
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        content = self.server.read(name)
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        digest = hashlib.sha256(content).hexdigest()
        if self.server.changed(name, digest):
            self._refuse(HTTPStatus.CONFLICT)
            return
        kind = _KINDS.get(PurePosixPath(name).suffix, "application/octet-stream")
        headers = {"Content-Type": kind, "ETag": f'"{digest}"'}
        if self.headers.get("If-None-Match") == headers["ETag"]:
            self._send(HTTPStatus.NOT_MODIFIED, headers)
            return
        self._send(HTTPStatus.OK, headers | {"Content-Length": str(len(content))})
        if body:
            self.wfile.write(content)

    def _local(self) -> bool:
        """Whether the request names this machine: a foreign name that resolves to it is a DNS rebinding attack."""
        name, _, port = self.headers.get("Host", "").rpartition(":")
        return name in _NAMES and port == str(self.server.server_address[1])

    def _refuse(self, status: HTTPStatus) -> None:
        content = f"{status.value} {status.phrase}\n".encode()
        # What else came with the request was not read, and must not be taken for the next one.
        self.close_connection = True
        kind = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(content)), "Connection": "close"}
        self._send(status, kind)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in (_HEADERS | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
