"""Photographs whose label is probably the mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from wellai_exp.cleaning._check import Check, Finding, IntArray
from wellai_exp.cleaning._evidence import Evidence
from wellai_exp.metrics import label_quality


@dataclass(frozen=True)
class Mislabelled(Check):
    """A classifier that has not seen the picture is sure of another class.

    Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021) as cleanlab has it: the candidates are those that
    fall off the diagonal of the confident joint, each class with a threshold of its own; of those, the ones whose
    quality (the normalised margin, 0 to 1: half of one plus the label's probability minus the greatest of the others')
    is low are set aside.

    Parameters
    ----------
    least : float
        Quality that a candidate's label must have, 0 to 1.
    """

    title: ClassVar[str] = "Probably mislabelled"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (0.0, 1.0)}
    needs: ClassVar[Literal["", "features", "probabilities", "person_scores"]] = "probabilities"

    least: float = 0.15

    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        if evidence.probabilities is None:
            raise ValueError("There are no probabilities.")
        classes, probabilities = evidence.probabilities(rows)
        judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
        place = {name: index for index, name in enumerate(classes)}
        given = evidence.frame["label"].to_numpy()[rows]
        values, candidates = np.full(len(rows), np.nan), np.zeros(len(rows), bool)
        likely = np.zeros(len(rows), np.int64)
        if len(judged):
            labels = np.array([place[label] for label in given[judged]], np.int64)
            found = label_quality(labels, probabilities[judged].astype(np.float64))
            values[judged], candidates[judged], likely[judged] = found
        flagged = candidates & (values < self.least)
        reasons = {}
        for index in np.flatnonzero(flagged):
            share = float(probabilities[index, likely[index]])
            reasons[int(index)] = f"a classifier that has not seen it is {share:.2f} sure of {classes[likely[index]]}"
        return Finding(flagged, values, self.least, reasons)
