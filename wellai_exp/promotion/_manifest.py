"""Tests of the data that a model was trained and evaluated on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate

if TYPE_CHECKING:
    from wellai_exp import data


@dataclass(frozen=True)
class Manifest(Gate):
    """Every class has images to learn from and to be tested on, and nothing that was learnt is tested.

    Parameters
    ----------
    min_train, min_test : int
        The fewest images of each class in the training and in the test part.
    overlap : int
        How many test images may have a near-duplicate among the training images, and how many evaluated images may
        be training images. Splits of our own have none; official ones may.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "min_train": (1, math.inf),
        "min_test": (1, math.inf),
        "overlap": (0, math.inf),
    }

    min_train: int = 1
    min_test: int = 1
    overlap: int = 0

    def _judge(self, evidence: Evidence) -> Finding:
        manifest = evidence.manifest
        if manifest is None:
            return False, f"there is nothing to test: {evidence.manifest_problem or 'no manifest is kept'}", {}
        near, seen = int(manifest.leaked.sum()), _trained_on(manifest, evidence)
        counts = manifest.counts
        problems = [
            *_too_few(counts["train"], "train on", self.min_train),
            *_too_few(counts["test"], "be tested on", self.min_test),
        ]
        if strange := sorted(set(evidence.challenger.evaluation.class_names) ^ set(manifest.classes)):
            problems.append(f"the class {strange[0]!r} is not in both the model and its data")
        if near > self.overlap:
            problems.append(
                f"{near} of {len(manifest.test)} test images have near-duplicates among the training images"
            )
        if seen > self.overlap:
            evaluated = len(evidence.challenger.evaluation.labels)
            problems.append(f"{seen} of {evaluated} evaluated images are training images")
        figures = {
            "smallest_train": int(counts["train"].min()),
            "smallest_test": int(counts["test"].min()),
            "near_duplicates": near,
            "trained_on": seen,
        }
        fewest = f"{figures['smallest_train']} images to train on and {figures['smallest_test']} to be tested on"
        good = f"each of its {len(counts)} classes has at least {fewest}, kept apart"
        return not problems, "; ".join(problems) or good, figures


def _too_few(counts: pd.Series, what: str, least: int) -> list[str]:
    few = counts[counts < least]
    if few.empty:
        return []
    others = f" (and {len(few) - 1} other classes have too few)" if len(few) > 1 else ""
    return [f"the class {few.index[0]!r} has {few.iloc[0]} images to {what}, fewer than {least}{others}"]


def _trained_on(manifest: data.Manifest, evidence: Evidence) -> int:
    """Count the evaluated images whose content is that of a training image."""
    trained = set(manifest.frame["sha256"].iloc[manifest.train])
    return sum(sha256 in trained for sha256 in evidence.challenger.evaluation.sha256)
