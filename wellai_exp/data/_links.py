"""Sources whose photographs are listed as URLs, and the table of what was collected from them."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from wellai_exp.data._base import Source, shown
from wellai_exp.data._csv import read_csv
from wellai_exp.errors import DataError

COLLECTED = "collected.csv"
"""The table of what was collected, in a source's root."""

REPEATED = "the list repeats an earlier entry"
"""The problem of an entry that another one stands for."""

GOT = "got"
"""The verdict on a photograph that is there."""


@dataclass(frozen=True)
class Link:
    """One entry of a list of URLs, as it stands there.

    Parameters
    ----------
    url, label : str
        Where the photograph is, and the class that the list gives it.
    listed : str
        The name that the list gives it; empty where it gives none.
    split : str
        ``train``, ``test`` or nothing.
    problem : str
        Why nothing is asked for, in plain words; empty where nothing speaks against it.
    """

    url: str
    label: str
    listed: str = ""
    split: str = ""
    problem: str = ""

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits that name the photograph's file, whatever the list holds."""
        text = json.dumps([self.label, self.listed, self.url])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class LinkList:
    """The entries of a list of URLs, each once, and what was counted while it was read.

    Parameters
    ----------
    links : tuple of Link
        In the list's order.
    counts : mapping of str to int
        What the user should know of the list, by name.
    """

    links: tuple[Link, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkedSource(Source, ABC):
    """A source that is distributed as URLs; ``wellai-exp collect`` fetches them into its root."""

    @abstractmethod
    def links(self) -> LinkList:
        """Read the list of URLs, whether or not the photographs are there.

        Raises
        ------
        SettingError, DataError
            Where the list is missing or cannot be read.
        """

    def _collected(self) -> pd.DataFrame | None:
        """Give the rows of the photographs that were got, as text; None where nothing was ever collected."""
        path = self.root / COLLECTED
        if not path.is_file():
            return None
        frame = read_csv(path, "data.root")
        if lacking := {"path", "label", "listed", "url", "verdict"} - set(frame.columns):
            raise DataError(
                f"{shown(str(path))} has no column {min(lacking)!r}; type wellai-exp collect to write it anew."
            )
        return frame[frame["verdict"] == GOT]


def link_counts(links: list[Link]) -> dict[str, int]:
    """Count different URLs, and those that are listed under several labels: at most one of them is right."""
    labels: dict[str, set[str]] = {}
    for link in links:
        if link.url:
            labels.setdefault(link.url, set()).add(link.label)
    return {
        "different URLs": len(labels),
        "URLs under several labels": sum(len(found) > 1 for found in labels.values()),
    }
