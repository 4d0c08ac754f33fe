"""One request, safely: to a checked address, within limits, and never further than its first answer."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from wellai_exp.collecting._addresses import UnsafeAddress
from wellai_exp.collecting._answers import TOO_LARGE, Answer, Refusal, headers_read
from wellai_exp.collecting._limits import Limits

_OFFLINE = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})
# Idle connections to thousands of hosts would use up the process's files.
_IDLE_SECONDS = 2.0
_NAMES_SECONDS = 300


def checked_url(text: str, limits: Limits) -> URL:
    """Parse a URL that may be asked for.

    Raises
    ------
    Refusal
        Where it is none, too long, of another scheme than http and https, or carries a user's name.
    """
    if len(text) > limits.url_length:
        raise Refusal("its URL is longer than collect.url_length")
    if not text.isprintable():
        raise Refusal("its URL holds characters that no URL has")
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        raise Refusal("its URL cannot be read") from None
    if url.scheme not in ("http", "https"):
        raise Refusal("its URL is neither http nor https")
    if not host or not port:
        raise Refusal("its URL cannot be read")
    if url.user is not None or url.password is not None:
        raise Refusal("its URL carries a user name")
    return url.with_fragment(None)


def redirected(url: URL, location: str, limits: Limits) -> URL:
    """Give the URL that a redirect leads to, checked like any other.

    Raises
    ------
    Refusal
        Where it may not be asked for.
    """
    try:
        target = str(url.join(URL(location)))
    except ValueError:
        raise Refusal("it redirects to what is no URL") from None
    try:
        return checked_url(target, limits)
    except Refusal as refusal:
        raise Refusal(str(refusal).replace("its URL", "the URL it redirects to", 1)) from None


class _Resolver(AbstractResolver):
    """Looks names up in threads that nothing waits for, and lets through only names whose every address is allowed.

    A lookup cannot be cancelled and may hang for a minute; an executor's threads would hold up the end of the program.

    Parameters
    ----------
    limits : Limits
        What may be connected to.
    """

    def __init__(self, limits: Limits) -> None:
        self._gate = limits.gate

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of a host, all checked."""
        found = await _looked_up(host, port)
        results = []
        for kind, _, protocol, _, target in found:
            address = str(target[0])
            self._gate.check(address, port)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    async def close(self) -> None:
        """Hold nothing that needs closing."""


async def _looked_up(host: str, port: int) -> list[tuple[Any, ...]]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def settle(found: list[tuple[Any, ...]], error: Exception | None) -> None:
        if not answer.done():
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

    def ask() -> None:
        found: list[tuple[Any, ...]] = []
        failed: Exception | None = None
        try:
            found = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
        except OSError as error:
            failed = error
        except ValueError as error:  # of a name that no lookup takes, such as one with a label of 64 characters
            failed = socket.gaierror(socket.EAI_NONAME, str(error))
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, found, failed)

    threading.Thread(target=ask, daemon=True, name="lookup").start()
    return await answer


class _BrokenOff(aiohttp.ClientError):
    """A connection that broke off before the head of an answer was there."""


async def _asked_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again on its own where a connection breaks off; tries are counted here."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenOff from error


class Fetcher:
    """Sends single requests; redirects, retries and the peace of a host are its caller's.

    The address of each connection is checked twice: as a name's answer, and as the very address that a socket is made
    for, which also sees the addresses that a URL spells out.

    Parameters
    ----------
    limits : Limits
        What is asked for and accepted.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Fetcher:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self._limits),
            socket_factory=self._limits.gate.open,
            ttl_dns_cache=_NAMES_SECONDS,
            keepalive_timeout=_IDLE_SECONDS,
            limit=0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            middlewares=(_asked_once,),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            # Neither a proxy nor anybody's passwords from the environment: a proxy would connect where it likes.
            trust_env=False,
            headers={
                "User-Agent": self._limits.user_agent,
                "Accept": "image/*,*/*;q=0.1",
                "Accept-Encoding": "identity",
            },
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, url: URL, seconds: float) -> Answer:
        """Send one GET request and read its answer whole.

        Parameters
        ----------
        url : URL
            As `checked_url` gives it.
        seconds : float
            The most that looking up, connecting, headers and body may take together.

        Returns
        -------
        Answer
            Whatever happens, short of being cancelled.
        """
        if self._session is None:
            raise RuntimeError("a Fetcher is entered before it is asked")
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.get(url, allow_redirects=False) as response,
            ):
                return await self._read(response)
        except Refusal as refusal:
            return Answer("refused", str(refusal))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return failure(error)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        answer = headers_read(response.status, response.headers, self._limits.robots)
        if answer.verdict or answer.location:
            return answer
        most = self._limits.most_bytes
        if (response.content_length or 0) > most:
            return replace(answer, verdict="refused", reason=TOO_LARGE)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                return replace(answer, verdict="refused", reason=TOO_LARGE)
        return replace(answer, body=bytes(body))


# In this order: the first that an error is an instance of.
_FAILURES: tuple[tuple[type[Exception], Answer], ...] = (
    (TimeoutError, Answer("dead", "no whole answer came within collect.seconds", passing=True)),
    (aiohttp.ClientPayloadError, Answer("dead", "its answer was cut short", passing=True)),
    (aiohttp.ClientSSLError, Answer("dead", "no secure connection could be made")),
    (_BrokenOff, Answer("dead", "the connection broke off", passing=True)),
    (OSError, Answer("dead", "the connection broke off", passing=True)),
    (aiohttp.ClientResponseError, Answer("dead", "its answer is not HTTP, or its headers are too large")),
)


def failure(error: Exception) -> Answer:
    """Say what an error of a request means: a verdict, and whether it may pass."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unconnected(error)
    found = (answer for kind, answer in _FAILURES if isinstance(error, kind))
    return next(found, Answer("refused", "its URL cannot be read"))


def _unconnected(error: aiohttp.ClientConnectorError) -> Answer:
    cause = error.os_error
    if isinstance(cause, UnsafeAddress):
        return Answer("refused", "its address is not public")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        passing = getattr(cause, "errno", None) == socket.EAI_AGAIN
        return Answer("dead", "its host is not known", passing=passing, offline=passing)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Answer("dead", "its certificate is not valid")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return Answer("dead", "no secure connection could be made")
    if cause.errno in _OFFLINE:
        return Answer("dead", "its host cannot be reached", passing=True, offline=True)
    return Answer("dead", "its host takes no connection", passing=True)
