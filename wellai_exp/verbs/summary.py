"""Say what is in a data set, what changed between two versions of it, and which twins two versions share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellai_exp.config import build
from wellai_exp.data import Manifest, build_manifest, class_table, describe, keep_manifest, kept_manifest
from wellai_exp.errors import SettingError
from wellai_exp.evaluation import class_balance_figure, samples_sheet, sizes_figure, twins_sheet
from wellai_exp.paths import ensure_dir
from wellai_exp.report import DataFacts, Report, data_sections, render
from wellai_exp.seeding import generator
from wellai_exp.tracking import Run, Tracker
from wellai_exp.verbs._data_versions import show_changes, show_twins
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._workbench import log_data, open_tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "summary.html"
_GROUPS = 12
_WORDS = {
    "images": "images",
    "classes": "classes",
    "train": "to train on",
    "test": "to test",
    "largest_class": "largest class",
    "smallest_class": "smallest class",
    "imbalance_ratio": "largest over smallest",
    "effective_classes": "effective classes (exponential of the entropy)",
    "twins": "images with a near-duplicate",
    "twins_of_other_label": "of them with one under another label",
    "leaked_images": "test images with one in the training part",
    "shorter_side_median": "shorter side, median (px)",
    "aspect_median": "width over height, median",
    "megabytes": "megabytes",
}


def run(cfg: DictConfig) -> None:
    """Show and log what was asked for."""
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    for name in ("diff", "leaks"):
        if not isinstance(cfg[name], bool):
            raise SettingError(name, cfg[name], "it must be true or false", f"type --{name}")
    if cfg.diff and cfg.leaks:
        raise SettingError("leaks", "true", "one question at a time", "leave out --diff or --leaks")
    versions = [kept_manifest(store, str(text)) for text in cfg.manifests]
    wanted = 2 if cfg.diff or cfg.leaks else 1
    if len(versions) > wanted or (wanted == 2 and len(versions) < wanted):
        what = "--diff and --leaks compare two versions" if wanted == 2 else "one version is described"
        raise SettingError(
            "manifests", list(cfg.manifests), what, "type e.g. wellai-exp summary --diff OLD NEW, with digests or names"
        )
    if versions:
        # Beside whatever else is known of these data.
        cfg = DictConfig(OmegaConf.merge(cfg, {"name": versions[0].name}))
    tracker, console = open_tracker(cfg), Console()
    if wanted == 2:
        title = "difference" if cfg.diff else "leaks"
        with _run(cfg, tracker, f"{title} of {versions[0].name} and {versions[1].name}", "data_versions") as logged:
            if cfg.diff:
                show_changes(console, logged, *versions)
            else:
                show_twins(console, logged, *versions, threshold=build(cfg, "split").threshold)
    else:
        manifest = versions[0] if versions else build_manifest(build(cfg, "data"), build(cfg, "split"), store)
        manifest = keep_manifest(manifest, store)
        with _run(cfg, tracker, f"summary of {manifest.name}", "summary") as logged, console.status("drawing"):
            numbers, classes = describe(manifest), class_table(manifest)
            _log(logged, manifest, numbers, classes, int(cfg.seed))
        _show(console, manifest, numbers, classes)
    console.print(Text(f"run {logged.id}; look at it with wellai-exp ui"), soft_wrap=True)


def _run(cfg: DictConfig, tracker: Tracker, title: str, kind: str) -> AbstractContextManager[Run]:
    return tracker.run(title, tags={**provenance(int(cfg.seed)), "wellai.kind": kind})


def _log(logged: Run, manifest: Manifest, numbers: Mapping[str, float], classes: pd.DataFrame, seed: int) -> None:
    """Log numbers, tables, pictures and the page."""
    frame = manifest.frame
    log_data(logged, manifest, "summary")
    logged.log_metrics(numbers)
    logged.log_table(classes, "classes.csv")
    counts = manifest.counts
    pixels = frame["width"].to_numpy(np.int64), frame["height"].to_numpy(np.int64)
    test = (frame["split"] == "test").to_numpy()
    figures = {
        "class_balance": class_balance_figure(
            list(manifest.classes), counts["train"].to_numpy(np.int64), counts["test"].to_numpy(np.int64)
        ),
        "sizes": sizes_figure(*pixels, {"all": np.ones(len(frame), bool), "test": test}),
        "samples": _samples(manifest, classes, seed),
        "twins": _twins(manifest),
    }
    for name, figure in figures.items():
        logged.log_figure(figure, f"{name}.png")
    facts = DataFacts(
        manifest.name,
        manifest.digest,
        manifest.parent or "",
        str(manifest.root),
        numbers,
        classes,
        manifest.notes,
        balance=figures["class_balance"],
        sizes=figures["sizes"],
        samples=figures["samples"],
        twins=figures["twins"],
    )
    page = Report(manifest.name, f"Data version {manifest.digest[:8]}", data_sections(facts))
    logged.log_text(render(page), PAGE)


def _samples(manifest: Manifest, classes: pd.DataFrame, seed: int) -> Figure:
    """Draw one training photograph of each class, chosen by the seed, the largest class first."""
    rng = generator(seed, "samples")
    labels, train = manifest.frame["label"].to_numpy(), manifest.train
    rows = [int(rng.choice(train[labels[train] == label])) for label in classes["label"]]
    images = classes["train"] + classes["test"]
    captions = [f"{label}\n{count:,}" for label, count in zip(classes["label"], images, strict=True)]
    note = "Below each its class and the number of its images."
    return samples_sheet(manifest.files(rows), captions, "A photograph of each class", note)


def _twins(manifest: Manifest) -> Figure:
    """Draw the groups of near-duplicates that say most: those under two labels, those across parts, the largest."""
    grouped = manifest.frame.groupby("twin")
    facts = pd.DataFrame(
        {"images": grouped.size(), "labels": grouped["label"].nunique(), "parts": grouped["split"].nunique()}
    )
    facts = facts[facts["images"] > 1].sort_values(["labels", "parts", "images"], ascending=False, kind="stable")
    files, frame = manifest.files(), manifest.frame
    groups = [
        [(files[row], f"{frame['label'].iloc[row]}\n{frame['split'].iloc[row]}") for row in grouped.indices[twin]]
        for twin in facts.index[:_GROUPS]
    ]
    note = f"{min(_GROUPS, len(facts)):,} of {len(facts):,} groups: first those under two labels or in both parts."
    return twins_sheet(groups, "Near-duplicates", note)


def _show(console: Console, manifest: Manifest, numbers: Mapping[str, float], classes: pd.DataFrame) -> None:
    parent = f", after {manifest.parent[:8]}" if manifest.parent else ""
    table = Table(title=f"{manifest.name} {manifest.digest[:8]}{parent}", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    for name, words in _WORDS.items():
        value = numbers[name]
        table.add_row(words, f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}")
    console.print(table)
    listed = Table(title="Classes", title_justify="left")
    for heading in ("class", "training", "test", "near-duplicates", "px"):
        listed.add_column(heading, justify="left" if heading == "class" else "right", overflow="fold")
    for row in classes.itertuples():
        cells = (f"{row.train:,}", f"{row.test:,}", f"{row.twins:,}", f"{row.shorter_side:,.0f}")
        listed.add_row(Text(str(row.label)), *cells)
    console.print(listed)
    for note in manifest.notes:
        console.print(Text(note, style="yellow"))
