"""What the user says of single files, against or beside the checks."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from wellai_exp.cleaning._files import Files
from wellai_exp.errors import DataError, SettingError

_VERDICTS = {"keep": "keep", "kept": "keep", "converted": "keep", "set_aside": "set_aside", "": ""}


@dataclass(frozen=True)
class Override:
    """What the user says of one file.

    Parameters
    ----------
    verdict : {"keep", "set_aside", ""}
        Keep it whatever the checks say, set it aside, or leave that to the checks.
    label : str
        Its class from now on; empty leaves it as it is.
    """

    verdict: Literal["keep", "set_aside", ""]
    label: str = ""


def read_overrides(path: Path, files: Files) -> Mapping[int, Override]:
    """Read a CSV of overrides.

    Parameters
    ----------
    path : Path
        UTF-8, with a header: ``path`` (as the decisions table has it, or the whole path), ``verdict`` (keep or
        set_aside; the table's own kept and converted count as keep; empty leaves it to the checks) and, if wanted,
        ``label``.
    files : Files
        What is cleaned.

    Returns
    -------
    mapping of int to Override
        By row.

    Raises
    ------
    SettingError
        Where there is no such file.
    DataError
        Where a line of it cannot be used.
    """
    rows = {name: row for row, name in enumerate(files.names)}
    rows |= {str(where): row for row, where in enumerate(files.paths)}
    found: dict[int, Override] = {}
    for number, line in _lines(path):
        name, verdict = (line.get("path") or "").strip(), (line.get("verdict") or "").strip()
        label = (line.get("label") or "").strip()
        where = f"line {number} of overrides={path}"
        if name not in rows:
            raise DataError(f"{where} names {name!r}, which is no file here; write the path as decisions.csv has it.")
        if verdict not in _VERDICTS:
            raise DataError(f"{where} has the verdict {verdict!r}; write keep or set_aside, or leave it empty.")
        if rows[name] in found:
            raise DataError(f"{where} names {name!r} a second time; leave one of the lines.")
        if not verdict and not label:
            raise DataError(f"{where} says nothing of {name!r}; give a verdict or a label.")
        kind = cast('Literal["keep", "set_aside", ""]', _VERDICTS[verdict])
        found[rows[name]] = Override(kind, label)
    return found


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            missing = {"path", "verdict"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"overrides={path} has no column {sorted(missing)[0]}; its first line is path,verdict,label."
                )
            yield from enumerate(reader, 2)
    except FileNotFoundError as error:
        raise SettingError("overrides", path, "there is no such file", "set overrides to a CSV file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"overrides={path} cannot be read ({error}); write it as CSV in UTF-8.") from error
