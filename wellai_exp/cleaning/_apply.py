"""Write the clean copy: class folders of upright RGB JPEG and PNG files, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from wellai_exp.cleaning._decide import CONVERTED, KEPT
from wellai_exp.cleaning._files import Files
from wellai_exp.cleaning._isolated import Failure, Limits, isolated
from wellai_exp.data import decode
from wellai_exp.errors import DataError, SettingError, StoreError
from wellai_exp.paths import sha256_of

TABLE = "decisions.csv"
_PLAN = ".plan"
# These lose nothing as PNG, and as JPEG would; the others were compressed with loss before.
_LOSSLESS = frozenset({"PNG", "GIF", "BMP", "TIFF", "PPM"})
_QUALITY = 95
_ELSE = "the folder holds something else"
_ANEW = "set out to a new folder, or remove that one"


@dataclass(frozen=True)
class Job:
    """One file to write.

    Parameters
    ----------
    source : Path
        The original.
    target : str
        Below the copy's folder, with ``/``.
    sha256 : str
        Of the original.
    convert : bool
        Decode it and write it as RGB; else its bytes are copied.
    """

    source: Path
    target: str
    sha256: str
    convert: bool


def plan_copy(files: Files, table: pd.DataFrame, kinds: Sequence[str]) -> list[Job]:
    """Say which file goes where.

    A file keeps its name below its class folder; where two would have one name, the later by path gets the first
    eight digits of its hash after it.

    Parameters
    ----------
    files : Files
        The n originals.
    table : DataFrame, n rows
        `Decisions.table`.
    kinds : sequence of str, length n
        Pillow's name of each file's format.

    Raises
    ------
    DataError
        Where a label cannot be a folder's name.
    """
    jobs: list[Job] = []
    taken: set[str] = set()
    for row, (label, verdict, sha256) in enumerate(zip(table["label"], table["verdict"], table["sha256"], strict=True)):
        if verdict not in (KEPT, CONVERTED):
            continue
        _check_label(label)
        inner = PurePosixPath(files.names[row]).name
        stem, suffix = os.path.splitext(inner)  # noqa: PTH122 - a name like `x24. pose` has a suffix of its own
        if verdict == CONVERTED:
            suffix = ".png" if kinds[row] in _LOSSLESS else ".jpg"
        # A leading dot would hide it from whoever lists the copy.
        stem = stem.lstrip(".") or "image"
        target = f"{label}/{stem}{suffix}"
        if target.casefold() in taken:
            target = f"{label}/{stem}-{sha256[:8]}{suffix}"
        if target.casefold() in taken:
            target = f"{label}/{stem}-{sha256[:8]}-{row}{suffix}"
        taken.add(target.casefold())
        jobs.append(Job(files.paths[row], target, sha256, verdict == CONVERTED))
    return jobs


def write_copy(
    out: Path, jobs: Sequence[Job], table: pd.DataFrame, limits: Limits, advance: Callable[[], None] = lambda: None
) -> int:
    """Write the clean copy and its decisions table.

    It grows in a folder beside `out` and is renamed when it is whole, so `out` is never half a copy; what was finished
    of an interrupted one is taken over. Originals are only read.

    Parameters
    ----------
    out : Path
        New, empty, or a copy of the same decisions, which is then left as it is.
    jobs : sequence of Job
        From `plan_copy`.
    table : DataFrame
        Written beside the class folders.
    limits : Limits
        For each conversion.
    advance : callable
        Called after each file.

    Returns
    -------
    int
        How many files were written now.

    Raises
    ------
    SettingError
        Where `out` holds other things.
    DataError
        Where an original has changed since it was looked at, or cannot be converted.
    StoreError
        Where the copy cannot be written.
    """
    csv = table.to_csv(index=False)
    plan = hashlib.sha256(json.dumps([csv, [[job.target, job.convert] for job in jobs]]).encode()).hexdigest()
    if _is_copy(out, plan, jobs):
        return 0
    partial = out.with_name(f"{out.name}.partial")
    try:
        _begin(partial, plan)
        done = _copy_all(partial, jobs, limits, advance)
        _write_whole(partial / TABLE, csv.encode())
        if out.exists():
            out.rmdir()  # it is empty
        partial.replace(out)
    except OSError as error:
        raise StoreError(
            f"out={out} cannot be written ({error.strerror or error}); free the disk or choose another folder, "
            "and type the same command: it goes on from there."
        ) from error
    return done


def _check_label(label: str) -> None:
    if "/" in label or "\0" in label or label.startswith(".") or label in ("", TABLE):
        raise DataError(
            f"The class {label!r} cannot be a folder's name; give its files another label with overrides=FILE."
        )


def check_place(out: Path) -> None:
    """Refuse a folder where no copy can be written, before any file is read.

    Raises
    ------
    SettingError
        Where `out` is a file, or a folder of other things than a clean copy.
    """
    if out.exists() and not out.is_dir():
        raise SettingError("out", out, "this is a file", "set out to a new folder")
    if out.exists() and any(out.iterdir()) and not (out / _PLAN).is_file():
        raise SettingError("out", out, _ELSE, _ANEW)


def _is_copy(out: Path, plan: str, jobs: Sequence[Job]) -> bool:
    """Tell whether `out` is this very copy, and refuse a copy of other decisions."""
    check_place(out)
    if not out.exists() or not any(out.iterdir()):
        return False
    with suppress(OSError):
        if (out / _PLAN).read_text(encoding="utf-8") == plan and all((out / job.target).is_file() for job in jobs):
            return True
    raise SettingError("out", out, _ELSE, _ANEW)


def _begin(partial: Path, plan: str) -> None:
    """Go on with an interrupted copy of the same plan; start anew where it was of another."""
    marker = partial / _PLAN
    if partial.exists() and not (marker.is_file() and marker.read_text(encoding="utf-8") == plan):
        if any(partial.iterdir()) and not marker.is_file():
            raise SettingError("out", partial, "the folder is in the way", "remove it, or set out to another folder")
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    _write_whole(marker, plan.encode())


def _copy_all(partial: Path, jobs: Sequence[Job], limits: Limits, advance: Callable[[], None]) -> int:
    todo = []
    for job in jobs:
        target = partial / job.target
        if target.is_file() and (job.convert or sha256_of(target) == job.sha256):
            advance()
        else:
            todo.append(job)
    for folder in sorted({(partial / job.target).parent for job in todo}):
        folder.mkdir(parents=True, exist_ok=True)
    for job in todo:
        if job.convert:
            continue
        content = job.source.read_bytes()
        _unchanged(job, content)
        _write_whole(partial / job.target, content)
        advance()
    conversions = [job for job in todo if job.convert]
    for place, made in isolated(_converted, conversions, limits):
        job = conversions[place]
        if isinstance(made, Failure):
            raise DataError(f"{job.source} cannot be converted: {made.reason}; set it aside with overrides=FILE.")
        _write_whole(partial / job.target, made)
        advance()
    return len(todo)


def _unchanged(job: Job, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != job.sha256:
        raise DataError(f"{job.source} has changed since it was looked at; type the same command again.")


def _converted(job: Job) -> bytes:
    """Give the bytes of an upright RGB file; runs in a worker."""
    import cv2

    content = job.source.read_bytes()
    _unchanged(job, content)
    pixels = decode(content, str(job.source))[:, :, ::-1]
    suffix = PurePosixPath(job.target).suffix
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, pixels, settings)[1].tobytes())


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside and rename, without a sync for each file: the copy counts only once it is renamed as a whole."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)
