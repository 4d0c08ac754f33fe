"""Two versions of data: what changed from one to the other, and which images of one have a twin in the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellai_exp.data import Difference, Manifest, twins_between
from wellai_exp.evaluation import twins_sheet
from wellai_exp.tracking import Run

_SHOWN = 15


def show_changes(console: Console, logged: Run, old: Manifest, new: Manifest) -> None:
    """Log and print what changed, image by image and class by class."""
    difference = Difference(old, new)
    logged.log_metrics({f"images/{change.replace(' ', '_')}": n for change, n in difference.counts.items()})
    logged.log_table(difference.rows, "changes.csv")
    logged.log_table(difference.classes, "classes.csv")
    table = Table(title=f"From {_called(old)} to {_called(new)}", title_justify="left")
    for heading in ("change", "images", "for example"):
        table.add_column(heading, justify="right" if heading == "images" else "left", overflow="fold")
    for change, images in difference.counts.items():
        rows = difference.rows[difference.rows["change"] == change]
        table.add_row(change, f"{images:,}", Text(_example(rows)))
    console.print(table)
    if difference.classes.empty:
        console.print("No class has gained, lost or exchanged images.")
        return
    classes = Table(title="Classes that changed", title_justify="left")
    for heading in ("class", "before", "after", "added", "removed", "came", "went"):
        classes.add_column(heading, justify="left" if heading == "class" else "right", overflow="fold")
    for row in difference.classes.itertuples(index=False):
        classes.add_row(Text(str(row[0])), *(f"{value:,}" for value in row[1:]))
    console.print(classes)


def show_twins(console: Console, logged: Run, one: Manifest, other: Manifest, *, threshold: int) -> None:
    """Log and print which images of one version have a near-duplicate in the other, by part."""
    found = twins_between(one, other, threshold)
    counts = Counter(zip(found["split"], found["split_twin"], strict=True))
    torn = int((found["label"] != found["label_twin"]).sum())
    leaked = counts["test", "train"]
    logged.log_metrics({"twins": len(found), "twins_of_other_label": torn, "leaked_images": leaked})
    logged.log_table(found, "twins.csv")
    shown = found.head(_SHOWN)
    sides = [_tiles(one, shown, ""), _tiles(other, shown, "_twin")]
    pairs = list(zip(*sides, strict=True))
    note = f"The first {len(pairs):,} of {len(found):,}."
    logged.log_figure(twins_sheet(pairs, "Images with a near-duplicate in the other version", note), "twins.png")
    title = f"Images of {_called(one)} with a near-duplicate in {_called(other)} (within {threshold} of 255 bits)"
    table = Table(title=title, title_justify="left")
    for heading in ("part", "images", "with a twin in its training part", "with a twin in its test part"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, images in (("train", len(one.train)), ("test", len(one.test))):
        table.add_row(part, f"{images:,}", *(f"{counts[part, twin]:,}" for twin in ("train", "test")))
    console.print(table)
    if torn:
        console.print(Text(f"{torn:,} of these pairs have two labels; twins.csv in the run lists them.", "yellow"))
    if leaked:
        console.print(
            Text(f"A model trained on {other.name} has as good as seen {leaked:,} of these test images.", "yellow")
        )


def _tiles(manifest: Manifest, rows: pd.DataFrame, ending: str) -> list[tuple[Path, str]]:
    columns = (rows[f"{name}{ending}"].tolist() for name in ("path", "label", "split"))
    return [
        (manifest.root / path, f"{label}\n{manifest.name}, {split}")
        for path, label, split in zip(*columns, strict=True)
    ]


def _called(manifest: Manifest) -> str:
    return f"{manifest.name} {manifest.digest[:8]}"


def _example(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    first = rows.iloc[0]
    path = first["path_new"] or first["path_old"]
    texts = [f"{first[f'{name}_old']} → {first[f'{name}_new']}" for name in ("label", "split") if _differs(first, name)]
    return f"{path} ({', '.join(texts)})" if texts else str(path)


def _differs(row: pd.Series, name: str) -> bool:
    old, new = row[f"{name}_old"], row[f"{name}_new"]
    return bool(old) and bool(new) and old != new
