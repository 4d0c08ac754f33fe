"""What every contestant of the race is given, and how it says what it has."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]

SIZE = 224


@dataclass(frozen=True)
class Split:
    """Photographs of one part: pixels (n, 224, 224, 3) and class numbers (n,)."""

    images: Images
    labels: npt.NDArray[np.int64]


class Contest:
    """One contestant's data and its record.

    The clock runs from the start of its process, imports included, and stands while a model is judged.
    """

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("split", type=Path, help="the table of photographs")
        parser.add_argument("record", type=Path, help="where the record is written, a line a better model")
        parser.add_argument("began", type=float, help="when the process was started, seconds since 1970")
        parser.add_argument("--seconds", type=float, required=True, help="how long the clock runs")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--kind", default="")
        asked = parser.parse_args()
        self.record, self.began, self.seed, self.kind = asked.record, asked.began, asked.seed, asked.kind
        self.limit = asked.seconds
        with np.load(asked.split, allow_pickle=False) as table:
            self._paths, self._labels, self._part = (table[name] for name in ("paths", "labels", "part"))
        self.n_classes = int(self._labels.max()) + 1
        self._best = -np.inf
        self._judging = 0.0

    def read(self, part: str) -> Split:
        """Decode the photographs of ``train``, ``validation`` or ``test``, once, on all cores."""
        rows = np.flatnonzero(self._part == part)
        with ThreadPoolExecutor() as pool:
            images = np.stack(list(pool.map(_decoded, self._paths[rows])))
        return Split(images, self._labels[rows].astype(np.int64))

    def offer(self, validation: float, predict: Callable[[], Any], test: Split) -> None:
        """Record what a model scores on the test part, if on the validation part it is the best so far.

        Raises
        ------
        SystemExit
            Where the time is over.
        """
        now = time.time()
        seconds = now - self.began - self._judging
        if seconds > self.limit:
            raise SystemExit
        if not validation > self._best:
            return
        self._best = validation
        score = auc_pr_macro(test.labels, np.asarray(predict(), np.float64))
        line = {"seconds": seconds, "validation": float(validation), "test": score}
        self._judging += time.time() - now
        with self.record.open("a") as handle:
            handle.write(json.dumps(line) + "\n")


def auc_pr_macro(labels: npt.NDArray[np.int64], probabilities: Floats) -> float:
    """Judge: the mean over the classes of the average precision of each against all others."""
    from wellai_exp.metrics import average_precision

    return float(np.mean(average_precision(np.eye(probabilities.shape[1], dtype=bool)[labels], probabilities)))


def _decoded(path: str) -> Images:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, path
    small = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)
