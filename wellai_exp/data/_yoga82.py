"""The Yoga-82 data set with its official lists."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wellai_exp.data._base import Listing, shown
from wellai_exp.data._links import LinkedSource, LinkList
from wellai_exp.data._yoga82_links import match_links, read_links
from wellai_exp.errors import DataError, SettingError

_LISTS = {"train": "yoga_train.txt", "test": "yoga_test.txt"}
_DEPTH = 3


@dataclass(frozen=True)
class Yoga82(LinkedSource):
    """Yoga-82 (Verma et al., CVPRW 2020, arXiv 2004.10362): 82 poses in a hierarchy of 6, 20 and 82 classes.

    The label is the name of the photograph's folder. The official split is kept. A photograph lies where
    ``wellai-exp collect`` has stored it, else where the lists name it. Photographs that are listed but not there (many
    links have died) are counted and said; it is an error only where none, or a whole class, is missing.

    Parameters
    ----------
    root : Path
        The folder that the photographs were collected in, or of class folders as the lists name them.
    lists : Path, optional
        The folder of ``yoga_train.txt``, ``yoga_test.txt`` and, to collect, ``yoga_dataset_links``; `root` where it is
        not given.
    levels : sequence of int
        The levels of the hierarchy whose ids become columns ``level_1``, ``level_2``, ``level_3``.
    """

    lists: Path | None = None
    levels: Sequence[int] = (1, 2, 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "lists", self.root if self.lists is None else Path(self.lists))
        object.__setattr__(self, "levels", tuple(self.levels))
        if not set(self.levels) <= set(range(1, _DEPTH + 1)) or len(set(self.levels)) < len(self.levels):
            raise SettingError(
                "data.levels", list(self.levels), "the levels are 1, 2 and 3, each once", "set data.levels=[1,2,3]"
            )

    def listed(self) -> Listing:
        """Read the official lists, whether or not the photographs are there.

        Raises
        ------
        SettingError
            Where a list is missing.
        DataError
            Where a line cannot be read.
        """
        paths: list[str] = []
        sides: list[str] = []
        ids: list[tuple[int, ...]] = []
        for side, name in _LISTS.items():
            for path, numbers in self._lines(name):
                paths.append(path)
                sides.append(side)
                ids.append(numbers)
        levels = {f"level_{level}": tuple(numbers[level - 1] for numbers in ids) for level in self.levels}
        labels = tuple(path.split("/", 1)[0] for path in paths)
        return Listing(tuple(paths), labels, levels, tuple(sides))

    def links(self) -> LinkList:
        """Read the lists of URLs and match them with the official rows.

        Raises
        ------
        SettingError
            Where a list is missing.
        DataError
            Where an official row cannot be read.
        """
        return match_links(self.listed(), read_links(Path(self.lists or self.root)))

    def _lines(self, name: str) -> list[tuple[str, tuple[int, ...]]]:
        lists = Path(self.lists or self.root)
        remedy = f"set data.lists to the folder of {' and '.join(_LISTS.values())}"
        self._require_folder(lists, "data.lists", remedy)
        if not (lists / name).is_file():
            raise SettingError("data.lists", shown(str(lists)), f"it holds no {name}", remedy)
        try:
            text = (lists / name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{shown(str(lists / name))} cannot be read ({error}); download it again.") from error
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            # From the right, because a folder's or a file's own name may hold commas.
            path, *numbers = line.rsplit(",", _DEPTH)
            if len(numbers) != _DEPTH or not all(cell.strip().isdecimal() for cell in numbers) or "/" not in path:
                raise DataError(
                    f"Line {number} of {shown(str(lists / name))} is not 'folder/file,level 1,level 2,level 3'; "
                    "download the list again."
                )
            rows.append((path, tuple(int(cell) for cell in numbers)))
        return rows

    def _list(self) -> Listing:
        listing = self.listed()
        self._require_folder(self.root, "data.root", "set data.root to the folder of the Yoga-82 photographs")
        collected = self._collected()
        if collected is not None:
            stored = dict(zip(collected["listed"], collected["path"], strict=True))
            listing = replace(listing, paths=tuple(stored.get(path, path) for path in listing.paths))
        here = [row for row, path in enumerate(listing.paths) if os.path.isfile(self.root / path)]  # noqa: PTH113
        found = listing.take(here)
        if not here:
            raise DataError(
                f"None of the {len(listing)} listed photographs lies in data.root={shown(str(self.root))}; "
                "set data.root to the folder that holds Akarna_Dhanurasana and the others."
            )
        whole = Counter(listing.labels)
        left = Counter(found.labels)
        gone = sorted(label for label in whole if not left[label])
        if gone:
            raise DataError(
                f"All {whole[gone[0]]} photographs of the class {shown(gone[0])!r} are missing from "
                f"data.root={shown(str(self.root))} ({len(gone)} such classes); download them, or list them no more."
            )
        missing = len(listing) - len(here)
        if not missing:
            return found
        worst = max(whole, key=lambda label: (whole[label] - left[label]) / whole[label])
        return found.noted(
            f"{missing} of the {len(listing)} listed photographs are missing, "
            f"most of all of {worst!r} ({left[worst]} of {whole[worst]} are there)."
        )
