"""What the list names: for each case a behaviour of the server or a URL, the verdict, and a word of its reason."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from hostile import (
    MEGABYTES,
    Behaviour,
    Hostile,
    after,
    bare_deflate,
    chunked,
    dripping,
    head,
    huge_png,
    packed,
    picture,
    raw,
    redirect,
    reset,
    silent,
    unhurried,
    whole,
)
from PIL import features

GOT, DEAD, REFUSED = "got", "dead", "refused"
JPEG = picture()
BROAD = picture(side=120)
EITHER = "dead|refused"
LATE = "within collect.seconds"
UNKNOWN = f"host is not known|{LATE}"
LARGE = int(MEGABYTES * 1e6) + 1


@dataclass(frozen=True)
class Case:
    """A path's behaviour, or another URL, and what must come of it.

    ``verdict`` and ``reason`` are patterns; ``requests`` is how often the path is asked for, where that matters; what
    is ``late`` runs into the limit of seconds.
    """

    verdict: str
    reason: str = ""
    behaviour: Behaviour | None = None
    url: Callable[[Hostile], str] | None = None
    requests: int | None = None
    ending: str = ".jpg"

    @property
    def late(self) -> bool:
        return LATE in self.reason


def _bodies() -> dict[str, Case]:
    good = {
        "jpeg": (JPEG, ".jpg"),
        "grey jpeg": (picture(mode="L"), ".jpg"),
        "cmyk jpeg": (picture(mode="CMYK"), ".jpg"),
        "progressive jpeg": (picture(progressive=True), ".jpg"),
        "png": (picture("PNG"), ".png"),
        "palette png": (picture("PNG", mode="P"), ".png"),
        "alpha png": (picture("PNG", mode="RGBA"), ".png"),
        "webp": (picture("WEBP"), ".webp"),
        "gif": (picture("GIF"), ".gif"),
        "bmp": (picture("BMP"), ".bmp"),
        "tiff": (picture("TIFF"), ".tif"),
        "ppm": (picture("PPM"), ".ppm"),
        "jpeg 2000": (picture("JPEG2000"), ".jp2"),
    }
    if features.check("avif"):
        good["avif"] = (picture("AVIF"), ".avif")
    bad = {
        "page as image": (b"<!doctype html><title>404</title>", "a page or a text"),
        "page after blanks": (b"\n\n   <HTML>gone</HTML>", "a page or a text"),
        "json": (b'{"error": "gone"}', "a page or a text"),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a page or a text"),
        "plain text": (b"this image has moved", "no image that can be read"),
        "empty answer": (b"", "empty"),
        "rubbish": (bytes(range(256)) * 4, "no image that can be read"),
        "pdf": (b"%PDF-1.7\n", "no image that can be read"),
        "icon": (picture("ICO"), "no image that can be read"),
        "half a jpeg": (BROAD[: len(BROAD) // 2], "cut short or damaged"),
        "half a png": (picture("PNG")[:300], "cut short or damaged"),
        "jpeg header alone": (JPEG[:20], "no image that can be read"),
        "png of 900 megapixels": (huge_png(), "50 megapixels"),
        "image larger than allowed": (picture("BMP", side=300), "larger than collect.megabytes"),
    }
    cases = {name: Case(GOT, behaviour=whole(body), ending=ending) for name, (body, ending) in good.items()}
    cases |= {
        name: Case(REFUSED, reason, whole(body, Content_Type="image/jpeg"), requests=1)
        for name, (body, reason) in bad.items()
    }
    for kind in ("text/html", "application/octet-stream", "image/png", "nonsense"):
        cases[f"jpeg as {kind}"] = Case(GOT, behaviour=whole(JPEG, Content_Type=kind))
    return cases


def _statuses() -> dict[str, Case]:
    final = (204, 206, 300, 304, 400, 401, 402, 403, 404, 405, 406, 410, 418, 451, 501, 999)
    passing = (408, 425, 500, 502, 503, 504, 522)
    cases = {
        f"status {code}": Case(DEAD, f"answers {code}", whole(b"" if code in (204, 304) else JPEG, code), requests=1)
        for code in final
    }
    cases |= {
        f"status {code}": Case(DEAD, f"answers {code}", whole(b"", code, Retry_After="soon"), requests=2)
        for code in passing
    }
    good = whole(JPEG)
    cases["503 then good"] = Case(GOT, behaviour=after(1, whole(b"", 503), good), requests=2)
    cases["429 then good"] = Case(GOT, behaviour=after(1, whole(b"", 429, Retry_After=1), good), requests=2)
    past = formatdate(0, usegmt=True)
    cases["503 until the past"] = Case(GOT, behaviour=after(1, whole(b"", 503, Retry_After=past), good), requests=2)
    far = formatdate(4e9, usegmt=True)
    for name, value in {"an hour": "3600", "a century": far, "for ever": "9" * 400}.items():
        cases[f"429 for {name}"] = Case(DEAD, "longer than collect", whole(b"", 429, Retry_After=value), requests=1)
    cases["reset then good"] = Case(GOT, behaviour=after(1, reset, good), requests=2)
    cases["cut short then good"] = Case(
        GOT, behaviour=after(1, raw(head(Content_Length=9999) + JPEG), good), requests=2
    )
    return cases


def _transfers() -> dict[str, Case]:
    cut, strange, large = "cut short", "not HTTP", "larger than collect.megabytes"
    return {
        "chunked": Case(GOT, behaviour=chunked(JPEG)),
        "no length": Case(GOT, behaviour=raw(head() + JPEG)),
        "unhurried": Case(GOT, behaviour=unhurried),
        "length too long": Case(DEAD, cut, raw(head(Content_Length=len(JPEG) + 9) + JPEG), requests=2),
        "length too short": Case(EITHER, "", raw(head(Content_Length=len(JPEG) // 2) + JPEG)),
        "length above the limit": Case(REFUSED, large, raw(head(Content_Length=LARGE) + JPEG), requests=1),
        "length of terabytes": Case(REFUSED, large, raw(head(Content_Length=10**15) + JPEG), requests=1),
        "negative length": Case(DEAD, strange, raw(head(Content_Length=-5) + JPEG)),
        "length in words": Case(DEAD, strange, raw(head(Content_Length="many") + JPEG)),
        "two lengths": Case(DEAD, strange, raw(head(Content_Length=5)[:-2] + b"Content-Length: 6\r\n\r\n" + JPEG)),
        "chunks cut off": Case(DEAD, cut, chunked(JPEG, end=False), requests=2),
        "chunks of rubbish": Case(DEAD, "", raw(head(Transfer_Encoding="chunked") + b"zz\r\nrubbish\r\n")),
        "endless body": Case(REFUSED, large, dripping(head(), b"\xff\xd8" * 20_000, 0), requests=1),
        "endless chunks": Case(
            REFUSED, large, dripping(head(Transfer_Encoding="chunked"), b"4e20\r\n" + b"x" * 20_000 + b"\r\n", 0)
        ),
        "dripping body": Case(DEAD, LATE, dripping(head(Content_Length=5000) + JPEG[:30], b"x"), requests=2),
        "dripping headers": Case(DEAD, LATE, dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), requests=2),
        "dripping status": Case(DEAD, LATE, dripping(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n")),
        "silence": Case(DEAD, LATE, silent, requests=2),
        "closed at once": Case(DEAD, "broke off", raw(b""), requests=2),
        "reset": Case(DEAD, "broke off", reset, requests=2),
        "headers cut off": Case(DEAD, "broke off", raw(b"HTTP/1.1 200 OK\r\nContent-Le"), requests=2),
        "huge header": Case(DEAD, strange, raw(head(X_Huge="x" * 70_000) + JPEG)),
        "endless header": Case(DEAD, strange, dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 9_000, 0)),
        "endless headers": Case(DEAD, strange, dripping(b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n" * 100, 0)),
        "no HTTP": Case(DEAD, strange, raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")),
        "image without HTTP": Case(DEAD, strange, raw(JPEG)),
        "NUL in a header": Case(DEAD, strange, raw(head(X_Nul="a\0b") + JPEG)),
        "status of letters": Case(DEAD, strange, raw(b"HTTP/1.1 abc OK\r\n\r\n")),
        "gzip": Case(GOT, behaviour=whole(packed(JPEG), Content_Encoding="gzip")),
        "x-gzip": Case(GOT, behaviour=whole(packed(JPEG), Content_Encoding="X-GZip")),
        "deflate": Case(GOT, behaviour=whole(zlib.compress(JPEG), Content_Encoding="deflate")),
        "bare deflate": Case(GOT, behaviour=whole(bare_deflate(JPEG), Content_Encoding="deflate")),
        "identity": Case(GOT, behaviour=whole(JPEG, Content_Encoding="identity")),
        "gzip bomb": Case(REFUSED, large, whole(packed(bytes(30_000_000)), Content_Encoding="gzip"), requests=1),
        "deflate bomb": Case(REFUSED, large, whole(bare_deflate(bytes(30_000_000)), Content_Encoding="deflate")),
        "gzip twice": Case(REFUSED, "encoding", whole(gzip.compress(packed(JPEG)), Content_Encoding="gzip, gzip")),
        "gzip damaged": Case(REFUSED, "encoding is damaged", whole(b"\x1f\x8b" + b"x" * 99, Content_Encoding="gzip")),
        "gzip cut": Case(REFUSED, "encoding is damaged", whole(packed(JPEG)[:-20], Content_Encoding="gzip")),
        "brotli": Case(REFUSED, "encoding", whole(b"\x0b\x02\x80", Content_Encoding="br")),
    }


def _robots() -> dict[str, Case]:
    refused = ("noai", "noimageai", "noindex", "NoAI", "none", "nosnippet, noai", "wellai-exp: noai", "*: noindex")
    more = ("max-snippet: 5, noindex", "unavailable_after: 1 Jan 2020, noimageai")
    accepted = ("noarchive", "googlebot: noindex", "otherbot: noai, noindex", "index, follow", "", "max-snippet: -1")
    cases = {
        f"robots {said}": Case(REFUSED, "X-Robots-Tag", whole(JPEG, X_Robots_Tag=said), requests=1)
        for said in (*refused, *more)
    }
    cases |= {f"robots {said or 'empty'}": Case(GOT, behaviour=whole(JPEG, X_Robots_Tag=said)) for said in accepted}
    twice = raw(head(Content_Length=len(JPEG))[:-2] + b"X-Robots-Tag: all\r\nX-Robots-Tag: noai\r\n\r\n" + JPEG)
    cases["robots in a second header"] = Case(REFUSED, "X-Robots-Tag", twice)
    return cases


# Every one of them means this machine, or a network that is not the open internet.
LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0", "0.0.0.0"),
    *("localhost", "LOCALHOST", "①②⑦.⓪.⓪.①", "127。0。0。1", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[::]", "[::127.0.0.1]"),
)
ADDRESSES = (
    *LOOPBACK,
    *("localhost.", "127.255.255.254", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:7f00:1::1]", "[fe80::1]", "[fc00::1]"),
    *("[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[::ffff:169.254.169.254]", "[100::1]"),
    *("[fec0::1]", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1"),
)
SCHEMES = (
    *("file:///etc/passwd", "file://localhost/etc/passwd", "FILE:/etc/passwd", "data:image/png;base64,AAAA"),
    *("ftp://127.0.0.1/x.jpg", "gopher://127.0.0.1:70/", "javascript:alert(1)", "ws://127.0.0.1/", "ssh://127.0.0.1"),
)


UNSAFE = "address is not public|URL cannot be read"


def _unsafe(address: str, url: Callable[[Hostile], str]) -> Case:
    """Say what becomes of an address; not every resolver knows the name with a dot behind it."""
    if address == "localhost.":
        return Case(EITHER, f"{UNSAFE}|{UNKNOWN}", url=url)
    return Case(REFUSED, UNSAFE, url=url)


def _at(url: str) -> Callable[[Hostile], str]:
    return lambda _: url


def _wrong_place(address: str) -> Callable[[Hostile], str]:
    return lambda hostile: f"http://{address}:{hostile.forbidden}/x.jpg"


def _directly() -> dict[str, Case]:
    cases = {f"to {address}": _unsafe(address, _wrong_place(address)) for address in ADDRESSES}
    cases |= {f"to {url}": Case(REFUSED, "neither http nor https", url=_at(url)) for url in SCHEMES}
    unreadable = {
        "no scheme": "www.example.com/x.jpg",
        "scheme alone": "http://",
        "no host": "http:///x.jpg",
        "backslashes": "http:\\\\127.0.0.1\\x.jpg",
        "port too large": "http://127.0.0.1:99999/x.jpg",
        "port of letters": "http://127.0.0.1:http/x.jpg",
        "open bracket": "http://[::1/x.jpg",
        "NUL": "http://127.0.0.1/\0x.jpg",
        "line end": "http://127.0.0.1/x\r\nHost: other\r\n\r\n.jpg",
        "tabulator": "http://127.0.0.1/x\t.jpg",
        "over-long": "http://127.0.0.1/" + "x" * 5_000,
        "user": "http://user:secret@127.0.0.1/x.jpg",
        "user as host": "http://example.com@127.0.0.1/x.jpg",
        "backslash and host": "http://example.com\\@127.0.0.1/x.jpg",
        "port 0": "http://127.0.0.1:0/x.jpg",
        "words": "not a URL at all",
        "path": "../../../etc/passwd",
    }
    cases |= {f"URL: {name}": Case(REFUSED, "URL", url=_at(url)) for name, url in unreadable.items()}
    cases["host that is not known"] = Case(DEAD, UNKNOWN, url=lambda _: "http://no.such.host.invalid/x.jpg")
    cases["host label of 70 letters"] = Case(DEAD, UNKNOWN, url=lambda _: f"http://{'a' * 70}.invalid/x.jpg")
    cases["closed port"] = Case(DEAD, "no connection", url=lambda hostile: f"http://127.0.0.1:{hostile.closed}/x")
    cases["https of a plain server"] = Case(DEAD, LATE, url=lambda hostile: f"https://127.0.0.1:{hostile.port}/x")
    return cases


def _redirects() -> dict[str, Case]:
    cases = {
        f"redirect {code}": Case(GOT, behaviour=redirect("/good", code), requests=1)
        for code in (301, 302, 303, 307, 308)
    }
    cases |= {
        "three redirects": Case(GOT, behaviour=redirect("/hop/2")),
        "four redirects": Case(REFUSED, "more than collect.redirects", redirect("/hop/3")),
        "redirect to itself": Case(REFUSED, "more than collect.redirects", redirect("?again")),
        "redirect to and fro": Case(REFUSED, "more than collect.redirects", redirect("/fro")),
        "redirect nowhere": Case(DEAD, "without saying where", raw(head(302, Content_Length=0)), requests=1),
        "redirect to nothing": Case(DEAD, "without saying where", redirect("")),
        "redirect to a dead page": Case(DEAD, "answers 404", redirect("/nothing")),
        "redirect to a page": Case(REFUSED, "a page", redirect("/page")),
        "redirect to a user": Case(REFUSED, "user name", redirect("http://me:too@127.0.0.1/")),
        "redirect to no port": Case(REFUSED, "no URL|cannot be read", redirect("http://127.0.0.1:99999/")),
        "redirect to no host": Case(REFUSED, "no URL|cannot be read", redirect("http://[::1/")),
        "redirect to a long URL": Case(REFUSED, "longer than", redirect("/" + "x" * 5_000)),
        "redirect in other bytes": Case(
            REFUSED, "no URL|characters", raw(head(302, Content_Length=0)[:-2] + b"Location: http://\xff\xfe/\r\n\r\n")
        ),
    }
    cases["redirect without a scheme"] = Case(
        REFUSED, "address", url=lambda hostile: f"{hostile.base}/without-a-scheme"
    )
    cases |= {f"redirect to {url}": Case(REFUSED, "neither http nor https", redirect(url)) for url in SCHEMES}
    return cases


def fill(hostile: Hostile) -> dict[str, str]:
    """Give the server its behaviours, and the URL of each case."""
    hostile.routes |= {
        "/good": whole(JPEG),
        "/hop/2": redirect("/hop/1"),
        "/hop/1": redirect("/good"),
        "/hop/3": redirect("/hop/2"),
        "/fro": redirect("/to"),
        "/to": redirect("/fro"),
        "/page": whole(b"<html>"),
        "/without-a-scheme": redirect(f"//127.0.0.1:{hostile.forbidden}/x.jpg"),
    }
    urls = {}
    for number, (name, case) in enumerate(CASES.items()):
        path = f"/case/{number}"
        urls[name] = case.url(hostile) if case.url else f"{hostile.base}{path}"
        if case.behaviour:
            hostile.routes[path] = case.behaviour
    for number, address in enumerate(ADDRESSES):
        hostile.routes[f"/away/{number}"] = redirect(_wrong_place(address)(hostile))
    return urls


def path_of(name: str) -> str:
    """Give the path of a case's behaviour."""
    return f"/case/{list(CASES).index(name)}"


def _away(number: int) -> Callable[[Hostile], str]:
    return lambda hostile: f"{hostile.base}/away/{number}"


def _led_away() -> dict[str, Case]:
    return {f"led to {address}": _unsafe(address, _away(number)) for number, address in enumerate(ADDRESSES)}


CASES: dict[str, Case] = {
    **_bodies(),
    **_statuses(),
    **_transfers(),
    **_robots(),
    **_directly(),
    **_redirects(),
    **_led_away(),
}
