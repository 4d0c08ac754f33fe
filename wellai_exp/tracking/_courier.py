"""Who brings what is logged to an MLflow server: at once while it answers, and from disk once it is back."""

from __future__ import annotations

import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.masking import masked
from wellai_exp.tracking._entries import KEY_TAG, Writer, now
from wellai_exp.tracking._failures import short, unreachable
from wellai_exp.tracking._outbox import Outbox, given_elsewhere

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from wellai_exp.tracking._posted import Posted
    from wellai_exp.tracking._store import Tracking

logger = logging.getLogger(__name__)
_T = TypeVar("_T")

PATIENCE = 6.0  # Seconds that all calls together wait for a server that has stopped answering.
LAST_CHANCE = 3.0  # Seconds for it to come back, once there is nothing left to do.
_KNOCK_SECONDS = 2.0
_INTERVALS = (0.0, 0.5, 1.0, 2.0, 4.0)  # Between two questions whether it is back; the last one from then on.


class NotYet(Exception):
    """Something that an entry refers to has not reached the server: another process has still to bring it there."""


class Errand(Generic[_T]):
    """Something to be done at the server.

    Parameters
    ----------
    work : callable
        Does it; gets whether an earlier attempt may have been heard.
    lasting : bool
        Whether it is to be done whenever the server is back; otherwise it fails where the server is away.
    unheard : callable
        Gets the error of a lasting errand for which nobody waits any more.
    """

    def __init__(
        self, work: Callable[[bool], _T], *, lasting: bool, unheard: Callable[[Exception], object] = lambda error: None
    ) -> None:
        self.work = work
        self.lasting = lasting
        self.unheard = unheard
        self.again = False
        self.over = False
        self.awaited = True
        self.result: _T | None = None
        self.error: Exception | None = None


