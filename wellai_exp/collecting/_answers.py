"""What one request came to, and what the headers of its answer say."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

# May pass: timeouts, too early, too many requests, and a server or its proxy in trouble.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
GOOD = frozenset({200, 203})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Directives of X-Robots-Tag that are followed by a colon themselves, as an agent's name is.
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
TOO_LARGE = "it is larger than collect.megabytes"
AGENT = "wellai-exp"
"""The name that robots directives may address."""


class Refusal(Exception):
    """Something that is not fetched or not kept; its text is the reason."""


@dataclass(frozen=True)
class Answer:
    """What one request came to.

    Parameters
    ----------
    verdict : str
        ``dead`` or ``refused``; empty where a body came whole or a redirect leads on.
    reason : str
        Why, in plain words and without anything that differs between URLs.
    passing : bool
        Whether another try may do better.
    wait : float or None
        Seconds that the server asks to wait, where it does.
    offline : bool
        Whether it failed before anything outside this machine answered.
    status : int or None
        The HTTP status, where an answer came.
    content_type, encoding, location : str
        Headers of the answer.
    body : bytes
        As it came, not unpacked.
    """

    verdict: str = ""
    reason: str = ""
    passing: bool = False
    wait: float | None = None
    offline: bool = False
    status: int | None = None
    content_type: str = ""
    encoding: str = ""
    location: str = ""
    body: bytes = b""


def retry_after(value: str, now: datetime | None = None) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3).

    Parameters
    ----------
    value : str
        Seconds or an HTTP date.
    now : datetime, optional
        What a date is compared with; the clock where it is not given.

    Returns
    -------
    float or None
        Seconds from now, at least 0; None where the header says nothing that can be read.
    """
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def forbidden_by(headers: Iterable[str], honoured: Sequence[str]) -> str:
    """Give the first honoured directive in X-Robots-Tag headers, or an empty text.

    Parameters
    ----------
    headers : iterable of str
        The headers' values: ``noai, noindex``, or ``agent: noindex`` for one agent alone.
    honoured : sequence of str
        Directives in lower case.
    """
    for header in headers:
        first, colon, rest = header.partition(":")
        agent = first.strip().lower()
        addressed = colon and "," not in first and agent not in _VALUED
        if addressed and agent not in ("*", AGENT):
            continue
        said = {directive.strip().lower() for directive in (rest if addressed else header).split(",")}
        if "none" in said:
            said |= {"noindex", "nofollow"}  # what `none` stands for
        for directive in honoured:
            if directive in said:
                return directive
    return ""


def headers_read(status: int, headers: CIMultiDictProxy[str], robots: Sequence[str]) -> Answer:
    """Say what the head of an answer comes to; without verdict and location, its body is wanted.

    Parameters
    ----------
    status : int
        The HTTP status.
    headers : CIMultiDictProxy
        The headers.
    robots : sequence of str
        The directives of X-Robots-Tag that are honoured.
    """
    content_type = headers.get("Content-Type", "")
    if status in REDIRECTS:
        location = headers.get("Location", "").strip()
        verdict, reason = ("", "") if location else ("dead", "it redirects without saying where to")
        return Answer(verdict, reason, status=status, content_type=content_type, location=location)
    if status not in GOOD:
        wait = retry_after(headers.get("Retry-After", ""))
        reason = f"its server answers {status}"
        return Answer("dead", reason, status in PASSING, wait, status=status, content_type=content_type)
    said = forbidden_by(headers.getall("X-Robots-Tag", []), robots)
    return Answer(
        "refused" if said else "",
        f"its server says {said} (X-Robots-Tag)" if said else "",
        status=status,
        content_type=content_type,
        encoding=",".join(headers.getall("Content-Encoding", [])),
    )


def unpacked(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Undo the content encoding of a body, and never hold more than `most_bytes` of it.

    Raises
    ------
    Refusal
        Where it unpacks to more, is damaged, or is packed in a way that was not asked for.
    """
    packing = encoding.strip().lower()
    if packing in ("", "identity"):
        return body
    if packing in ("gzip", "x-gzip"):
        windows: tuple[int, ...] = (31,)
    elif packing == "deflate":
        windows = (15, -15)  # with zlib's frame as the standard has it, or bare as some servers send it
    else:
        raise Refusal("its content encoding is not one that was asked for")
    for window in windows:
        unpacker = zlib.decompressobj(wbits=window)
        try:
            data = unpacker.decompress(body, most_bytes + 1)
        except zlib.error:
            continue
        if len(data) > most_bytes:
            raise Refusal(TOO_LARGE)
        if unpacker.eof:
            return data
    raise Refusal("its content encoding is damaged")
