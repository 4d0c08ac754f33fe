"""Something to tell a collection to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hostile import MEGABYTES, Hostile

from wellai_exp.collecting import Limits, Record
from wellai_exp.data import Link


class Listener:
    """Remembers what it is told; may do something at each verdict."""

    def __init__(self, at_each: Callable[[Record], object] = lambda _: None) -> None:
        self.known: list[Record] = []
        self.told: list[Record] = []
        self._at_each = at_each

    def begin(self, links: Sequence[Link], known: Sequence[Record]) -> None:
        self.known = list(known)

    def finished(self, record: Record) -> None:
        self.told.append(record)
        self._at_each(record)


def limits_for(hostile: Hostile, **more: Any) -> Limits:
    """Give limits under which a test takes no longer than it must."""
    usual = {
        "per_host": 200,
        "concurrency": 200,
        "pause": 0,
        "tries": 2,
        "backoff": 0.01,
        "longest_wait": 5,
        "megabytes": MEGABYTES,
        "allow": [f"127.0.0.1:{hostile.port}", f"127.0.0.1:{hostile.closed}"],
    }
    return Limits(**{**usual, **more})


def photos(hostile: Hostile, count: int = 40) -> list[Link]:
    """Give the entries of the server's photographs, in four classes."""
    return [Link(f"{hostile.base}/photo/{number}", f"pose {number % 4}") for number in range(count)]
