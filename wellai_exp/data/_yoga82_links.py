"""Yoga-82's lists of URLs, a file a class, and how they fit its official rows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from wellai_exp.data._base import Listing, shown
from wellai_exp.data._links import REPEATED, Link, LinkList, link_counts
from wellai_exp.errors import DataError, SettingError

LINKS = "yoga_dataset_links"
"""The folder of the lists of URLs, beside the official lists."""

_MATCHED = "rows with a URL"
_SPELLED = "of these by the class's spelling alone"
_UNLISTED = "URLs without a row"
_REPEATED = "repeated entries"
_MALFORMED = "lines that cannot be read"


@dataclass(frozen=True)
class ListedUrl:
    """One line of a list of URLs; `name` and `url` are empty where it cannot be read.

    Parameters
    ----------
    file : str
        The list's name without its ending.
    line : int
        From 1.
    name, url : str
        What stands before and behind the tab.
    """

    file: str
    line: int
    name: str
    url: str


def read_links(lists: Path) -> list[ListedUrl]:
    """Read every line of the lists of URLs, ``Class/123.jpg<tab>URL``.

    Raises
    ------
    SettingError
        Where there are no such lists.
    DataError
        Where a list cannot be read.
    """
    folder = lists / LINKS
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    if not files:
        raise SettingError(
            "data.lists",
            shown(str(lists)),
            f"it holds no folder {LINKS} with a list of URLs for each class",
            "set data.lists to the folder of Yoga-82's official lists",
        )
    return [found for file in files for found in _lines(file)]


def _lines(file: Path) -> Iterable[ListedUrl]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(str(file))} cannot be read ({error.strerror}); download it again.") from error
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield ListedUrl(shown(file.stem), number, *_cells(line))


def _cells(line: bytes) -> tuple[str, str]:
    try:
        name, url = (cell.strip() for cell in line.decode().split("\t"))
    except ValueError:  # also of bytes that are not UTF-8
        return "", ""
    return (name, url) if name and url else ("", "")


def _spelling(label: str) -> str:
    """Reduce a class name to what all its spellings share: ``Sitting_pose_1_normal`` is ``Sitting pose 1 (normal)``."""
    return re.sub(r"[\W_]+", "_", label.casefold()).strip("_")


def match_links(official: Listing, found: list[ListedUrl]) -> LinkList:
    """Match lines of the lists of URLs with the official rows: by name, else by the class's spelling.

    Every line, and every row without a line, becomes one entry; what cannot be fetched says why.

    Parameters
    ----------
    official : Listing
        The official rows.
    found : list of ListedUrl
        The lines.

    Returns
    -------
    LinkList
        The official rows' links first, in the order of the lines.
    """
    names, links, counts = _Names(official), [], Counter[str]()
    taken: set[str] = set()
    for each in found:
        link, kind = names.entry(each, taken)
        links.append(link)
        counts[kind] += 1
        counts[_SPELLED] += kind == _MATCHED and link.listed != each.name
        taken.add(link.listed)
    lacking = [path for path in official.paths if path not in taken]
    links += [Link("", path.split("/", 1)[0], path, names.sides[path], "no URL is listed for it") for path in lacking]
    return LinkList(
        tuple(links),
        {
            "rows to train on": (official.sides or ()).count("train"),
            "rows to test on": (official.sides or ()).count("test"),
            **{f"classes at {name.replace('_', ' ')}": len(set(ids)) for name, ids in official.levels.items()},
            "lines of URLs": len(found),
            **{kind: counts[kind] for kind in (_MATCHED, _SPELLED, _UNLISTED, _REPEATED, _MALFORMED)},
            "rows without a URL": len(lacking),
            **link_counts(links),
        },
    )


class _Names:
    """Finds the official row that a name of another spelling means, where there is exactly one.

    Parameters
    ----------
    official : Listing
        The official rows.
    """

    def __init__(self, official: Listing) -> None:
        self.sides = dict(zip(official.paths, official.sides or (), strict=True))
        spelled: dict[str, set[str]] = defaultdict(set)
        for label in official.labels:
            spelled[_spelling(label)].add(label)
        self._labels = {spelling: min(labels) for spelling, labels in spelled.items() if len(labels) == 1}

    def entry(self, found: ListedUrl, taken: Container[str]) -> tuple[Link, str]:
        """Give what a line of a list of URLs comes to, and what it counts as; `taken` rows have their URL."""
        if not found.name:
            where = f"{found.file}.txt:{found.line}"
            return Link("", self._label(found.file), where, problem="its line is not NAME<tab>URL in UTF-8"), _MALFORMED
        folder, _, file = found.name.partition("/")
        label = self._label(folder or found.file)
        row = found.name if found.name in self.sides else f"{label}/{file}"
        if row not in self.sides:
            return Link(found.url, label, found.name, problem="the official lists have no such row"), _UNLISTED
        link = Link(found.url, row.split("/", 1)[0], row, self.sides[row], REPEATED if row in taken else "")
        return link, _REPEATED if row in taken else _MATCHED

    def _label(self, text: str) -> str:
        """Give the official class that `text` spells, else `text`."""
        return self._labels.get(_spelling(text), text)
