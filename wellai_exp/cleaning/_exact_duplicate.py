"""Files of the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellai_exp.cleaning._alike import best_first
from wellai_exp.cleaning._check import Check, Finding, IntArray
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class ExactDuplicate(Check):
    """The same bytes lie elsewhere, too; the first by path is kept."""

    title: ClassVar[str] = "Exact copies"

    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        sha256 = evidence.frame["sha256"].to_numpy()
        kept: dict[str, int] = {}
        for row in best_first(evidence, rows):
            kept.setdefault(sha256[row], int(row))
        twins = {place: kept[sha256[row]] for place, row in enumerate(rows) if kept[sha256[row]] != row}
        flagged = np.zeros(len(rows), bool)
        flagged[list(twins)] = True
        reasons = {place: f"it has the bytes of {evidence.frame['path'].iloc[twin]}" for place, twin in twins.items()}
        return Finding(flagged, np.full(len(rows), np.nan), math.nan, reasons, twins)
