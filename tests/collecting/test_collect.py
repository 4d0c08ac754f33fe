"""One collection from a server and a list that do everything wrong, and what became of each entry."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cases import CASES, GOT, JPEG, LOOPBACK, fill, path_of
from hostile import Hostile, hostile_server
from listening import Listener, limits_for

from wellai_exp.collecting import Limits, Record, collect
from wellai_exp.collecting._addresses import Gate
from wellai_exp.data import Link, LinkTable, decode

LABELS = (
    *("..", ".", "../../up", "/etc/passwd", "a/b", "C:\\windows", "..\\..\\up", "con", "NUL.txt", "tree\0x", "tree\nx"),
    *(
        "Tree",
        "tree",
        "TREE",
        "caf\u00e9",
        "cafe\u0301",
        "나무 자세",
        "🌳",
        "x" * 500,
        "나" * 100,
        ".hidden",
        "-rf",
        "~",
        "a.",
    ),
    *(
        "trailing ",
        " leading",
        "<b>bold</b>",
        "[bold]markup[/bold]",
        "\x1b[31mred",
        "right\u202eleft",
        "=1+1",
        "%2e%2e",
    ),
    *("Bharadvaja's_Twist_pose_or_Bharadvajasana_I_", "Crane_(Crow)_Pose_or_Bakasana_", "Sitting pose 1 (normal)"),
)
ORDINARY = "ordinary"


class Spy:
    """Remembers what Python's audit events tell of writing and connecting, while it looks."""

    def __init__(self) -> None:
        self.looking = False
        self.written: set[str] = set()
        self.connected: set[tuple[Any, ...]] = set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.looking:
            return
        if (
            event == "open"
            and isinstance(details[0], str | bytes)
            and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            self.written.add(os.fsdecode(details[0]))
        elif event in ("os.mkdir", "os.remove", "os.rename", "os.symlink", "os.link"):
            self.written |= {os.fsdecode(each) for each in details if isinstance(each, str | bytes)}
        elif event == "socket.connect":
            self.connected.add(tuple(details[1][:2]))


@dataclass
class Collected:
    """What the one collection left."""

    hostile: Hostile
    folder: Path
    root: Path
    links: tuple[Link, ...]
    urls: dict[str, str]
    records: list[Record]
    limits: Limits
    spy: Spy
    requests: Counter[str]
    watcher: Listener

    def of(self, name: str) -> Record:
        (found,) = [each for each in self.records if each.label == name]
        return found


@pytest.fixture(scope="session")
def hostile() -> Iterator[Hostile]:
    with hostile_server() as served:
        yield served


@pytest.fixture(scope="session")
def collected(hostile: Hostile, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """Write the table of all cases, and collect it once."""
    folder = tmp_path_factory.mktemp("collect")
    urls = fill(hostile)
    rows = [(name, url) for name, url in urls.items()]
    rows += [(label, f"{hostile.base}/good?{number}") for number, label in enumerate(LABELS)]
    rows += [(ORDINARY, ""), (ORDINARY, "   "), ("", f"{hostile.base}/good"), ("  ", f"{hostile.base}/good")]
    rows += [(ORDINARY, f"{hostile.base}/good?twice")] * 2 + [("another", f"{hostile.base}/good?twice")]
    pd.DataFrame(rows, columns=["label", "url"]).to_csv(folder / "urls.csv", index=False, quoting=1)
    root = folder / "in" / "photos"
    links = LinkTable(root, folder / "urls.csv").links().links
    late = tuple(link for link in links if link.label in CASES and CASES[link.label].late)
    spy, watcher, limits = Spy(), Listener(), limits_for(hostile)
    hostile.requests.clear()
    spy.looking = True
    # Apart, so that on a machine that is held up nothing else runs into their limit.
    collect(root, late, limits_for(hostile, seconds=1.0), Listener())
    records = collect(root, links, limits, watcher)
    spy.looking = False
    return Collected(hostile, folder, root, links, urls, records, limits, spy, hostile.requests.copy(), watcher)


@pytest.mark.parametrize("name", CASES)
def test_an_entry_gets_the_verdict_it_deserves(name: str, collected: Collected) -> None:
    case, found = CASES[name], collected.of(name)
    assert re.fullmatch(case.verdict, found.verdict), found.reason
    assert re.search(case.reason, found.reason), found.reason
    if case.requests is not None:
        assert collected.requests[path_of(name)] == case.requests
    if case.verdict == GOT:
        assert found.path.endswith(case.ending)
        data = (collected.root / found.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == found.sha256
        assert len(data) == found.bytes
        assert decode(data).ndim == 3
        assert found.status == 200
    else:
        assert (found.path, found.sha256, found.bytes) == ("", "", 0)


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_any_label_gets_a_folder_of_its_own_below_the_root(label: str, collected: Collected) -> None:
    found = collected.of(label)
    assert found.verdict == GOT, found.reason
    images, folder, _ = Path(found.path).parts
    assert images == "images"
    assert (collected.root / found.path).read_bytes() == JPEG
    others = [Path(each.path).parts[1] for each in collected.records if each.path and each.label != label]
    assert folder.casefold() not in {each.casefold() for each in others}


def test_ordinary_labels_are_their_folders_names(collected: Collected) -> None:
    for label in (*LABELS[-3:], "나무 자세", "=1+1"):
        assert Path(collected.of(label).path).parts[1] == label


def test_every_entry_has_one_verdict_in_the_lists_order(collected: Collected) -> None:
    assert len(collected.records) == len(collected.links)
    for link, record in zip(collected.links, collected.records, strict=True):
        assert (record.label, record.url) == (link.label, link.url)
        assert record.verdict in ("got", "dead", "refused")
        assert record.verdict == GOT or record.reason
        assert "collect" not in record.path
    told = collected.watcher.known + collected.watcher.told
    assert Counter(each.key for each in told) == Counter(each.key for each in collected.records)


def test_entries_without_url_or_label_and_repeated_ones_say_so(collected: Collected) -> None:
    reasons = Counter(each.reason for each in collected.records)
    assert reasons["it has no URL"] == 2
    assert reasons["it has no label"] == 2
    assert reasons["the list repeats an earlier entry"] == 1


def test_a_url_of_several_entries_is_asked_for_once(collected: Collected) -> None:
    twice = [each for each in collected.records if each.url.endswith("/good?twice") and each.verdict == GOT]
    assert {each.label for each in twice} == {ORDINARY, "another"}
    redirected = 1 + sum(name.startswith("redirect 3") for name in CASES) + 1  # three redirects end at /good as well
    assert collected.requests["/good"] == len(LABELS) + redirected


def test_nothing_is_written_outside_the_root(collected: Collected) -> None:
    root = os.path.realpath(collected.root)
    outside = {path for path in collected.spy.written if not os.path.realpath(path).startswith(root)}
    assert collected.spy.written
    # The folders above the root are made with it.
    assert outside <= {str(parent) for parent in collected.root.parents}
    there = {path.relative_to(collected.folder).parts[0] for path in collected.folder.rglob("*")}
    assert there == {"urls.csv", "in"}


def test_nothing_is_connected_to_but_what_is_exempt(collected: Collected) -> None:
    hostile = collected.hostile
    assert hostile.trespasses == 0
    assert collected.spy.connected == {("127.0.0.1", hostile.port), ("127.0.0.1", hostile.closed)}


def test_the_trap_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule, spellings of this machine's address do reach the port that counts."""
    monkeypatch.setattr(Gate, "check", lambda *_: None)
    with hostile_server() as served:
        links = [Link(f"http://{address}:{served.forbidden}/x.jpg", address) for address in LOOPBACK]
        records = collect(tmp_path, links, limits_for(served, tries=1), Listener())
        reached = {each.label for each in records if each.status == 200}
        assert served.trespasses == len(reached)
        assert {"127.0.0.1", "localhost", "0.0.0.0"} <= reached


def test_the_files_are_those_of_the_table_and_no_more(collected: Collected) -> None:
    there = {path.relative_to(collected.root).as_posix() for path in (collected.root / "images").rglob("*.*")}
    there = {path for path in there if (collected.root / path).is_file()}
    assert there == {each.path for each in collected.records if each.path}
    table = pd.read_csv(collected.root / "collected.csv", dtype=object, keep_default_na=False)
    assert table["path"].tolist() == [each.path for each in collected.records]
    assert table["label"].tolist() == [each.label for each in collected.records]
    assert table["url"].tolist() == [each.url for each in collected.records]
    assert table["status"].tolist() == ["" if each.status is None else str(each.status) for each in collected.records]


def test_the_final_url_is_the_one_that_answered(collected: Collected) -> None:
    assert collected.of("three redirects").final_url == f"{collected.hostile.base}/good"
    assert collected.of("jpeg").final_url == collected.urls["jpeg"]
