"""A folder of class folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wellai_exp.data._base import Listing, Source, shown
from wellai_exp.errors import DataError

# Files that Windows hides by an attribute and not by a leading dot.
_HIDDEN = frozenset({"thumbs.db", "desktop.ini"})


def hidden(name: str) -> bool:
    """Tell whether a file browser would hide a file of that name."""
    return name.startswith(".") or name.lower() in _HIDDEN


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{shown(str(error.filename))} cannot be listed ({error.strerror}); let this user read it."
    ) from error


def _files(folder: Path) -> Iterator[Path]:
    """Walk a class folder, its subfolders too, in a fixed order."""
    for here, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not hidden(name))
        yield from (Path(here, name) for name in sorted(names) if not hidden(name))


@dataclass(frozen=True)
class ImageFolder(Source):
    """A folder that holds one folder a class; the folder's name is the label.

    Every file in a class folder counts, whatever its name ends with, and one that is no image is not passed over in
    silence (see `unreadable`). Hidden files, and files beside the class folders, belong to no class.

    Parameters
    ----------
    root : Path
        The folder of class folders.
    """

    def _list(self) -> Listing:
        return list_folder(self)


def list_folder(source: Source) -> Listing:
    """List a folder of class folders.

    Raises
    ------
    SettingError
        Where there is no such folder.
    DataError
        Where it holds no class folder, or an empty one.
    """
    root = source.root
    source._require_folder(root, "data.root", "set data.root to the folder that holds one folder a class")
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not hidden(path.name))
    except OSError as error:
        _refuse(error)
        raise
    if not folders:
        raise DataError(
            f"data.root={shown(str(root))} holds no class folder; "
            "put the photographs of each class in a folder named by the class."
        )
    paths: list[str] = []
    labels: list[str] = []
    for folder in folders:
        found = [path.relative_to(root).as_posix() for path in _files(folder)]
        if not found:
            raise DataError(f"The class folder {shown(str(folder))} is empty; remove it, or put photographs in it.")
        paths += found
        labels += [folder.name] * len(found)
    return Listing(tuple(paths), tuple(labels))
