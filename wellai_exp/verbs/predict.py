"""Name what is in photographs and videos, a line each, as they come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from wellai_exp import stopping
from wellai_exp.data import Picture, PictureReader, files_of, is_video
from wellai_exp.errors import DataError, SettingError
from wellai_exp.verbs._answers import Csv, JsonLines, Lines, Seen, Writer
from wellai_exp.verbs._listed import listed
from wellai_exp.verbs._numbers import real_number, whole_number
from wellai_exp.verbs._predictor import Predictor, opened_predictor

_STANDARD_INPUT = "-"
_CHUNK = 65_536
_FORMATS = (Lines.name, JsonLines.name, Csv.name)


def run(cfg: DictConfig) -> None:
    """Classify every picture that the setting `images` names."""
    names = [str(name) for name in listed(cfg.images)]
    if not names:
        raise SettingError(
            "images", "[]", "nothing is named to look at", f"type wellai-exp predict {cfg.model} FILE, FOLDER or -"
        )
    top = whole_number("top", cfg.top, "set top=3", least=1)
    batch_size = whole_number("batch_size", cfg.batch_size, "set batch_size=32", least=1)
    every = real_number("every", cfg.every, "set every=1")
    if every < 0:
        raise SettingError("every", cfg.every, "it must be at least 0", "set every=0 for each frame")
    kind = _format(cfg.format)
    with opened_predictor(cfg) as predictor:
        files = files_of(_names(names, b"\0" if cfg.zero_ended else b"\n"))
        reader = PictureReader(files, predictor.size, predictor.resize, batch_size=batch_size, every=every)
        console = Console()
        writer = _writer(kind, console, predictor, top)
        # In a terminal the lines scroll above the bar; elsewhere the bar keeps out of what a program reads.
        with _progress(console if kind == "table" and console.is_terminal else Console(stderr=True)) as progress:
            task = progress.add_task("pictures", total=_total(names))
            failed = total = 0
            for batch in reader:
                stopping.check()
                answers = _answers(batch, predictor, top)
                writer.write(answers)
                total += len(batch)
                failed += sum(not each.top for each in answers)
                progress.update(task, completed=total)
    if failed:
        raise DataError(f"{failed} of {total} pictures cannot be used; each is named above with the reason.")


def _names(names: list[str], end: bytes) -> Iterator[str]:
    """Give the names, those on standard input in the place of a dash."""
    for name in names:
        if name != _STANDARD_INPUT:
            yield name
            continue
        rest = b""
        while piece := cast(BufferedReader, sys.stdin.buffer).read1(_CHUNK):
            *whole, rest = (rest + piece).split(end)
            yield from (os.fsdecode(each) for each in whole if each)
        if rest:
            yield os.fsdecode(rest)


def _total(names: list[str]) -> int | None:
    """Count the pictures where that takes no look into folders, videos or standard input."""
    paths = [Path(name) for name in names]
    return (
        None if any(is_video(path) or path.is_dir() or str(path) == _STANDARD_INPUT for path in paths) else len(paths)
    )


def _format(value: object) -> str:
    if value is None:
        return Lines.name if sys.stdout.isatty() else JsonLines.name
    if value not in _FORMATS:
        raise SettingError("format", value, "there is no such format", f"set format to one of {', '.join(_FORMATS)}")
    return str(value)


def _writer(kind: str, console: Console, predictor: Predictor, top: int) -> Writer:
    if kind == Lines.name:
        return Lines(console, predictor.class_names)
    return Csv(min(top, len(predictor.class_names))) if kind == Csv.name else JsonLines()


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    )


def _answers(batch: list[Picture], predictor: Predictor, top: int) -> list[Seen]:
    """Classify what could be read of a batch, and leave the rest in its place."""
    images = [picture.image for picture in batch if picture.image is not None]
    found = iter(predictor.classify(np.stack(images)) if images else ())
    return [
        Seen(picture)
        if picture.image is None
        else Seen.of(picture, next(found), predictor.class_names, predictor.thresholds, top)
        for picture in batch
    ]