class Courier:
    """Runs errands one after another in a thread of its own, so that whoever logs need never wait for long.

    Parameters
    ----------
    tracking : Tracking
        A server.
    """

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._errands: deque[Errand[Any]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._away = False
        self._hurry = False
        self._problem = ""
        self._known: dict[str, str] = {}
        self._begun = now()
        self.mails: dict[str, Posted] = {}
        """The runs that this process writes or has still to bring to the server, by key."""

    @property
    def root(self) -> Path:
        """The folder of the outboxes."""
        return outboxes_of(self._tracking)

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self._tracking.store

    @property
    def uri(self) -> str:
        """The server's address, without secrets."""
        return masked(self._tracking.resolved_uri)

    @property
    def problem(self) -> str:
        """Why the server counts as away; empty where it does not."""
        return self._problem if self._away else ""

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client of the server."""
        return self._tracking.client()

    def ask(self, work: Callable[[], _T]) -> _T:
        """Do something and give its result; where the server is away its error is raised soon."""
        if not self.mails:
            # Nothing is being trained meanwhile, so a slow server may take its time.
            return work()
        errand = Errand(lambda again: work(), lasting=False)
        self._run(errand)
        if errand.error is not None:
            raise errand.error
        if not errand.over:
            raise ConnectionError(self._problem)
        return errand.result  # type: ignore[return-value]

    def do(self, work: Callable[[bool], _T], unheard: Callable[[Exception], object] = lambda error: None) -> _T | None:
        """Do something, now or once the server is back; gives its result, or None where that is to come."""
        errand = Errand(work, lasting=True, unheard=unheard)
        self._run(errand)
        if errand.over and errand.error is not None:
            raise errand.error
        return errand.result

    @cached_property
    def writer(self) -> Writer:
        """What writes entries of this process and of those that have ended."""
        return Writer(self._tracking, self.client, self.real)

    def learn(self, given: Mapping[str, str]) -> None:
        """Remember the server's ids by those that were given out."""
        self._known.update(given)

    def real(self, key: str) -> str:
        """Give the server's id of a run for one that was given out while it was away; any other stays as it is.

        Raises
        ------
        NotYet
            Where the server has not got the run yet.
        WellaiError
            Where it never will.
        """
        if key not in self._known:
            mail = self.mails.get(key)
            if mail is not None and mail.problem:
                raise WellaiError(f"the run {key} was refused ({mail.problem})")
            given = mail.given if mail is not None else given_elsewhere(self.root, key)
            if given is not None and "run" not in given:
                raise NotYet(f"the run {key}, begun while the server was away, is not there yet")
            self._known[key] = self._searched(key) if given is None else str(given["run"])
        return self._known[key]

    def mail_of(self, run_id: str) -> Posted | None:
        """Give the run with this id or key, where this process writes it or has still to bring it to the server."""
        return next((mail for mail in list(self.mails.values()) if run_id in {mail.id, mail.key}), None)

    def model(self, name: str) -> tuple[Path, Mapping[str, str], str] | None:
        """Give the folder, the pins and the run of a model that still lies in an outbox, by its id or version."""
        for mail in list(self.mails.values()):
            for key, (folder, pins) in mail.models.items():
                if mail.given.get(name, name) in {key, mail.given.get(key)}:
                    return folder, pins, mail.id
        return None

    def _searched(self, key: str) -> str:
        everywhere = [each.experiment_id for each in self.client.search_experiments()]
        found = list(self.client.search_runs(everywhere, f"tags.`{KEY_TAG}` = '{key}'"))
        return str(found[0].info.run_id) if found else key

    def adopt(self) -> None:
        """Bring there what workers of this command that have ended, whichever way, left in their outboxes."""
        for outbox in self.orphans():
            try:
                self.bring(outbox, lambda: None)
            except Exception as error:
                if unreachable(error):
                    raise
                logger.warning("%s stays where it is: %s", outbox.folder, short(error))

    def orphans(self) -> Iterator[Outbox]:
        """Give the outboxes of this command that nobody holds any more, held; the caller lets go of them.

        What earlier commands left is not among them: it was brought there before this one began, or cannot be.
        """
        for folder in sorted(self.root.iterdir()) if self.root.is_dir() else []:
            try:
                outbox = None if folder.name in self.mails else Outbox.take(folder)
            except StoreError:
                continue  # `wellai-exp sync` says what is wrong with it.
            if outbox is None:
                continue
            if outbox.uri == self.uri and outbox.created >= self._begun:
                yield outbox
            else:
                outbox.release()

    def bring(self, outbox: Outbox, tell: Callable[[], object]) -> None:
        """Bring the entries of one outbox there, in their order, and remove it; `tell` is called after each."""
        try:
            for entry in outbox.pending:
                outbox.acknowledge(entry, self.writer.write(entry, outbox.given, again=True))
                tell()
        except BaseException:
            outbox.release()
            raise
        outbox.remove()

    def _run(self, errand: Errand[Any]) -> None:
        """Have an errand run, and wait for it as long as the server is not away."""
        with self._changed:
            if self._away and not errand.lasting:
                return
            self._errands.append(errand)
            self._start()
            self._changed.notify_all()
            try:
                if not self._away and not self._changed.wait_for(lambda: errand.over or self._away, PATIENCE):
                    self._went_away(f"it has not answered for {PATIENCE:.0f} seconds")
            finally:
                errand.awaited = errand.over
                if not errand.over and not errand.lasting and errand in self._errands:
                    self._errands.remove(errand)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="courier", daemon=True)
            self._thread.start()

    def _went_away(self, problem: str) -> None:
        """Note, with the lock held, that nobody is to wait any more."""
        if not self._away:
            logger.warning(
                "tracking.uri=%s: the server is away (%s); what is logged is kept in %s until it is back",
                self.uri,
                problem,
                self.root,
            )
        self._away, self._problem = True, problem
        self._changed.notify_all()

    def _serve(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._errands or self._away)
                errand = self._errands[0] if self._errands else None
            if failures or errand is None:
                self._pause(failures)
                if not self._answers():
                    failures += 1
                    continue
                with self._changed:
                    errand = self._errands[0] if self._errands else None
            failures = 0 if errand is None or self._attempt(errand) else failures + 1
            self._tidy()

    def _attempt(self, errand: Errand[Any]) -> bool:
        """Run an errand; gives whether the server answered."""
        error: Exception | None = None
        try:
            errand.result = errand.work(errand.again)
        except Exception as raised:
            error = raised
        away = error is not None and (isinstance(error, NotYet) or unreachable(error))
        with self._changed:
            if away and error is not None:
                self._went_away(short(error))
                errand.again = True
            if not (away and errand.lasting):
                errand.error, errand.over = error, True
                if errand in self._errands:
                    self._errands.remove(errand)
                if error is not None and not errand.awaited:
                    errand.unheard(error)
            self._changed.notify_all()
        return not away

    def _tidy(self) -> None:
        with self._changed:
            if self._away and not self._errands:
                self._away = False
                logger.warning(
                    "tracking.uri=%s: the server is back and has all that was kept for it",
                    self.uri,
                )
                self._changed.notify_all()

    def _pause(self, failures: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._hurry, _INTERVALS[min(failures, len(_INTERVALS) - 1)])
            self._hurry = False

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._tracking.resolved_uri}/health", timeout=_KNOCK_SECONDS):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500
        except (OSError, ValueError):
            return False

    def settle(self, tell: Callable[[int], object]) -> None:
        """Wait while what is left is being brought to the server.

        Parameters
        ----------
        tell : callable
            Gets how many entries are left.
        """
        # What workers of this command had still to say when they ended; each of them has a courier of its own.
        self._run(Errand(lambda again: self.adopt(), lasting=True))
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            left, until = len(self._errands), time.monotonic() + (LAST_CHANCE if self._away else PATIENCE)
            while self._errands and time.monotonic() < until:
                tell(len(self._errands))
                self._changed.wait(0.2)
                if len(self._errands) < left:
                    left, until = len(self._errands), time.monotonic() + PATIENCE


_couriers: dict[tuple[int, Path, str], Courier] = {}


def courier_of(tracking: Tracking) -> Courier:
    """Give this process's courier for a server."""
    # A forked process has none of its parent's threads.
    key = os.getpid(), tracking.store, tracking.resolved_uri
    if key not in _couriers:
        _couriers[key] = Courier(tracking)
    return _couriers[key]


def couriers() -> list[Courier]:
    """Give all couriers of this process."""
    return [courier for (process, _, _), courier in _couriers.items() if process == os.getpid()]


def outboxes_of(tracking: Tracking) -> Path:
    """Give the folder of a store's outboxes."""
    return tracking.store / "outbox"
