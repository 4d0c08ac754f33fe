"""One photograph under two labels: one of them is wrong, and nothing in the files says which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellai_exp.cleaning._alike import Alike, bits_between
from wellai_exp.cleaning._check import Finding, IntArray
from wellai_exp.cleaning._evidence import Evidence


@dataclass(frozen=True)
class TwoLabels(Alike):
    """The same photograph lies under several labels; all of its files are set aside.

    A file that the user keeps settles the matter: the others are then copies of it, and this check lets them go on to
    the checks of duplicates.
    """

    title: ClassVar[str] = "One photograph under two labels"

    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        groups, labels = self.groups(evidence, rows), evidence.frame["label"].to_numpy()[rows]
        values, twins, reasons = np.full(len(rows), np.nan), {}, {}
        order = np.argsort(groups, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
            if len(set(labels[members])) < 2 or evidence.pinned[rows[members]].any():
                continue
            for place in members:
                others = members[labels[members] != labels[place]]
                bits = [bits_between(evidence, rows[place], rows[other]) for other in others]
                nearest = int(np.argmin(bits))
                values[place], twins[int(place)] = bits[nearest], int(rows[others[nearest]])
                reasons[int(place)] = f"the same photograph is labelled {labels[others[nearest]]}, too"
        return Finding(np.isfinite(values), values, float(self.sure), reasons, twins)
