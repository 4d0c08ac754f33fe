"""How a run's entries get to MLflow: straight into a database, or over the disk to a server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wellai_exp.tracking._courier import Courier
from wellai_exp.tracking._entries import Entry, Writer
from wellai_exp.tracking._failures import short
from wellai_exp.tracking._outbox import Outbox
from wellai_exp.tracking._record import RunRecord

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Mail(Protocol):
    """Takes the entries of one run."""

    @property
    def given(self) -> Mapping[str, Any]:
        """What the entries gave."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def key(self) -> str | None:
        """What finds the run again at a server; None where an entry is never written twice."""

    @property
    def begun(self) -> bool:
        """Whether the run is there, or will be."""

    def filed(self, name: str, write: Callable[[Path], object]) -> AbstractContextManager[Path]:
        """Write a file that the next entry is about."""

    def write(self, op: str, data: Mapping[str, Any], file: Path | None = None) -> None:
        """Write an entry."""

    def know(self, record: RunRecord) -> None:
        """Say what is known of a run that goes on."""

    def close(self) -> None:
        """Say that nothing more will be written."""


class Direct:
    """Writes at once.

    Parameters
    ----------
    writer : Writer
        To a database on disk.
    """

    key: str | None = None

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.given: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.given["run"])

    @property
    def begun(self) -> bool:
        """Whether the run is there."""
        return "run" in self.given

    @contextmanager
    def filed(self, name: str, write: Callable[[Path], object]) -> Iterator[Path]:
        """Write a file that is gone after the block."""
        with tempfile.TemporaryDirectory(prefix="wellai-") as folder:
            write(Path(folder) / name)
            yield Path(folder) / name

    def write(self, op: str, data: Mapping[str, Any], file: Path | None = None) -> None:
        """Write an entry."""
        self.given.update(self._writer.write(Entry(op, data, file), self.given))

    def know(self, record: RunRecord) -> None:
        """Do nothing: the store is always there to be asked."""

    def close(self) -> None:
        """Do nothing: everything is written."""


class Posted:
    """Keeps every entry on disk first, and has the courier bring it to the server.

    Parameters
    ----------
    courier : Courier
        The server's.
    outbox : Outbox
        The run's own.
    """

    def __init__(self, courier: Courier, outbox: Outbox) -> None:
        self._courier = courier
        self._outbox = outbox
        self._closed = False
        self._known = RunRecord(outbox.key, "", "", "RUNNING", {}, {}, {})
        self.models: dict[str, tuple[Path, Mapping[str, str]]] = {}
        """The saved models and their pins, by the keys that were given out for them."""
        courier.mails[outbox.key] = self

    @property
    def given(self) -> dict[str, Any]:
        """What the server gave for the entries that it has."""
        return self._outbox.given

    @property
    def id(self) -> str:
        """The server's id of the run; until it gives one, the outbox's key stands for it."""
        return str(self.given.get("run", self._outbox.key))

    @property
    def key(self) -> str | None:
        """What finds the run again at the server."""
        return self._outbox.key

    @property
    def begun(self) -> bool:
        """Whether the run is there, or will be."""
        return "run" in self.given or self.left > 0

    @property
    def left(self) -> int:
        """How many entries the server does not have yet."""
        return len(self._outbox.pending)

    @property
    def problem(self) -> str:
        """Why the server will not have the next entry; empty where nothing speaks against it."""
        return self._outbox.problem

    def filed(self, name: str, write: Callable[[Path], object]) -> AbstractContextManager[Path]:
        """Write a file that stays until the server has it."""
        return self._outbox.filed(name, write)

    def write(self, op: str, data: Mapping[str, Any], file: Path | None = None) -> None:
        """Keep an entry and have it brought to the server; where that refuses it at once, it is let go.

        Raises
        ------
        StoreError
            Where the disk is full.
        MlflowException
            Where the server refuses the entry.
        """
        entry = self._outbox.append(op, data, file)
        self._note(op, data, file)
        try:
            self._courier.do(lambda again: self._bring(entry, again), self._refused)
        except Exception:
            self._outbox.acknowledge(entry, {})  # Whoever wrote it is told, so it is not sent again.
            raise
        if op == "version" and data["noted"] is not None and data["key"] in self.given:
            self._note("tags", {"tags": {data["noted"]: str(self.given[data["key"]])}}, None)

    def _refused(self, error: Exception) -> None:
        """Keep a refused entry of which nobody was told, and in its order all that follows."""
        self._outbox.problem = short(error)

    def know(self, record: RunRecord) -> None:
        """Say what is known of a run that goes on."""
        self._known = record

    def record(self) -> RunRecord:
        """Give what is known of the run without asking the server."""
        return replace(self._known, id=self.id)

    def _note(self, op: str, data: Mapping[str, Any], file: Path | None) -> None:
        known = self._known
        if op == "create":
            known = replace(known, experiment=data["experiment"], name=data["name"], tags=data["tags"])
        elif op == "tags":
            known = replace(known, tags={**known.tags, **data["tags"]})
        elif op == "params":
            known = replace(known, params={**data["values"], **known.params})
        elif op == "metrics":
            known = replace(known, metrics={**known.metrics, **{key: value for key, value, _, _ in data["points"]}})
        elif op == "end":
            known = replace(known, status=data["status"])
        elif op == "model" and file is not None:
            self.models[data["key"]] = (file, data["tags"])
        self._known = known

    def _bring(self, entry: Entry, again: bool) -> None:
        if self._outbox.problem:
            return
        given = self._courier.writer.write(entry, self.given, again=again)
        self._outbox.acknowledge(entry, given)
        if entry.op == "create":
            self._courier.learn({self._outbox.key: given["run"], given["run"]: given["run"]})
        elif entry.op == "model":
            self._courier.learn(given)

    def close(self) -> None:
        """Say that nothing more will be written; the outbox goes once the server has everything."""
        self._closed = True
        self._courier.do(lambda again: self._clear())

    def _clear(self) -> None:
        if self._closed and not self._outbox.pending and self._outbox.key in self._courier.mails:
            del self._courier.mails[self._outbox.key]
            self._outbox.remove()
