"""What outboxes still hold is brought to its server: at the end of a command, before the next one, or when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.masking import masked
from wellai_exp.tracking._courier import Courier, NotYet, couriers, outboxes_of
from wellai_exp.tracking._failures import short, unreachable
from wellai_exp.tracking._outbox import Outbox

if TYPE_CHECKING:
    from wellai_exp.tracking._store import Tracking

Tell = Callable[[int, int], object]


@dataclass
class Delivery:
    """What came of bringing outboxes to their servers.

    Attributes
    ----------
    entries, runs : int
        How many entries of how many runs were brought.
    busy : int
        Runs that a command at work writes, or waits to bring there by itself.
    elsewhere : int
        Runs that are meant for other servers.
    left : list of str
        A sentence for each run of which something stays, saying why.
    """

    entries: int = 0
    runs: int = 0
    busy: int = 0
    elsewhere: int = 0
    left: list[str] = field(default_factory=list)


def sync(tracking: Tracking, tell: Tell) -> Delivery:
    """Bring to their servers what commands that have ended left in a store's outboxes.

    Parameters
    ----------
    tracking : Tracking
        The store. Where it names a server, only what is meant for that one is brought there.
    tell : callable
        Gets how many entries were brought, of how many.

    Returns
    -------
    Delivery
        What came of it.
    """
    from mlflow.exceptions import MlflowException

    done = Delivery()
    with _taken(tracking, done) as outboxes:
        total = sum(len(outbox.pending) for outbox in outboxes)
        away: dict[str, str] = {}

        def told() -> None:
            done.entries += 1
            tell(done.entries, total)

        for outbox in outboxes:
            before = done.entries
            try:
                if "***" in outbox.uri and not tracking.is_server:
                    raise WellaiError("its password is not kept; type wellai-exp sync tracking.uri=ADDRESS")
                if outbox.uri in away:
                    raise ConnectionError(away[outbox.uri])
                there = tracking if tracking.is_server else replace(tracking, uri=outbox.uri)
                Courier(there).bring(outbox, told)
            except (MlflowException, OSError, WellaiError, NotYet) as error:
                if unreachable(error):
                    away[outbox.uri] = short(error)
                done.left.append(f"{outbox.folder} ({len(outbox.pending)} entries for {outbox.uri}): {short(error)}")
            done.runs += done.entries > before
    return done


class _Taken(list[Outbox]):
    """Outboxes that this process holds until the end of the block."""

    def __enter__(self) -> _Taken:
        return self

    def __exit__(self, *_: object) -> None:
        for outbox in self:
            outbox.release()


def _taken(tracking: Tracking, done: Delivery) -> _Taken:
    """Take the outboxes that nobody is at work on, oldest first: a parent comes before its children."""
    wanted = masked(tracking.resolved_uri) if tracking.is_server else None
    taken = _Taken()
    for folder in _folders(outboxes_of(tracking)):
        try:
            outbox = Outbox.take(folder)
        except StoreError as error:
            done.left.append(str(error))
            continue
        if outbox is None:
            done.busy += folder.exists()
        elif wanted not in {None, outbox.uri}:
            done.elsewhere += 1
            outbox.release()
        else:
            taken.append(outbox)
    taken.sort(key=lambda outbox: outbox.created)
    return taken


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from sorted(each for each in root.iterdir() if each.is_dir())


def settle(tell: Callable[[int], object]) -> None:
    """Wait while what this process has logged is being brought to its servers.

    Parameters
    ----------
    tell : callable
        Gets how many entries are left, a few times a second.

    Raises
    ------
    StoreError
        Where something stays on disk, because its server is away or refuses it.
    """
    for courier in couriers():
        courier.settle(tell)
        left = [(mail.left, mail.problem) for mail in list(courier.mails.values()) if mail.left]
        for outbox in courier.orphans():
            left.append((len(outbox.pending), ""))
            outbox.release()
        if not left:
            continue
        entries = sum(number for number, _ in left)
        refused = next((problem for _, problem in left if problem), "")
        why = f"the server refuses some of it ({refused})" if refused else f"the server is away ({courier.problem})"
        store = "" if courier.store.name == "mlruns" else f" paths.store={courier.store}"
        raise StoreError(
            f"tracking.uri={courier.uri}: {why}; everything was done, and {entries} entries of {len(left)} runs that "
            f"it has not got are kept in {courier.root}. Start the server and type `wellai-exp sync{store}`; "
            "what was to be registered is registered then."
        )
