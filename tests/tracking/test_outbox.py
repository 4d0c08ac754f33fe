"""What is kept on disk for a server: whole or refused, in order, held by one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.errors import StoreError
from wellai_exp.tracking._outbox import Outbox, given_elsewhere

URI = "http://127.0.0.1:1"


def make(root: Path, entries: int = 3) -> Outbox:
    outbox = Outbox.make(root, URI)
    for number in range(entries):
        outbox.append("tags", {"tags": {"number": str(number), "name": "나무 \ud800"}})
    return outbox


def taken(folder: Path) -> Outbox:
    outbox = Outbox.take(folder)
    assert outbox is not None
    return outbox


def test_entries_come_back_in_their_order_with_what_was_delivered(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    outbox.acknowledge(outbox.entries[0], {"run": "r"})
    outbox.release()
    again = taken(outbox.folder)
    assert (again.entries, again.pending) == (outbox.entries, outbox.entries[1:])
    assert (again.given, again.uri, again.created) == ({"run": "r"}, URI, outbox.created)
    assert given_elsewhere(tmp_path, outbox.key) == {"run": "r"}
    assert given_elsewhere(tmp_path, "0" * 32) is None


def test_one_process_holds_it(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    assert Outbox.take(outbox.folder) is None
    outbox.release()
    taken(outbox.folder).remove()
    assert Outbox.take(outbox.folder) is None
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from wellai_exp.tracking._outbox import Outbox
outbox = Outbox.make(Path(sys.argv[1]), "http://127.0.0.1:1")
for number in range(5):
    with outbox.filed("a.txt", lambda target: target.write_text(str(number))) as file:
        outbox.append("artifact", {"folder": None}, file)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_all_that_it_was_told_is_kept(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False, env=os.environ)
    assert done.returncode == -9
    (folder,) = tmp_path.iterdir()
    outbox = taken(folder)
    assert [entry.file.read_text() for entry in outbox.pending if entry.file] == ["0", "1", "2", "3", "4"]


@given(cut=st.integers(1, 200))
def test_a_torn_last_entry_is_dropped_and_the_next_one_takes_its_place(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    outbox = make(tmp_path_factory.mktemp("torn"))
    outbox.release()
    path = outbox.folder / "entries.jsonl"
    whole = path.read_bytes()
    last = whole.rfind(b"\n", 0, len(whole) - 1) + 1
    os.truncate(path, len(whole) - min(cut, len(whole) - last - 1))
    again = taken(outbox.folder)
    assert again.entries == outbox.entries[:2]
    again.append("tags", {"tags": {}})
    again.release()
    assert [entry.number for entry in taken(outbox.folder).entries] == [1, 2, 3]


@given(data=st.data())
def test_a_changed_entry_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    outbox = make(tmp_path_factory.mktemp("changed"))
    outbox.release()
    path = outbox.folder / "entries.jsonl"
    content = bytearray(path.read_bytes())
    # Any bit but those of the last line's end, without which it was never whole.
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"entries\.jsonl was changed after it was written"):
        Outbox.take(outbox.folder)


def test_a_damaged_note_only_has_entries_written_again(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    for entry in outbox.entries:
        outbox.acknowledge(entry, {"run": f"r{entry.number}"})
    outbox.release()
    path = outbox.folder / "done.jsonl"
    path.write_bytes(path.read_bytes().replace(b"r3", b"r9")[:-5])
    again = taken(outbox.folder)
    assert ([entry.number for entry in again.pending], again.given) == ([3], {"run": "r2"})


def test_what_cannot_be_kept_is_told_and_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = make(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[: len(data) // 2]))
    with pytest.raises(StoreError, match=r"No space left on device.*free the disk"):
        outbox.append("tags", {"tags": {}})
    monkeypatch.undo()

    def full(target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left on device"), outbox.filed("a.txt", full):
        raise AssertionError("a file that was not written is used")
    outbox.append("tags", {"tags": {"after": "it"}})
    outbox.release()
    again = taken(outbox.folder)
    assert [entry.data["tags"] for entry in again.entries[3:]] == [{"after": "it"}]
    assert list((again.folder / "files").iterdir()) == []


def test_a_signal_between_a_line_and_the_note_of_it_costs_no_number(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    forgotten = outbox.entries.pop()
    outbox._size -= 1
    outbox.append("tags", {"tags": {"one": "more"}})
    assert [entry.number for entry in outbox.entries] == [1, 2, 3, 4]
    assert outbox.entries[2] == forgotten
