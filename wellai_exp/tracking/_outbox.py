"""What was logged of a run and is still to be brought to the server, kept on disk in the order of logging."""

from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from wellai_exp.errors import StoreError
from wellai_exp.tracking._entries import OPERATIONS, Entry, now

if TYPE_CHECKING:
    from filelock import FileLock

_FORMAT = 1
_ENTRIES, _DONE, _FILES, _LOCK = "entries.jsonl", "done.jsonl", "files", "lock"


class Outbox:
    """The outbox of one run: a folder with its entries, its files, and what was brought to the server already.

    One process at a time holds it. ``entries.jsonl`` is only ever appended to, and synced before an entry counts;
    ``done.jsonl`` need not be, because an entry may be written twice without harm; for that its files stay to the end.

    Parameters
    ----------
    folder : Path
        The folder; its name is the outbox's key, by which the server's run is found again.
    lock : FileLock
        Held.
    """

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self.key = folder.name
        self._lock = lock
        self._handle: int | None = None
        self._size = 0
        self.uri = ""
        self.created = 0
        self.entries: list[Entry] = []
        self.delivered = 0
        self.given: dict[str, Any] = {}
        self.problem = ""
        """Why the server will not have the next entry; empty where nothing speaks against it."""

    @classmethod
    def make(cls, root: Path, uri: str) -> Outbox:
        """Make an empty outbox for a server, and hold it.

        Raises
        ------
        StoreError
            Where it cannot be written.
        """
        folder = root / uuid4().hex
        try:
            (folder / _FILES).mkdir(parents=True)
            outbox = cls(folder, _hold(folder))
            outbox.uri, outbox.created = uri, now()
            outbox._append({"format": _FORMAT, "uri": uri, "created": outbox.created})
            _sync_folder(folder)
            _sync_folder(root)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return outbox

    @classmethod
    def take(cls, folder: Path) -> Outbox | None:
        """Hold the outbox of a process that has ended; None while somebody holds it, or where nothing is in it.

        Raises
        ------
        StoreError
            Where it is damaged.
        """
        from filelock import Timeout

        try:
            lock = _hold(folder)
        except (Timeout, FileNotFoundError):
            return None
        outbox = cls(folder, lock)
        outbox._read_entries()
        note = _last_note(folder)
        outbox.delivered, outbox.given = int(note["number"]), dict(note["given"])
        if not outbox.uri:
            outbox.remove()  # Its process ended before it held anything.
            return None
        return outbox

    @property
    def pending(self) -> list[Entry]:
        """The entries that the server does not have yet."""
        return self.entries[self.delivered :]

    @contextmanager
    def filed(self, name: str, write: Callable[[Path], object]) -> Iterator[Path]:
        """Write the file of the next entry; it is removed unless that entry is appended.

        Raises
        ------
        StoreError
            Where it cannot be written.
        """
        folder = self.folder / _FILES / uuid4().hex
        before = len(self.entries)
        try:
            try:
                folder.mkdir()
                write(folder / name)
            except OSError as error:
                raise _unwritable(folder, error) from error
            yield folder / name
        finally:
            if len(self.entries) == before:
                shutil.rmtree(folder, ignore_errors=True)

    def append(self, op: str, data: Mapping[str, Any], file: Path | None = None) -> Entry:
        """Keep an entry; when this returns it is on the disk.

        Raises
        ------
        StoreError
            Where it cannot be written.
        """
        if self._handle is not None and os.fstat(self._handle).st_size != self._size:
            self._read_entries()  # A signal came between a line and the note of it.
        entry = Entry(op, data, file, len(self.entries) + 1)
        line = {"number": entry.number, "op": op, "data": dict(data)}
        try:
            if file is not None:
                _sync_tree(file)
                line["file"] = str(file.relative_to(self.folder))
            self._append(line)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self.entries.append(entry)
        return entry

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._handle is None:
            self._handle = os.open(self.folder / _ENTRIES, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self._size = os.fstat(self._handle).st_size
        written = os.write(self._handle, data := _line(line))
        if written != len(data):
            os.ftruncate(self._handle, self._size)
            raise OSError(28, "No space left on device")
        os.fsync(self._handle)
        self._size += len(data)

    def acknowledge(self, entry: Entry, given: Mapping[str, Any]) -> None:
        """Note that the server has an entry, and what it gave for it."""
        self.given.update(given)
        with (self.folder / _DONE).open("ab") as handle:
            handle.write(_line({"number": entry.number, "given": self.given}))
        self.delivered = entry.number

    def _read_entries(self) -> None:
        """Read what is on disk. A last line that was cut off belongs to a call that never returned: it is dropped."""
        path = self.folder / _ENTRIES
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(path, len(whole))
        raw = whole.split(b"\n")[:-1]
        if not all(_sound(line) for line in raw):
            raise _damaged(path)
        lines = [_content(line) for line in raw]
        self._size = len(whole)
        if not lines:
            return
        if lines[0].get("format") != _FORMAT:
            raise StoreError(
                f"{path} was written by another release of wellai-exp; type wellai-exp sync with that one."
            )
        self.uri, self.created = str(lines[0]["uri"]), int(lines[0]["created"])
        self.entries = [self._entry(line, number, path) for number, line in enumerate(lines[1:], 1)]

    def _entry(self, line: Mapping[str, Any], number: int, path: Path) -> Entry:
        if line["number"] != number or line["op"] not in OPERATIONS:
            raise _damaged(path)
        file = self.folder / line["file"] if "file" in line else None
        return Entry(line["op"], line["data"], file, number)

    def remove(self) -> None:
        """Remove it with all that is in it, and let go of it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        # First what would be brought to the server once more if the rest stayed behind.
        (self.folder / _ENTRIES).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def release(self) -> None:
        """Let go of it and leave it where it is."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._lock.release()


def given_elsewhere(root: Path, key: str) -> Mapping[str, Any] | None:
    """Give what the server gave to an outbox that another process may hold; None where there is no such outbox."""
    if not re.fullmatch(r"[0-9a-f]{32}", key) or not (root / key / _ENTRIES).exists():
        return None
    return dict(_last_note(root / key)["given"])


def _last_note(folder: Path) -> Mapping[str, Any]:
    """Give the last whole line of ``done.jsonl``: one that was cut off only lets an entry be written once more."""
    path = folder / _DONE
    for line in reversed(path.read_bytes().split(b"\n") if path.exists() else []):
        if _sound(line):
            return _content(line)
    return {"number": 0, "given": {}}


def _hold(folder: Path) -> FileLock:
    from filelock import FileLock

    # Not bound to a thread: the run's own takes it, the courier's lets go of it.
    lock = FileLock(folder / _LOCK, thread_local=False)
    lock.acquire(timeout=0)
    return lock


def _line(content: Mapping[str, Any]) -> bytes:
    body = json.dumps(content, ensure_ascii=False)
    return f"{zlib.crc32(body.encode('utf-8', 'surrogatepass')):08x} {body}\n".encode("utf-8", "surrogatepass")


def _sound(line: bytes) -> bool:
    checksum, _, body = line.partition(b" ")
    return checksum == f"{zlib.crc32(body):08x}".encode()


def _content(line: bytes) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(line.partition(b" ")[2].decode("utf-8", "surrogatepass"))
    return content


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path} was changed after it was written, so it is not brought to the server; "
        f"restore it from a copy, or move {path.parent} away."
    )


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written ({error.strerror or error}), where what is logged is kept for the tracking server; "
        "free the disk or the folder and type the same command."
    )


def _sync_tree(path: Path) -> None:
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    for each in files:
        with each.open("rb") as handle:
            os.fsync(handle.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
