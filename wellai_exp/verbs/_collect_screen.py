"""What the terminal shows of a collection: bars while it runs, a table of classes at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from wellai_exp.collecting import Record
from wellai_exp.data import Link
from wellai_exp.verbs._screen import SECONDS_BETWEEN_LINES

_VERDICTS = ("got", "dead", "refused")
SECONDS_BETWEEN_BARS = 0.1
_CLASSES_SHOWN = 6
_LONGEST_NAME = 40


def plain(label: str) -> str:
    """Give a label so that it fits a line of the terminal and cannot steer it."""
    if not label.strip():
        return "(no label)"
    text = "".join(letter if letter.isprintable() else "�" for letter in label)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


class CollectScreen:
    """A bar for all entries, and one for each of the classes that are under way.

    Where there is no terminal it prints a line now and then.

    Parameters
    ----------
    console : rich.console.Console
        Where it shows them.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[verdicts]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._all: TaskID | None = None
        self._classes: dict[str, TaskID] = {}
        self._verdicts: dict[str, Counter[str]] = {}
        self._total: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()
        # The classes with the newest verdicts, the newest last.
        self._recent: dict[str, None] = {}
        self._drawn = 0.0
        self._said = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[CollectScreen]:
        """Show the bars while the block runs."""
        with self._progress:
            try:
                yield self
            finally:
                self._recent.clear()
                self._draw()

    def begin(self, links: Sequence[Link], known: Sequence[Record]) -> None:
        """Count what is wanted, and what is known already."""
        self._all = self._progress.add_task("[bold]all classes", total=len(links), verdicts="")
        self._wanted.update(link.label for link in links)
        for record in known:
            self._count(record)
        self._draw()

    def finished(self, record: Record) -> None:
        """Count a verdict, and bring its class into view until it is complete."""
        self._count(record)
        self._recent.pop(record.label, None)
        self._recent[record.label] = None
        now = time.monotonic()
        # Often enough for an eye; thousands a second would cost more than the requests.
        if now - self._drawn >= SECONDS_BETWEEN_BARS:
            self._drawn = now
            self._draw()
        if not self._console.is_terminal and now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            self._console.print(
                f"{self._total.total():,} of {self._wanted.total():,}: {_in_words(self._total)}", highlight=False
            )

    def _count(self, record: Record) -> None:
        self._verdicts.setdefault(record.label, Counter())[record.verdict] += 1
        self._total[record.verdict] += 1

    def _draw(self) -> None:
        under_way = [label for label in self._recent if self._verdicts[label].total() < self._wanted[label]]
        shown = under_way[-_CLASSES_SHOWN:]
        self._recent = dict.fromkeys(shown)
        for label in [*self._classes]:
            if label not in shown:
                self._progress.remove_task(self._classes.pop(label))
        for label in shown:
            found = self._verdicts[label]
            if label not in self._classes:
                name, total = escape(plain(label)), self._wanted[label]
                self._classes[label] = self._progress.add_task(
                    name, total=total, completed=found.total(), verdicts=_in_words(found)
                )
            self._progress.update(self._classes[label], completed=found.total(), verdicts=_in_words(found))
        if self._all is not None:
            self._progress.update(self._all, completed=self._total.total(), verdicts=_in_words(self._total))


def _in_words(verdicts: Mapping[str, int]) -> str:
    return ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in _VERDICTS if verdicts.get(verdict))


def list_table(counts: Mapping[str, int]) -> Table:
    """Give what was counted while the list was read."""
    table = Table("", "", title="The list", title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    for name, count in counts.items():
        table.add_row(escape(name), f"{count:,}")
    return table


def classes_table(records: Sequence[Record]) -> Table:
    """Give for each class what was wanted, got, dead and refused, and the commonest reason of what was not got."""
    table = Table(title="Collected", title_justify="left", show_footer=True)
    verdicts: dict[str, Counter[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for record in records:
        verdicts.setdefault(record.label, Counter())[record.verdict] += 1
        if record.verdict != _VERDICTS[0]:
            reasons.setdefault(record.label, Counter())[record.reason] += 1
    total = Counter(record.verdict for record in records)
    table.add_column("class", "all", overflow="fold")
    for heading, footer in (("wanted", len(records)), *((verdict, total[verdict]) for verdict in _VERDICTS)):
        table.add_column(heading, f"{footer:,}", justify="right")
    table.add_column("why, most of all", _commonest(sum(reasons.values(), Counter())))
    for label, found in sorted(verdicts.items()):
        numbers = (f"{number:,}" for number in (found.total(), *(found[verdict] for verdict in _VERDICTS)))
        table.add_row(escape(plain(label)), *numbers, _commonest(reasons.get(label, Counter())))
    return table


def _commonest(reasons: Counter[str]) -> str:
    if not reasons:
        return ""
    # The first in the alphabet of equally common ones, so that the table does not depend on the order of answers.
    reason, count = min(reasons.items(), key=lambda each: (-each[1], each[0]))
    return escape(f"{reason} ({count:,})")
