"""Open the report of a model or a sweep, or copy it with its pictures."""

from __future__ import annotations

import json
import re
import shutil
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.export import BUNDLE_FILE
from wellai_exp.paths import ensure_dir
from wellai_exp.promotion import sources_of
from wellai_exp.tracking import Registry, Tracker
from wellai_exp.verbs._evidence import REPORT, REPORTED_TAG
from wellai_exp.verbs._export_card import CARD, PICTURE, export_path
from wellai_exp.verbs._workbench import open_tracker

_REPORTED = ("sweep", "train", "evaluation")
_PICTURES = ("search/leaderboard.png", "test/pr_curves.png", "test/confusion_matrix.png")


def run(cfg: DictConfig) -> None:
    """Find the newest run that left a report, and open or copy it."""
    tracker, console = open_tracker(cfg), Console()
    place, page = _find(tracker, str(cfg.model))
    exported = list(_exported(tracker, place))
    if cfg.out is not None:
        folder = ensure_dir(Path(str(cfg.out)), "out")
        copied = [Path(shutil.copy(file, folder)) for file in (page, *_pictures(tracker, place.run_id), *exported)]
        shown = ", ".join(file.name for file in copied)
        console.print(Text(f"copied {shown} to {folder}"), soft_wrap=True)
        return
    opened = bool(cfg.browser) and webbrowser.open(page.absolute().as_uri())
    console.print(Text(f"{'opened' if opened else 'the report is'} {page}"), soft_wrap=True)
    for card in exported[:1]:
        console.print(Text(f"what each exported form gives in its runtime is in {card}"), soft_wrap=True)


@dataclass(frozen=True)
class _Place:
    """Where a report may be.

    Parameters
    ----------
    run_id : str
        The run.
    part : str
        Folder of its artifacts.
    sha256 : str
        Of the model that it must be about; empty for any.
    """

    run_id: str
    part: str = "test"
    sha256: str = ""


def _find(tracker: Tracker, name: str) -> tuple[_Place, Path]:
    """Give where a report is, and the file.

    Raises
    ------
    WellaiError
        Where nothing of that name left one.
    """
    for place in _places(tracker, name):
        try:
            tagged = tracker.get(place.run_id).tags.get(f"{REPORTED_TAG}.{place.part}")
            if place.sha256 not in ("", tagged):
                continue
            return place, tracker.fetch(place.run_id, f"{place.part}/{REPORT}")
        except StoreError:
            continue
    raise WellaiError(f"model={name}: it left no report; type wellai-exp evaluate {name} experiment=NAME to make one.")


def _places(tracker: Tracker, name: str) -> Iterator[_Place]:
    """Give the places that may hold the report of what is named, the likeliest first."""
    if re.fullmatch(r"[0-9a-f]{32}", name):
        yield _Place(name)
        return
    for experiment, title in tracker.experiments().items():
        if title == name:
            for kind in _REPORTED:
                found = tracker.within(experiment).find_run({"wellai.kind": kind}, "FINISHED")
                if found is not None:
                    yield _Place(found)
            return
    ref = Registry(tracker.tracking).resolve(name)
    for source in sources_of(tracker, ref):
        yield _Place(source.run_id, source.part, ref.sha256)


def _exported(tracker: Tracker, place: _Place) -> Iterator[Path]:
    """Give the card and the picture of the model's export, where there is one: its forms, each run in its runtime."""
    part = export_path(place.part)
    try:
        file = tracker.fetch(place.run_id, f"{part}/{BUNDLE_FILE}")
    except StoreError:
        return
    try:
        model = json.loads(file.read_text(encoding="utf-8"))["model_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{file} was changed and names no model; type wellai-exp export again.") from error
    # A run that goes on makes other models than the one that was exported.
    if place.sha256 in ("", model):
        # The report can be read without them.
        with suppress(StoreError):
            yield from [tracker.fetch(place.run_id, f"{part}/{name}") for name in (CARD, PICTURE)]


def _pictures(tracker: Tracker, run_id: str) -> Iterator[Path]:
    """Give the pictures that a run has of those that say most."""
    record = tracker.get(run_id)
    stages = record.params.get("stages", "").split(", ")[::-1]
    winner = record.tags.get("wellai.winner", "").split(" ")[0]
    # The winner's own stage first, then the last ones.
    for path in _PICTURES:
        for stage in sorted(stages, key=lambda stage: stage != winner):
            within = path.replace("search/", f"search/{stage}/") if stage else path
            try:
                yield tracker.fetch(run_id, within)
            except StoreError:
                continue
            break
