"""Stopped, killed and typed again: nothing is downloaded twice, and nothing is lost."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from hostile import Behaviour, Hostile, hostile_server, picture, redirect, whole
from listening import Listener, limits_for, photos

from wellai_exp import stopping
from wellai_exp.cli import main
from wellai_exp.collecting import Record, collect
from wellai_exp.data import Link, LinkTable
from wellai_exp.errors import DataError, StoreError


@pytest.fixture
def served() -> Iterator[Hostile]:
    """A server for one test alone, with forty photographs below /photo/."""
    with hostile_server() as hostile:
        hostile.routes |= {f"/photo/{number}": whole(picture(seed=number)) for number in range(40)}
        yield hostile


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / "images").rglob("*"))
        if path.is_file()
    }


def table(root: Path) -> list[dict[str, str]]:
    with (root / "collected.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def command(served: Hostile, folder: Path, *more: str) -> list[str]:
    """Write the list of forty photographs, and give the command that collects them."""
    with (folder / "urls.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("label", "url"), *((link.label, link.url) for link in photos(served))])
    allow = f"collect.allow=['127.0.0.1:{served.port}']"
    settings = ["data.table=urls.csv", "data.root=photos", allow, "collect.pause=0", "collect.per_host=4", *more]
    return [sys.executable, "-m", "wellai_exp", "collect", "data=links", *settings]


def wait_for_files(root: Path, count: int) -> None:
    for _ in range(6_000):
        if len(files_there(root)) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{count} files did not come within a minute")


def test_a_second_run_asks_for_nothing(served: Hostile, tmp_path: Path) -> None:
    links = [*photos(served), Link(f"{served.base}/gone", "pose 0"), Link("ftp://x", "pose 1")]
    first = collect(tmp_path, links, limits_for(served), Listener())
    before, requests = files(tmp_path), served.requests.total()
    listener = Listener()
    second = collect(tmp_path, links, limits_for(served), listener)
    assert served.requests.total() == requests
    assert second == first
    assert listener.known == first
    assert not listener.told
    assert files(tmp_path) == before


def test_what_was_dead_is_tried_again_where_that_is_asked_for(served: Hostile, tmp_path: Path) -> None:
    links = [*photos(served, 4), Link(f"{served.base}/late", "pose 0"), Link("ftp://x", "pose 1")]
    first = collect(tmp_path, links, limits_for(served), Listener())
    assert [each.verdict for each in first] == ["got"] * 4 + ["dead", "refused"]
    served.routes["/late"] = whole(picture(seed=77))
    assert collect(tmp_path, links, limits_for(served), Listener()) == first
    second = collect(tmp_path, links, limits_for(served, again=["dead"]), Listener())
    assert [each.verdict for each in second] == ["got"] * 5 + ["refused"]
    assert max(served.requests[f"/photo/{number}"] for number in range(4)) == 1
    assert [row["verdict"] for row in table(tmp_path)] == [each.verdict for each in second]


def test_killed_and_typed_again_it_downloads_nothing_twice(served: Hostile, tmp_path: Path) -> None:
    typed, kills = command(served, tmp_path), 2
    for kill in range(1, kills + 1):
        process = subprocess.Popen(typed, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # Each answer takes its time from now on, so that the kill finds some under way.
        for number in range(40):
            served.routes[f"/photo/{number}"] = slowly(picture(seed=number))
        wait_for_files(tmp_path / "photos", 8 * kill)
        process.kill()
        process.wait()
    kept = files_there(tmp_path / "photos")
    assert 8 * kills <= len(kept) < 40
    lines = (tmp_path / "photos" / "collected.jsonl").read_bytes().count(b"\n")
    assert lines <= len(kept)
    before = served.requests.copy()
    done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "40 of 40 photographs are in photos" in done.stdout
    whole_now = files(tmp_path / "photos")
    assert len(whole_now) == 40
    assert {row["verdict"] for row in table(tmp_path / "photos")} == {"got"}
    stored = {name.split("/")[-1].partition(".")[0] for name in kept}
    for number, link in enumerate(photos(served)):
        again = served.requests[f"/photo/{number}"] - before[f"/photo/{number}"]
        assert again == (0 if link.key in stored else 1)


def slowly(body: bytes) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter, times: int) -> None:
        await asyncio.sleep(0.05)
        await whole(body)(writer, times)

    return behave


def files_there(root: Path) -> list[str]:
    return [path.name for path in (root / "images").glob("*/[0-9a-f]*") if path.is_file()]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_everything_kept(served: Hostile, tmp_path: Path, sent: signal.Signals, status: int) -> None:
    for number in range(40):
        served.routes[f"/photo/{number}"] = slowly(picture(seed=number))
    typed = command(served, tmp_path)
    process = subprocess.Popen(typed, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_files(tmp_path / "photos", 8)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert said.strip().splitlines()[-1].startswith("stopped; what was finished is kept")
    assert "Traceback" not in said
    kept = {row["path"] for row in table(tmp_path / "photos")}
    # One that was stored when the signal came may have no row yet; the next run finds it there.
    assert 8 <= len(files_there(tmp_path / "photos")) < 40
    assert kept
    assert kept <= set(files(tmp_path / "photos"))
    before = served.requests.total()
    subprocess.run(typed, cwd=tmp_path, capture_output=True, check=True)
    assert served.requests.total() - before == 40 - len(files_there_before(kept, tmp_path))


def files_there_before(kept: set[str], folder: Path) -> set[str]:
    """Give the photographs that had been there at the stop: those of the table, and adopted ones."""
    return kept | {row["path"] for row in table(folder / "photos") if row["reason"] == "it was there already"}


def test_a_signal_at_the_very_end_still_counts(
    served: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stopping.listen()
    try:
        links = photos(served, 3)

        def at_each(_: Record) -> None:
            if len(listener.told) == 3:
                os.kill(os.getpid(), signal.SIGINT)

        listener = Listener(at_each)
        with pytest.raises(KeyboardInterrupt):
            collect(tmp_path, links, limits_for(served), listener)
        assert len(table(tmp_path)) == 3
    finally:
        stopping.listen()
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(number, handler)


def test_a_file_without_a_line_is_adopted_and_a_torn_line_ignored(served: Hostile, tmp_path: Path) -> None:
    links = photos(served, 6)
    first = collect(tmp_path, links, limits_for(served), Listener())
    journal = tmp_path / "collected.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]) + lines[3][: len(lines[3]) // 2])
    half = tmp_path / "images" / "pose 0" / f".4711.{links[0].key}.jpg"
    half.write_bytes(b"half")
    requests = served.requests.total()
    second = collect(tmp_path, links, limits_for(served), Listener())
    assert served.requests.total() == requests
    assert not half.exists()
    assert [(each.path, each.sha256, each.verdict) for each in second] == [
        (each.path, each.sha256, each.verdict) for each in first
    ]
    assert sum(each.reason == "it was there already" for each in second) == 3
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_a_damaged_line_in_the_middle_is_named(served: Hostile, tmp_path: Path) -> None:
    collect(tmp_path, photos(served, 3), limits_for(served), Listener())
    journal = tmp_path / "collected.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for damaged in (b"not JSON\n", b"[1, 2]\n", b'{"label": "x"}\n'):
        journal.write_bytes(lines[0] + damaged + lines[2])
        with pytest.raises(StoreError, match=r"Line 2 of .*collected.jsonl is damaged; take the line out"):
            collect(tmp_path, photos(served, 3), limits_for(served), Listener())


def test_a_photograph_that_was_lost_or_changed_is_fetched_anew(served: Hostile, tmp_path: Path) -> None:
    links = photos(served, 4)
    first = collect(tmp_path, links, limits_for(served), Listener())
    (tmp_path / first[0].path).unlink()
    (tmp_path / first[1].path).write_bytes(b"cut short")
    second = collect(tmp_path, links, limits_for(served), Listener())
    assert [replace(each, time="") for each in second] == [replace(each, time="") for each in first]
    assert [served.requests[f"/photo/{number}"] for number in range(4)] == [2, 2, 1, 1]
    assert (tmp_path / first[1].path).stat().st_size == first[1].bytes


def test_what_lies_there_under_the_right_name_but_is_no_image_is_not_adopted(served: Hostile, tmp_path: Path) -> None:
    (link,) = photos(served, 1)
    planted = tmp_path / "images" / "pose 0" / f"{link.key}.jpg"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"<html>")
    (found,) = collect(tmp_path, [link], limits_for(served), Listener())
    assert found.verdict == "got"
    assert planted.read_bytes() == picture(seed=0)


def test_another_list_in_the_same_folder_keeps_the_first_ones_rows(served: Hostile, tmp_path: Path) -> None:
    links = photos(served, 8)
    collect(tmp_path, links[:4], limits_for(served), Listener())
    records = collect(tmp_path, links[2:], limits_for(served), Listener())
    assert [each.url for each in records] == [link.url for link in links[2:]]
    assert {row["url"] for row in table(tmp_path)} == {link.url for link in links}
    assert max(served.requests.values()) == 1


def test_two_at_once_in_one_folder_are_refused(served: Hostile, tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".collecting.lock"),
        pytest.raises(StoreError, match="another wellai-exp collect is at work there; wait for it"),
    ):
        collect(tmp_path, photos(served, 2), limits_for(served), Listener())


def test_a_root_that_cannot_be_written(served: Hostile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"data.root=.*the folder cannot be written"):
        collect(tmp_path / "file" / "photos", photos(served, 2), limits_for(served), Listener())
    assert not served.requests


def test_a_full_disk_stops_at_once_and_leaves_nothing_half_written(served: Hostile, tmp_path: Path) -> None:
    """No file of the command may grow beyond a limit, which is what a full disk is to a writer."""
    for number in range(40):
        side = 200 if number == 20 else 24
        served.routes[f"/photo/{number}"] = whole(picture("BMP", seed=number, side=side))
    typed = command(served, tmp_path, "collect.concurrency=1", "collect.per_host=1")
    limited = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *typed], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot be written" in said
    assert "type the same command" in said
    assert "Traceback" not in done.stderr
    there = files(tmp_path / "photos")
    assert len(there) == 20
    assert all(len(data) == len(picture("BMP", seed=1)) for data in there.values())
    assert served.requests.total() <= 22
    assert len(table(tmp_path / "photos")) == 20
    again = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "40 of 40 photographs" in again.stdout


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer every look-up as a machine without network does."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.usefixtures("no_network")
def test_no_network_is_said_and_nobody_called_dead(served: Hostile, tmp_path: Path) -> None:
    links = [Link(f"http://name{number}.invalid/x.jpg", "pose") for number in range(8)]
    with pytest.raises(DataError, match=r"4 hosts in a row .* mend its network .* collect.offline=0"):
        collect(tmp_path, links, limits_for(served, offline=4), Listener())
    assert not (tmp_path / "collected.jsonl").read_bytes()
    records = collect(tmp_path, links, limits_for(served, offline=0), Listener())
    assert {(each.verdict, each.reason) for each in records} == {("dead", "its host is not known")}


@pytest.mark.usefixtures("no_network")
def test_one_answer_shows_that_the_network_is_there(served: Hostile, tmp_path: Path) -> None:
    links = [Link(f"http://name{number}.invalid/x.jpg", "pose") for number in range(3)]
    records = collect(tmp_path, [*links, *photos(served, 2)], limits_for(served, offline=4), Listener())
    assert [each.verdict for each in records] == ["dead"] * 3 + ["got"] * 2


def test_a_host_is_not_crowded_and_has_its_pause(served: Hostile, tmp_path: Path) -> None:
    for number in range(12):
        served.routes[f"/photo/{number}"] = slowly(picture(seed=number))
    collect(tmp_path, photos(served, 12), limits_for(served, per_host=2, pause=0.03, concurrency=50), Listener())
    assert served.most_open <= 2
    gaps = [later - earlier for earlier, later in zip(served.starts, served.starts[1:], strict=False)]
    # The server counts when a connection reaches it, which may be a little later than its start.
    assert sum(gaps) >= 11 * 0.03 - 0.02


def test_a_redirect_to_a_host_waits_its_turn_there(served: Hostile, tmp_path: Path) -> None:
    served.routes |= {f"/from/{number}": redirect(f"/photo/{number}") for number in range(6)}
    links = [Link(f"{served.base}/from/{number}", "pose") for number in range(6)]
    collect(tmp_path, links, limits_for(served, per_host=1, pause=0.03), Listener())
    assert served.most_open == 1
    assert served.starts[-1] - served.starts[0] >= 11 * 0.03 - 0.02


def test_what_was_collected_is_a_source(served: Hostile, tmp_path: Path) -> None:
    command(served, tmp_path)
    source = LinkTable(tmp_path / "photos", tmp_path / "urls.csv")
    with pytest.raises(DataError, match=r"holds no collected.csv; type wellai-exp collect"):
        (tmp_path / "photos").mkdir()
        source.listing()
    served.routes["/photo/7"] = whole(b"", 404)
    collect(source.root, source.links().links, limits_for(served), Listener())
    listing = source.listing()
    assert len(listing) == 39
    assert sorted(set(listing.labels)) == ["pose 0", "pose 1", "pose 2", "pose 3"]
    assert "1 of the 40 listed photographs were not collected." in listing.notes
    assert all((source.root / path).is_file() for path in listing.paths)


def test_the_command_says_what_the_list_holds_and_ends_with_a_table(
    served: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)
    typed = command(served, tmp_path)[3:]
    with (tmp_path / "urls.csv").open("a") as handle:
        handle.write(f"pose 0,{served.base}/gone\npose 0,{served.base}/lost\npose 1,ftp://x\n[b]pose,\n")
    monkeypatch.setattr(sys, "argv", ["wellai-exp", *typed])
    main()
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "rows │ 44 ",
        "│ pose 0 │ 12 │ 10 │ 2 │ 0 │ its server answers 404 (2) │",
        "│ pose 1 │ 11 │ 10 │ 0 │ 1 │ its URL is neither http nor https (1) │",
        "│ [b]pose │ 1 │ 0 │ 0 │ 1 │ it has no URL (1) │",
        "│ all │ 44 │ 40 │ 2 │ 2 │ its server answers 404 (2) │",
        "40 of 44 photographs are in photos; collected.csv there says what became of each",
        "wellai-exp sweep data=links data.table=urls.csv data.root=photos",
        "wellai-exp collect data=links data.table=urls.csv data.root=photos 'collect.again=[dead]'",
    ):
        assert words in shown
