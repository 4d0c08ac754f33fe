"""Files that show one photograph in several sizes, qualities or mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellai_exp.cleaning._alike import Alike, best_first, bits_between
from wellai_exp.cleaning._check import Finding, IntArray
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class NearDuplicate(Alike):
    """Another file shows the same photograph; of each group the largest is kept, of equal ones the first by path."""

    title: ClassVar[str] = "Near-duplicates"

    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        groups = self.groups(evidence, rows)
        place_of = {int(row): place for place, row in enumerate(rows)}
        best: dict[int, int] = {}
        for row in best_first(evidence, rows):
            best.setdefault(int(groups[place_of[int(row)]]), int(row))
        values, twins, reasons = np.full(len(rows), np.nan), {}, {}
        for place, row in enumerate(rows):
            twin = best[int(groups[place])]
            if twin != row:
                values[place], twins[place] = bits_between(evidence, int(row), twin), twin
                reasons[place] = f"it shows the photograph of {evidence.frame['path'].iloc[twin]}"
        return Finding(np.isfinite(values), values, float(self.sure), reasons, twins)
