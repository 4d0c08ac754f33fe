"""A CSV table of labels and URLs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from wellai_exp.data._base import Listing, check_side, shown
from wellai_exp.data._csv import column, read_csv
from wellai_exp.data._links import COLLECTED, REPEATED, Link, LinkedSource, LinkList, link_counts
from wellai_exp.errors import DataError


@dataclass(frozen=True)
class LinkTable(LinkedSource):
    """A CSV table (UTF-8, a header, one row a photograph) of labels and URLs.

    ``wellai-exp collect`` fetches the photographs; after that the source is what was collected. Rows that were not got
    are counted and said.

    Parameters
    ----------
    root : Path
        The folder that the photographs are collected in.
    table : Path
        The CSV file.
    url_column, label_column : str
        The columns of the URLs and of the labels.
    split_column : str, optional
        A column of ``train`` and ``test``, where the data come with an official split.
    """

    table: Path
    url_column: str = "url"
    label_column: str = "label"
    split_column: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "table", Path(self.table))

    def links(self) -> LinkList:
        """Read the table, whether or not the photographs are there.

        A row without URL or label, and one that repeats an earlier row, keeps its place with the reason why nothing
        is asked for.

        Raises
        ------
        SettingError, DataError
            Where the table or one of its columns is missing or cannot be read.
        """
        frame = read_csv(self.table, "data.table")
        urls = column(frame, self.table, "data.url_column", self.url_column)
        labels = column(frame, self.table, "data.label_column", self.label_column)
        sides = ("",) * len(urls)
        if self.split_column is not None:
            sides = column(frame, self.table, "data.split_column", self.split_column)
        links: list[Link] = []
        seen: set[tuple[str, str]] = set()
        for url, label, split in zip(urls, labels, sides, strict=True):
            if self.split_column is not None:
                check_side(url, split)
            problem = _problem(url, label)
            if not problem and (url.strip(), label) in seen:
                problem = REPEATED
            seen.add((url.strip(), label))
            links.append(Link(url.strip(), label, split=split, problem=problem))
        problems = Counter(link.problem for link in links if link.problem)
        return LinkList(tuple(links), {"rows": len(links), **problems, **link_counts(links)})

    def _list(self) -> Listing:
        self._require_folder(self.root, "data.root", "set data.root to the folder that wellai-exp collect filled")
        collected = self._collected()
        if collected is None:
            raise DataError(
                f"data.root={shown(str(self.root))} holds no {COLLECTED}; "
                "type wellai-exp collect with the same data=, data.root= and data.table= first."
            )
        stored = {
            (url, label): path
            for url, label, path in zip(collected["url"], collected["label"], collected["path"], strict=True)
        }
        links = [link for link in self.links().links if not link.problem]
        here = [link for link in links if (link.url, link.label) in stored]
        listing = Listing(
            tuple(stored[link.url, link.label] for link in here),
            tuple(link.label for link in here),
            sides=None if self.split_column is None else tuple(link.split for link in here),
        )
        missing = len(links) - len(here)
        if not missing:
            return listing
        return listing.noted(f"{missing} of the {len(links)} listed photographs were not collected.")


def _problem(url: str, label: str) -> str:
    if not label.strip():
        return "it has no label"
    return "" if url.strip() else "it has no URL"
