"""Addresses, folder names, headers, packed bodies and settings: the rules by themselves, for any input."""

from __future__ import annotations

import csv
import gzip
import ipaddress
import zlib
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.collecting import Limits, Record
from wellai_exp.collecting._addresses import Gate, UnsafeAddress, is_public
from wellai_exp.collecting._answers import Refusal, forbidden_by, retry_after, unpacked
from wellai_exp.collecting._fetch import checked_url, redirected
from wellai_exp.collecting._folders import class_folders
from wellai_exp.collecting._journal import Journal, write_table
from wellai_exp.errors import SettingError

V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
CARRIERS = ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::")
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(V4 | V6)
def test_nothing_is_public_that_python_calls_otherwise(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert address.is_global or address in ipaddress.ip_network("64:ff9b::/96")
        assert not address.is_multicast
        assert not address.is_loopback


@given(V4)
def test_an_address_inside_another_is_as_public_as_by_itself(inner: ipaddress.IPv4Address) -> None:
    for carrier in CARRIERS:
        outer = ipaddress.IPv6Address(int(ipaddress.IPv6Address(carrier)) | int(inner))
        assert is_public(outer) == is_public(inner)
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (int(inner) << 80) | 1)
    assert is_public(six_to_four) == is_public(inner)
    assert not is_public(ipaddress.IPv6Address((0x20010000 << 96) | int(inner)))


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])
def test_the_open_internet_is_public(text: str) -> None:
    Gate().check(text, 443)


def test_the_gate_exempts_exact_pairs() -> None:
    gate = Gate(("127.0.0.1:8000", "[::1]:8000"))
    gate.check("127.0.0.1", 8000)
    gate.check("::1", 8000)
    for host, port in (("127.0.0.1", 8001), ("127.0.0.2", 8000), ("::1", 80), ("::ffff:127.0.0.1", 8000), ("name", 80)):
        with pytest.raises(UnsafeAddress):
            gate.check(host, port)


@pytest.mark.parametrize("pair", ["127.0.0.1", "localhost:8000", "127.0.0.1:0", "127.0.0.1:x", "::1:8000", "[::1]", ""])
def test_what_is_no_pair_is_refused_at_birth(pair: str) -> None:
    with pytest.raises(SettingError, match=r"collect\.allow=.*set collect\.allow="):
        Limits(allow=[pair])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[(name, bad) for name in ("concurrency", "per_host", "tries") for bad in (0, -1, 1.5, "many", True, None)],
        *[(name, bad) for name in ("seconds", "megabytes") for bad in (0, -1, float("nan"), float("inf"), "x")],
        *[(name, bad) for name in ("pause", "backoff", "longest_wait") for bad in (-0.1, float("nan"), "x")],
        *[("redirects", -1), ("url_length", 0), ("offline", -1), ("robots", "noai"), ("allow", "x"), ("again", "dead")],
        *[("again", ["got"]), ("again", ["daed"]), ("user_agent", ""), ("user_agent", "a\nb"), ("user_agent", "é")],
    ],
)
def test_a_limit_that_cannot_work_is_refused_at_birth(setting: str, value: Any) -> None:
    with pytest.raises(SettingError, match=rf"collect\.{setting}=.*; set collect\.{setting}=") as caught:
        Limits(**{setting: value})
    assert "\n" not in str(caught.value)


@given(st.lists(ANY_TEXT, max_size=12))
def test_folders_are_safe_and_differ_for_any_file_system(labels: list[str]) -> None:
    folders = class_folders(labels)
    assert set(folders) == set(labels)
    for folder in folders.values():
        assert folder == Path(folder).name
        assert folder.isprintable()
        assert folder[0] not in ".-~ "
        assert len(folder.encode()) <= 120
        assert not set(folder) & set('<>:"/\\|?*')
    assert len({folder.casefold() for folder in folders.values()}) == len(set(labels))


@given(ANY_TEXT, st.sampled_from(["", "http://", "https://a.b/", "//", "http://a@", "data:", "http://["]))
def test_a_url_that_is_let_through_is_one(text: str, start: str) -> None:
    limits = Limits()
    base = checked_url("http://a.b/c", limits)
    for make in (checked_url, lambda location, limits: redirected(base, location, limits)):
        try:
            url = make(start + text, limits)
        except Refusal as refusal:
            assert "URL" in str(refusal)
        else:
            assert url.scheme in ("http", "https")
            assert url.host
            assert url.user is None
            assert str(url).isprintable()


NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("Thu, 26 Nov 2026 12:00:30 GMT", 30.0)],
        *[("Thu, 26 Nov 2026 11:00:00 GMT", 0.0), ("Thu, 26 Nov 2026 12:00:30", 30.0)],
        *[("", None), ("soon", None), ("-5", None), ("1.5", None), ("²", None), ("٣", None), ("9" * 9, 999_999_999.0)],
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=40) | st.datetimes(timezones=st.just(UTC)).map(format_datetime))
def test_any_retry_after_gives_a_wait_or_nothing(value: str) -> None:
    wait = retry_after(value, NOW)
    assert wait is None or 0 <= wait < float("inf")


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_robots_header_can_be_read(headers: list[str]) -> None:
    assert forbidden_by(headers, []) == ""
    assert forbidden_by([*headers, "noai"], ["noai"]) == "noai"


@given(st.binary(max_size=500))
def test_what_was_packed_comes_out_and_never_more_than_allowed(data: bytes) -> None:
    for encoding, body in (("", data), ("gzip", gzip.compress(data)), ("deflate", zlib.compress(data))):
        assert unpacked(body, encoding, 500) == data
        if data and encoding:
            with pytest.raises(Refusal, match="larger than"):
                unpacked(body, encoding, len(data) - 1)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"]))
def test_rubbish_is_refused_and_never_more(data: bytes, encoding: str) -> None:
    try:
        assert len(unpacked(data, encoding, 1000)) <= 1000
    except Refusal as refusal:
        assert "encoding" in str(refusal)


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=5, unique=True))
def test_any_text_survives_the_journal_and_the_table(
    tmp_path_factory: Any, entries: list[tuple[str, str, str]]
) -> None:
    root = tmp_path_factory.mktemp("journal")
    records = [
        Record("", label, "train", listed, "dead", "why", url, status=404, time="2026-11-26T12:00:00+00:00")
        for label, listed, url in entries
    ]
    with Journal(root) as journal:
        for record in records:
            journal.add(record)
    with Journal(root) as journal:
        assert list(journal.records.values()) == records
    write_table(root, records)
    with (root / "collected.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["label"], row["listed"], row["url"]) for row in rows] == entries
    assert [row["status"] for row in rows] == ["404"] * len(rows)
