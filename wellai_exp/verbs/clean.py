"""Look at every file of a data set, set aside what is not fit to learn from, say why, and write a clean copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from wellai_exp.cleaning import (
    CONVERTED,
    KEPT,
    SET_ASIDE,
    Check,
    Decisions,
    Evidence,
    Files,
    Limits,
    Looks,
    LookStore,
    NoPerson,
    check_place,
    decide,
    plan_copy,
    read_overrides,
    write_copy,
)
from wellai_exp.config import build
from wellai_exp.data import ImageFolder, Source
from wellai_exp.errors import SettingError
from wellai_exp.models import PersonModel
from wellai_exp.paths import ensure_dir, write_whole
from wellai_exp.tracking import Tracker
from wellai_exp.verbs._cleaning_page import PAGE, cleaning_page
from wellai_exp.verbs._footprint import Footprint, footprint
from wellai_exp.verbs._picture_models import ModelSettings, PictureModels
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import Speaker
from wellai_exp.verbs._workbench import open_tracker

Pins = npt.NDArray[np.bool_]


def run(cfg: DictConfig) -> None:
    """Judge every file, write table and page, and where it is asked for the clean copy."""
    console = Console()
    with footprint() as cost:
        store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
        out = _out(cfg)
        limits: Limits = build(cfg, "limits")
        checks = checks_of(cfg)
        settings = ModelSettings.of(cfg)
        files = gather(build(cfg, "data"), cfg.also)
        overrides = {} if cfg.overrides is None else read_overrides(Path(str(cfg.overrides)), files)
        tracker = open_tracker(cfg)
        looks = LookStore(store / "cleaning").look_at(files, limits)
        labels = [
            overrides[row].label or label if row in overrides else label for row, label in enumerate(files.labels)
        ]
        frame = looks.frame.assign(path=files.names, label=labels)
        pinned = np.array([row in overrides and overrides[row].verdict == "keep" for row in range(len(files))])
        models = PictureModels(looks, labels, store, settings)
        evidence = gather_evidence(models, frame, pinned, checks)
        left_out = _left_out(checks, evidence)
        with Speaker(console).line("judging") as speaker:
            decisions = decide(evidence, checks, overrides, speaker.say)
            speaker.say("drawing the page")
            html = cleaning_page(str(cfg.name), decisions, frame, models, left_out)
        folder = _keep(store / "cleaning" / str(cfg.name), decisions, html)
        if out is not None:
            _apply(out, files, decisions, looks, limits, console)
    run_id = _log(tracker, cfg, folder, decisions, cost)
    _show(console, decisions, left_out)
    console.print(f"{len(files):,} files, {looks.taken:,} of them read now: {cost.sentence}", highlight=False)
    console.print(Text(f"{folder / PAGE} and {folder / 'decisions.csv'}; run {run_id}"), soft_wrap=True)
    if out is not None:
        console.print(Text(f"the clean copy is {out}; sweep it with data=folder data.root={out}"), soft_wrap=True)


def checks_of(cfg: DictConfig) -> list[Check]:
    """Make the checks that the config lists, in order, each named by its key."""
    names = [str(name) for name in OmegaConf.select(cfg, "cleaning") or ()]
    if not names:
        raise SettingError("cleaning", "[]", "nothing would be checked", "set cleaning=default")
    checks = [build(cfg, f"cleaning.{name}", name=name) for name in names]
    for check, name in zip(checks, names, strict=True):
        if not isinstance(check, Check):
            raise SettingError(f"cleaning.{name}", type(check).__name__, "it is no check", "choose one of cleaning=")
    return checks


def gather(source: Source, also: object) -> Files:
    """List the data and the folders beside them."""
    listings = [(source.root, source.listing())]
    for folder in also if isinstance(also, ListConfig) else [also]:
        root = Path(str(folder))
        if not root.is_dir():
            raise SettingError("also", root, "there is no such folder", "list folders that hold one folder a class")
        listings.append((root, ImageFolder(root).listing()))
    return Files.gather(listings)


def gather_evidence(models: PictureModels, frame: pd.DataFrame, pinned: Pins, checks: Sequence[Check]) -> Evidence:
    """Give what checks may ask: what was seen, and the models that answer where they can."""
    person = None
    for check in checks:
        if isinstance(check, NoPerson) and check.model is not None:
            path = Path(check.model)
            person = partial(models.person_scores, PersonModel(path, f"cleaning.{check.name}.model"), path)
    return Evidence(
        frame,
        models.looks.hashes,
        pinned,
        features=models.features if models.pretrained else None,
        probabilities=models.probabilities if models.pretrained else None,
        person_scores=person,
    )


def _left_out(checks: Sequence[Check], evidence: Evidence) -> list[str]:
    lacking = [check.name for check in checks if check.missing(evidence) and check.needs != "person_scores"]
    said = []
    if evidence.features is None:
        also = f"; {' and '.join(lacking)} are left out" if lacking else ""
        said.append(
            f"The backbone has no pretrained weights, so borderline duplicates are not confirmed{also}: choose one, "
            "e.g. backbone=mobilenet_v2."
        )
    said += [
        f"{check.name} is left out: cleaning.{check.name}.model names no TFLite model of a pose or person."
        for check in checks
        if check.missing(evidence) and check.needs == "person_scores"
    ]
    return said


def _out(cfg: DictConfig) -> Path | None:
    """Give the folder of the clean copy, where one is to be written."""
    if not isinstance(cfg.apply, bool):
        raise SettingError("apply", cfg.apply, "it must be true or false", "type --apply")
    if not cfg.apply:
        return None
    if cfg.out is None:
        raise SettingError("out", "null", "there is no place for the clean copy", "type --out FOLDER")
    out = Path(str(cfg.out)).absolute()
    check_place(out)
    return out


def _keep(folder: Path, decisions: Decisions, html: str) -> Path:
    """Write table and page to the store."""
    ensure_dir(folder, "paths.store")
    with write_whole(folder / "decisions.csv") as beside:
        decisions.table.to_csv(beside, index=False)
    with write_whole(folder / "decisions.parquet") as beside:
        decisions.measured.to_parquet(beside, index=False)
    with write_whole(folder / PAGE) as beside:
        beside.write_text(html, encoding="utf-8")
    return folder


def _apply(out: Path, files: Files, decisions: Decisions, looks: Looks, limits: Limits, console: Console) -> None:
    jobs = plan_copy(files, decisions.table, looks.frame["kind"].tolist())
    ensure_dir(out.parent, "out")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("writing the clean copy", total=len(jobs))
        write_copy(out, jobs, decisions.table, limits, lambda: progress.advance(task))


def _log(tracker: Tracker, cfg: DictConfig, folder: Path, decisions: Decisions, cost: Footprint) -> str:
    """Log counts, table and page as a run."""
    tags = {**provenance(int(cfg.seed)), "wellai.kind": "clean"}
    with tracker.run(f"clean {cfg.name}", tags=tags) as logged:
        counts = Counter(decisions.table["verdict"])
        metrics = {
            f"files/{verdict.replace(' ', '_')}": float(counts[verdict]) for verdict in (KEPT, CONVERTED, SET_ASIDE)
        }
        aside = decisions.table[~decisions.usable]
        metrics |= {f"set_aside/{name}": float(count) for name, count in Counter(aside["check"]).items()}
        logged.log_metrics(
            {**metrics, "seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds, "peak_mb": cost.peak_mb}
        )
        for name in ("decisions.csv", "decisions.parquet", PAGE):
            logged.log_file(folder / name)
        return logged.id


def _show(console: Console, decisions: Decisions, left_out: Sequence[str]) -> None:
    counts = Counter(decisions.table["verdict"])
    aside = decisions.table[~decisions.usable]
    table = Table(title="What was set aside", title_justify="left")
    for heading in ("check", "files", "why"):
        table.add_column(heading, justify="right" if heading == "files" else "left")
    for found in decisions.judged:
        files = int((aside["check"] == found.check.name).sum())
        if files:
            table.add_row(found.check.name, f"{files:,}", found.check.title.lower())
    console.print(table)
    for sentence in left_out:
        console.print(Text(sentence, style="yellow"))
    console.print(
        f"{counts[KEPT]:,} kept, {counts[CONVERTED]:,} converted, {counts[SET_ASIDE]:,} set aside", highlight=False
    )
