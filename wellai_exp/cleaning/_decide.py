"""Ask every check in turn, and give each file exactly one verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.cleaning._check import Check, Finding
from wellai_exp.cleaning._evidence import Evidence
from wellai_exp.cleaning._overrides import Override

KEPT, CONVERTED, SET_ASIDE = "kept", "converted", "set aside"
OVERRIDE = "override"
"""What stands for the check where the user has decided."""

COLUMNS = ("path", "label", "verdict", "reason", "check", "value", "threshold", "twin", "sha256")
_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",)}


@dataclass(frozen=True, eq=False)
class Judged:
    """What one check found, in terms of all n files.

    Parameters
    ----------
    check : Check
        Which.
    values : array of float64, shape (n,)
        What it measured; NaN for files that it was not asked about.
    flagged : array of bool, shape (n,)
        What it would set aside, pinned files among them.
    threshold : float
        What values are held against; NaN where there is none.
    """

    check: Check
    values: npt.NDArray[np.float64]
    flagged: npt.NDArray[np.bool_]
    threshold: float


@dataclass(frozen=True, eq=False)
class Decisions:
    """One row a file.

    Parameters
    ----------
    table : DataFrame, n rows
        ``path``, ``label`` (after overrides), ``verdict`` (kept, converted or set aside), ``reason``, ``check``,
        ``value``, ``threshold``, ``twin`` (path of the file that it is a copy of), ``sha256``.
    judged : tuple of Judged
        Each check that was asked, in order.
    left_out : tuple of str
        Names of the checks that could not be asked.
    """

    table: pd.DataFrame
    judged: tuple[Judged, ...]
    left_out: tuple[str, ...]

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Which files are kept or converted, shape (n,)."""
        return (self.table["verdict"] != SET_ASIDE).to_numpy()

    @property
    def measured(self) -> pd.DataFrame:
        """The table, with a column ``value/NAME`` for what each check measured."""
        columns = {
            f"value/{found.check.name}": found.values for found in self.judged if np.isfinite(found.values).any()
        }
        return self.table.assign(**columns)


def decide(
    evidence: Evidence,
    checks: Sequence[Check],
    overrides: Mapping[int, Override],
    say: Callable[[str], None] = lambda _: None,
) -> Decisions:
    """Give each file one verdict.

    Overrides come first: a file that the user sets aside is no copy's twin, one that he keeps passes every check. Then
    each check judges the files that are left. What remains is kept as it is, or converted where it is no upright RGB
    JPEG or PNG of the right name.

    Parameters
    ----------
    evidence : Evidence
        All that is known of the n files; its labels and pins after overrides.
    checks : sequence of Check
        In order; one that needs what the evidence lacks is left out.
    overrides : mapping of int to Override
        By row.
    say : callable
        Told which check is asked.
    """
    n = len(evidence)
    table = _empty(evidence)
    alive = np.ones(n, bool)
    for row, override in overrides.items():
        if override.verdict == "set_aside":
            alive[row] = False
            _enter(table, row, SET_ASIDE, "you set it aside", OVERRIDE)
    judged: list[Judged] = []
    for check in checks:
        if check.missing(evidence):
            continue
        say(check.title.lower())
        judged.append(_ask(check, evidence, alive, table))
    pictured = (evidence.frame["width"] > 0).to_numpy()
    for row in np.flatnonzero(alive & ~pictured).tolist():
        # Also where the user keeps it or has taken the check out: there is nothing to keep.
        _enter(table, row, SET_ASIDE, str(evidence.frame["reason"].iloc[row]), str(evidence.frame["problem"].iloc[row]))
    for row in np.flatnonzero(alive & pictured).tolist():
        why = conversion(evidence.frame.iloc[row])
        pin = overrides[row].verdict == "keep" if row in overrides else False
        _enter(table, row, CONVERTED if why else KEPT, why, OVERRIDE if pin else "")
    left_out = tuple(check.name for check in checks if check.missing(evidence))
    return Decisions(pd.DataFrame(table), tuple(judged), left_out)


def conversion(facts: pd.Series) -> str:
    """Say why a file must be written anew to be an upright RGB JPEG or PNG of the right name; empty where it is one."""
    why = []
    if facts["kind"] not in _SUFFIXES:
        why.append(f"{facts['kind']} and not JPEG or PNG")
    if facts["mode"] != "RGB":
        why.append(f"its pixels are {facts['mode']} and not RGB")
    if facts["orientation"] in range(2, 9):
        why.append(f"it is turned by EXIF orientation {facts['orientation']}")
    suffix = PurePath(str(facts["path"])).suffix.lower()
    if facts["kind"] in _SUFFIXES and suffix not in _SUFFIXES[facts["kind"]]:
        why.append(f"{facts['kind']} named {suffix or 'without suffix'}")
    if facts["frames"] > 1:
        why.append("its first frame is taken")
    return "; ".join(why)


def _empty(evidence: Evidence) -> dict[str, list[object]]:
    n = len(evidence)
    table: dict[str, list[object]] = {name: [""] * n for name in COLUMNS}
    for name in ("path", "label", "sha256"):
        table[name] = evidence.frame[name].tolist()
    table["value"], table["threshold"] = [float("nan")] * n, [float("nan")] * n
    return table


def _enter(table: dict[str, list[object]], row: int, verdict: str, reason: str, check: str) -> None:
    table["verdict"][row], table["reason"][row], table["check"][row] = verdict, reason, check


def _ask(check: Check, evidence: Evidence, alive: npt.NDArray[np.bool_], table: dict[str, list[object]]) -> Judged:
    """Ask one check, enter what it sets aside, and take that out of `alive`."""
    asked = alive & (evidence.frame["width"] > 0).to_numpy() if check.pictures else alive
    rows = np.flatnonzero(asked).astype(np.int64)
    found: Finding = check.judge(evidence, rows)
    values, flagged = np.full(len(evidence), np.nan), np.zeros(len(evidence), bool)
    values[rows], flagged[rows] = found.values, found.flagged
    paths = evidence.frame["path"]
    for place in np.flatnonzero(found.flagged):
        row = int(rows[place])
        if evidence.pinned[row]:
            continue
        alive[row] = False
        _enter(table, row, SET_ASIDE, found.reasons[int(place)], check.name)
        table["value"][row], table["threshold"][row] = float(found.values[place]), found.threshold
        if int(place) in found.twins:
            table["twin"][row] = paths.iloc[found.twins[int(place)]]
    return Judged(check, values, flagged, found.threshold)
