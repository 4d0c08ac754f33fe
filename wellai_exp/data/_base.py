"""What every kind of data source has in common: its settings, and the checks on what it lists."""

from __future__ import annotations

import os
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path, PurePosixPath

from wellai_exp.errors import DataError, SettingError

_SIDES = frozenset({"train", "test"})
_UNREADABLE = ("error", "skip")


def shown(text: str) -> str:
    """Give `text` so that any terminal can print it on one line: escapes for line ends and bytes that are not UTF-8."""
    safe = os.fsencode(text).decode("utf-8", "backslashreplace")
    return safe.replace("\n", "\\n").replace("\r", "\\r")


def is_utf8(text: str) -> bool:
    """Tell whether `text` can be written as UTF-8; a name of other bytes, as the file system gives it, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Listing:
    """The files of a source, one entry a file, before any of them is opened.

    Parameters
    ----------
    paths : tuple of str, length n
        Relative to the source's root, with ``/`` between folders.
    labels : tuple of str, length n
        The class names.
    levels : dict of str to tuple of int, each of length n
        Ids of the class's ancestors in a hierarchy, by column name ``level_1``, ``level_2``, ….
    sides : tuple of str, length n, optional
        ``train`` or ``test`` where the data come with an official split.
    notes : tuple of str
        What the user should know, one sentence each.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    levels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sides: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Sequence[int]) -> Listing:
        """Give the listing of some rows, in the order of `rows`."""
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            levels={name: tuple(ids[row] for row in rows) for name, ids in self.levels.items()},
            sides=None if self.sides is None else tuple(self.sides[row] for row in rows),
        )

    def noted(self, *notes: str) -> Listing:
        """Give the same listing with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True)
class Source(ABC):
    """A place where labelled photographs lie.

    A subclass only says what is there (`_list`); this class checks the settings and what was listed.

    Parameters
    ----------
    root : Path
        The folder that holds the photographs.
    name : str
        The data set's name in tables and in the tracking server; empty takes the folder's name.
    min_per_class : int
        Classes with fewer readable images are left out, and that is said.
    long_tail : float, optional
        Cut the training part to an exponential profile of class sizes with this head-to-tail ratio (Cui et al.,
        CVPR 2019, arXiv 1901.05555); the test part is never cut.
    unreadable : {"error", "skip"}
        What a file does that cannot be read as an image.

    Raises
    ------
    SettingError
        Where a setting cannot work.
    """

    root: Path
    _: KW_ONLY
    name: str = ""
    min_per_class: int = 1
    long_tail: float | None = None
    unreadable: str = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "name", self.name or self.root.name)
        if not is_utf8(self.name):
            raise SettingError("data.name", shown(self.name), "the name is not UTF-8", "set data.name to a plain name")
        if self.min_per_class < 1:
            raise SettingError(
                "data.min_per_class", self.min_per_class, "a class has at least 1 image", "set data.min_per_class=1"
            )
        # Written so that NaN fails too.
        if self.long_tail is not None and not 1 <= self.long_tail < float("inf"):
            raise SettingError(
                "data.long_tail",
                self.long_tail,
                "the ratio of the largest class to the smallest must be a finite number of at least 1",
                "set data.long_tail=20, or data.long_tail=null to cut nothing",
            )
        if self.unreadable not in _UNREADABLE:
            raise SettingError(
                "data.unreadable",
                self.unreadable,
                f"the choices are {' and '.join(_UNREADABLE)}",
                "set data.unreadable=error",
            )

    @abstractmethod
    def _list(self) -> Listing:
        """List every file with its label."""

    def listing(self) -> Listing:
        """List every file with its label, checked and sorted by path.

        Raises
        ------
        SettingError, DataError
            Where a folder, a file list or a label is missing or cannot be used.
        """
        listing = self._list()
        if not len(listing):
            raise DataError(f"{self.root} holds no photograph; set data.root to a folder that does.")
        self._check_labels(listing)
        self._check_paths(listing)
        self._check_sides(listing)
        check_two_classes(listing, self.root)
        ordered = listing.take(sorted(range(len(listing)), key=listing.paths.__getitem__))
        return ordered.noted(*_lookalikes(set(listing.labels)))

    def _check_labels(self, listing: Listing) -> None:
        for path, label in zip(listing.paths, listing.labels, strict=True):
            if not label.strip():
                raise DataError(f"{shown(path)} has an empty label; give it one, or take it off the list.")
            if not is_utf8(label):
                raise DataError(f"The class name {shown(label)} is not UTF-8; rename it.")

    def _check_paths(self, listing: Listing) -> None:
        twice = [path for path, count in Counter(listing.paths).items() if count > 1]
        if twice:
            raise DataError(
                f"{len(twice)} files are listed twice, the first is {shown(twice[0])}; list each file once."
            )
        for path in listing.paths:
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or ".." in parts:
                raise DataError(
                    f"{shown(path)} lies outside data.root={shown(str(self.root))}; "
                    "move the file below it, or set data.root to a folder that holds them all."
                )

    def _check_sides(self, listing: Listing) -> None:
        for path, side in zip(listing.paths, listing.sides or (), strict=listing.sides is not None):
            check_side(path, side)

    def _require_folder(self, path: Path, setting: str, remedy: str) -> None:
        if not path.is_dir():
            problem = "this is a file, not a folder" if path.exists() else "there is no such folder"
            raise SettingError(setting, shown(str(path)), problem, remedy)


def check_side(path: str, side: str) -> None:
    """Refuse a photograph that is listed for another part than train and test."""
    if side not in _SIDES:
        raise DataError(f"{shown(path)} is listed for the part {side!r}; write train or test.")


def check_two_classes(listing: Listing, root: Path) -> None:
    """Refuse a listing of one class, from which nothing can be told apart."""
    classes = sorted(set(listing.labels))
    if len(classes) < 2:
        raise DataError(
            f"{shown(str(root))} has only one class, {shown(classes[0])!r}; a classifier needs at least two."
            if classes
            else f"No class of {shown(str(root))} is left; lower data.min_per_class."
        )


def _lookalikes(classes: set[str]) -> list[str]:
    """Say which class names a reader could take for one another; they stay different classes."""
    alike: dict[str, list[str]] = {}
    for label in sorted(classes):
        alike.setdefault(unicodedata.normalize("NFC", label).casefold(), []).append(label)
    return [
        f"The classes {' and '.join(ascii(label) for label in labels)} differ only in case or in how their characters "
        "are composed, and are kept apart; rename one if they are the same."
        for labels in alike.values()
        if len(labels) > 1
    ]
