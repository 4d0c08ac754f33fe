"""Which files are cleaned together: one entry a file, whatever folder it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wellai_exp.data import Listing
from wellai_exp.errors import DataError


@dataclass(frozen=True)
class Files:
    """The n files to clean.

    Parameters
    ----------
    names : tuple of str
        What tables call each file: its path below its folder, with the folder's name before it where there are
        several folders. No two alike.
    labels : tuple of str
        The class of each.
    paths : tuple of Path
        Where it lies.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.labels) == len(self.paths):
            raise ValueError("Each file has a name, a label and a path.")
        if len(set(self.names)) < len(self.names):
            raise ValueError("No two files have one name.")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def gather(cls, listings: Sequence[tuple[Path, Listing]]) -> Files:
        """Put the files of some folders together; folders of one name get a number after it.

        Parameters
        ----------
        listings : sequence of (Path, Listing)
            Each folder and its files.

        Raises
        ------
        DataError
            Where a file is in two of the folders.
        """
        heads = _heads([root for root, _ in listings])
        names: list[str] = []
        labels: list[str] = []
        paths: list[Path] = []
        for head, (root, listing) in zip(heads, listings, strict=True):
            names += [head + path for path in listing.paths]
            labels += listing.labels
            paths += [root.absolute() / path for path in listing.paths]
        twice = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
        if twice:
            shown = str(twice[0]).encode("utf-8", "backslashreplace").decode()
            raise DataError(f"{shown} is listed twice; name each folder once, and none inside another.")
        return cls(tuple(names), tuple(labels), tuple(paths))


def _heads(roots: Sequence[Path]) -> list[str]:
    """Give what stands before each folder's paths: nothing for a single folder."""
    if len(roots) == 1:
        return [""]
    taken: list[str] = []
    for root in roots:
        plain = root.absolute().name or "root"
        name, times = plain, 2
        while name in taken:
            name, times = f"{plain}-{times}", times + 1
        taken.append(name)
    return [f"{name}/" for name in taken]
