"""Open the report of a model or a sweep, or copy it with its pictures."""

from __future__ import annotations

import re
import shutil
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.paths import ensure_dir
from wellai_exp.tracking import Registry, Tracker
from wellai_exp.verbs._evidence import REPORT
from wellai_exp.verbs._workbench import open_tracker

_REPORTED = ("sweep", "train", "evaluation")
_PICTURES = ("search/leaderboard.png", "test/pr_curves.png", "test/confusion_matrix.png")


def run(cfg: DictConfig) -> None:
    """Find the newest run that left a report, and open or copy it."""
    tracker, console = open_tracker(cfg), Console()
    run_id, page = _find(tracker, str(cfg.model))
    if cfg.out is not None:
        folder = ensure_dir(Path(str(cfg.out)), "out")
        copied = [Path(shutil.copy(file, folder)) for file in (page, *_pictures(tracker, run_id))]
        console.print(f"copied {', '.join(file.name for file in copied)} to {folder}", highlight=False)
        return
    opened = bool(cfg.browser) and webbrowser.open(page.absolute().as_uri())
    console.print(f"{'opened' if opened else 'the report is'} {page}", highlight=False, soft_wrap=True)


def _find(tracker: Tracker, name: str) -> tuple[str, Path]:
    """Give a run and its report.

    Raises
    ------
    WellaiError
        Where nothing of that name left one.
    """
    for run_id in _runs(tracker, name):
        try:
            return run_id, tracker.fetch(run_id, f"test/{REPORT}")
        except StoreError:
            continue
    raise WellaiError(f"model={name}: it left no report; type wellai-exp evaluate {name} experiment=NAME to make one.")


def _runs(tracker: Tracker, name: str) -> Iterator[str]:
    """Give the runs that may hold the report of what is named, the likeliest first."""
    if re.fullmatch(r"[0-9a-f]{32}", name):
        yield name
        return
    for experiment, title in tracker.experiments().items():
        if title == name:
            for kind in _REPORTED:
                found = tracker.within(experiment).find_run({"wellai.kind": kind}, "FINISHED")
                if found is not None:
                    yield found
            return
    ref = Registry(tracker.tracking).resolve(name)
    if ref.run_id is not None:
        yield ref.run_id
    for evaluated in tracker.evaluations_of(ref.sha256):
        yield evaluated.id


def _pictures(tracker: Tracker, run_id: str) -> Iterator[Path]:
    """Give the pictures that a run has of those that say most."""
    stages = tracker.get(run_id).params.get("stages", "").split(", ")
    for path in _PICTURES:
        for stage in reversed(stages):
            within = path.replace("search/", f"search/{stage}/") if stage else path
            try:
                yield tracker.fetch(run_id, within)
            except StoreError:
                continue
            break
