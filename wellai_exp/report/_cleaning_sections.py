"""What was done to a data set, as sections: figures, reasons, and the pictures themselves to judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.cleaning import CONVERTED, KEPT, OVERRIDE, SET_ASIDE, Alike, Decisions, Judged
from wellai_exp.evaluation import class_counts_figure, contact_sheet, sizes_figure
from wellai_exp.report._blocks import Block, Highlight, Highlights, Picture, Points, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = npt.NDArray[np.uint8]

COLUMNS = 8
"""Pictures in a row of a contact sheet."""
_SHOWN = 24
_BESIDE = 8
_GROUPS = 12
_LISTED = 100
_TILE = (1.1, 1.1)
_KEPT, _ASIDE = "#009E73", "#D55E00"


@dataclass(frozen=True, eq=False)
class CleaningFacts:
    """What the page shows.

    Parameters
    ----------
    decisions : Decisions
        Of n files.
    frame : DataFrame, n rows
        ``label``, ``width``, ``height`` (0 without a picture).
    thumbnails : callable
        Maps row indices to pictures, each uint8 [h, w, 3].
    left_out : sequence of str
        Sentences: which checks could not be asked, and why.
    embedding : Figure, optional
        The map of embeddings.
    embedding_note : str
        What its section says.
    """

    decisions: Decisions
    frame: pd.DataFrame
    thumbnails: Callable[[Sequence[int]], list[Image]]
    left_out: Sequence[str] = ()
    embedding: Figure | None = None
    embedding_note: str = ""


def cleaning_sections(facts: CleaningFacts) -> list[Section]:
    """Assemble the page: figures first, then each reason with pictures, then groups, classes, sizes, the map."""
    sections = [_summary(facts), _classes(facts)]
    for found in facts.decisions.judged:
        section = _groups(facts, found) if isinstance(found.check, Alike) else _check(facts, found)
        if section is not None:
            sections.append(section)
    sections.append(_unseen(facts))
    pictured = facts.frame[facts.frame["width"] > 0]
    kept = facts.decisions.usable[(facts.frame["width"] > 0).to_numpy()]
    parts = {"before": np.ones(len(pictured), bool), "after": kept}
    drawn = sizes_figure(pictured["width"].to_numpy(np.int64), pictured["height"].to_numpy(np.int64), parts)
    alt = "Histograms of the pictures' shorter side and of width over height, before and after"
    sections.append(Section("Sizes and shapes", [Picture(drawn, alt)]))
    if facts.embedding is not None:
        alt = "Each picture as a dot, near those that look alike; those set aside by their looks are coloured"
        sections.append(Section("Map of the pictures", [Picture(facts.embedding, alt)], facts.embedding_note))
    return sections


def _summary(facts: CleaningFacts) -> Section:
    table = facts.decisions.table
    verdicts = Counter(table["verdict"])
    usable = table[facts.decisions.usable]
    sizes = Counter(usable["label"])
    items = [
        Highlight("Files", f"{len(table):,}", f"in {table['label'].nunique()} classes"),
        Highlight("Kept", f"{verdicts[KEPT]:,}", "byte for byte"),
        Highlight("Converted", f"{verdicts[CONVERTED]:,}", "to upright RGB JPEG or PNG"),
        Highlight("Set aside", f"{verdicts[SET_ASIDE]:,}", "with a reason each"),
    ]
    if sizes:
        small, large = min(sizes.values()), max(sizes.values())
        items.append(Highlight("Class sizes", f"{small:,} to {large:,}", f"{large / small:.1f} to 1, after cleaning"))
    blocks: list[Block] = [Highlights(items)]
    rows = [_reason_row(facts, found) for found in facts.decisions.judged]
    own = int(((table["check"] == OVERRIDE) & (table["verdict"] == SET_ASIDE)).sum())
    if own:
        rows.append({"reason": "Your overrides", "check": OVERRIDE, "files": own, "threshold": np.nan})
    headings = {"reason": "Reason", "check": "Check", "files": "Files", "threshold": "Threshold"}
    blocks.append(Table(pd.DataFrame(rows), "What was set aside, by the first check that refused it.", headings))
    if facts.left_out:
        blocks.append(Points(facts.left_out))
    lead = "Every file has one verdict; decisions.csv beside this page holds them all. Nothing was changed in place."
    return Section("What was found", blocks, lead)


def _reason_row(facts: CleaningFacts, found: Judged) -> dict[str, object]:
    table = facts.decisions.table
    files = int((table["check"] == found.check.name).sum())
    return {"reason": found.check.title, "check": found.check.name, "files": files, "threshold": found.threshold}


def _classes(facts: CleaningFacts) -> Section:
    table = facts.decisions.table
    names = sorted(set(table["label"]))
    before, after = Counter(table["label"]), Counter(table["label"][facts.decisions.usable])
    aside = table[~facts.decisions.usable]
    reasons = aside.groupby("label")["check"].agg(lambda checks: _commonest(Counter(checks)))
    counts = pd.DataFrame(
        {
            "label": names,
            "before": [before[name] for name in names],
            "after": [after[name] for name in names],
            "reasons": [reasons.get(name, "") for name in names],
        }
    )
    figure = class_counts_figure(names, counts["before"].to_numpy(np.int64), counts["after"].to_numpy(np.int64))
    headings = {"label": "Class", "before": "Files before", "after": "After", "reasons": "Set aside most by"}
    return Section(
        "Classes",
        [
            Picture(figure, "Images of each class before and after cleaning"),
            Table(counts, "Files of each class before and after.", headings),
        ],
    )


def _commonest(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common(3))


def _check(facts: CleaningFacts, found: Judged) -> Section | None:
    """Show what a check set aside, and the pictures on both sides of its threshold."""
    table = facts.decisions.table
    rows = np.flatnonzero((table["check"] == found.check.name).to_numpy() & (facts.frame["width"] > 0).to_numpy())
    blocks: list[Block] = []
    if len(rows):
        order = rows[np.argsort(-np.abs(_from_threshold(found, rows)), kind="stable")]
        blocks.append(_sheet(facts, found, order[:_SHOWN], f"Set aside: {found.check.title.lower()}"))
    near = _nearest(found)
    if len(near):
        blocks.append(_sheet(facts, found, near, "Borderline: just beyond the threshold (red) and just within (green)"))
    if not blocks:
        return None
    which = "farthest from the threshold" if np.isfinite(found.threshold) else "first"
    cap = f" The {_SHOWN} {which} are shown." if len(rows) > _SHOWN else ""
    count = f"{len(rows):,} picture{'s' if len(rows) > 1 else ''} set aside." if len(rows) else "No picture set aside."
    limit = f" Threshold {found.threshold:g}." if np.isfinite(found.threshold) else ""
    return Section(found.check.title, blocks, f"{count}{limit}{cap}")


def _from_threshold(found: Judged, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.nan_to_num(found.values[rows] - found.threshold)


def _nearest(found: Judged) -> npt.NDArray[np.int64]:
    """Give the rows nearest to a threshold: some that were flagged, then some that were not."""
    measured = np.flatnonzero(np.isfinite(found.values))
    if not np.isfinite(found.threshold) or not len(measured):
        return np.zeros(0, np.int64)
    order = measured[np.argsort(np.abs(_from_threshold(found, measured)), kind="stable")]
    flagged = found.flagged[order]
    if len(np.unique(found.values[order[~flagged]])) < 2:
        # All pictures have one frame, say: none is nearer to the threshold than the others.
        return np.zeros(0, np.int64)
    return np.concatenate([order[flagged][:_BESIDE][::-1], order[~flagged][:_BESIDE]]).astype(np.int64)


def _sheet(facts: CleaningFacts, found: Judged, rows: npt.NDArray[np.int64], title: str) -> Picture:
    table = facts.decisions.table
    values = found.values[rows]
    captions = [
        f"{table['label'].iloc[row]}\n" + (f"{value:.3g}" if np.isfinite(value) else table["path"].iloc[row])
        for row, value in zip(rows, values, strict=True)
    ]
    frames = [_ASIDE if flagged else _KEPT for flagged in found.flagged[rows]]
    sheet = contact_sheet(
        facts.thumbnails(rows.tolist()), captions, title, COLUMNS, frames=frames, tile=_TILE, note=_note(found)
    )
    return Picture(sheet, f"{title}, {len(rows)} pictures", photograph=True)


def _note(found: Judged) -> str:
    return "below each: its class, and what was measured" if np.isfinite(found.threshold) else "below each: its class"


def _groups(facts: CleaningFacts, found: Judged) -> Section | None:
    """Show files that are copies of each other side by side, the most doubtful groups first."""
    table = facts.decisions.table
    aside = table[table["check"] == found.check.name]
    if aside.empty:
        return None
    groups = _connected(table, aside)
    worst = sorted(groups, key=lambda rows: (-np.nanmax(found.values[rows], initial=0.0), rows))[:_GROUPS]
    columns = 6
    pictures: list[Image | None] = []
    captions: list[str] = []
    frames: list[str] = []
    headings: list[str] = []
    for rows in worst:
        # The kept one first.
        shown = sorted(rows, key=lambda row: not facts.decisions.usable[row])[:columns]
        blank = columns - len(shown)
        pictures += [*facts.thumbnails(shown), *[None] * blank]
        captions += [*(_caption(facts, found, row) for row in shown), *[""] * blank]
        frames += [*(_KEPT if facts.decisions.usable[row] else _ASIDE for row in shown), *[""] * blank]
        headings.append(f"{len(rows)} files" + (f", {columns} shown" if len(rows) > columns else ""))
    note = "green: kept; red: set aside; below each its file, its class and the bits that its hash differs in"
    sheet = contact_sheet(
        pictures, captions, found.check.title, columns, headings=headings, frames=frames, tile=(1.35, 1.1), note=note
    )
    cap = f" The {_GROUPS} least alike of {len(groups):,} groups are shown." if len(groups) > _GROUPS else ""
    lead = f"{len(aside):,} files set aside; up to {found.threshold:g} bits of 255 are sure.{cap}"
    return Section(found.check.title, [Picture(sheet, f"{found.check.title}, side by side", photograph=True)], lead)


def _connected(table: pd.DataFrame, aside: pd.DataFrame) -> list[list[int]]:
    """Give the groups of rows that their twins tie together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = {path: row for row, path in enumerate(table["path"])}
    ends = [[place[path] for path in aside[column]] for column in ("path", "twin")]
    shape = (len(table), len(table))
    component = connected_components(coo_array((np.ones(len(aside), bool), ends), shape), directed=False)[1]
    tied = np.unique(np.concatenate(ends))
    groups: dict[int, list[int]] = {}
    for row in tied.tolist():
        groups.setdefault(int(component[row]), []).append(row)
    return list(groups.values())


def _caption(facts: CleaningFacts, found: Judged, row: int) -> str:
    entry = facts.decisions.table.iloc[row]
    bits = f", {found.values[row]:.0f} bits" if np.isfinite(found.values[row]) else ""
    return f"{entry['path']}\n{entry['label']}{bits}"


def _unseen(facts: CleaningFacts) -> Section:
    """List the files without a picture, and those that were converted."""
    table = facts.decisions.table
    unseen = table[(facts.frame["width"] == 0).to_numpy()]
    converted = table[table["verdict"] == CONVERTED]
    headings = {"path": "File", "label": "Class", "reason": "Why"}
    blocks: list[Block] = []
    for rows, caption in ((unseen, "Files without a picture."), (converted, "Files that are converted.")):
        if len(rows):
            cap = f" {_LISTED} of {len(rows):,} are listed." if len(rows) > _LISTED else ""
            blocks.append(Table(rows[list(headings)].head(_LISTED), caption + cap, headings))
    return Section("Files without a picture, and converted files", blocks or [Points(["There are none."])])
