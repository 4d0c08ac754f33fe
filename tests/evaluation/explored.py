"""Evaluations for the tests of the interactive figures."""

from __future__ import annotations

import numpy as np

from wellai_exp.evaluation import Evaluation

# Each would be read as something else than a name by HTML, by plotly's texts or by its templates.
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<b>a</b> & b",
    "%{x} $y$",
    "나무 자세",
    "a\nb",
    "1",
    "2",
    "100 %",
    "Ω'\"",
)


def explored(names: tuple[str, ...], rows: int = 300, missing: int = 0) -> Evaluation:
    """Give predictions that are mostly right, of classes with uneven support; the last `missing` have no row."""
    rng = np.random.default_rng(len(names))
    present = len(names) - missing
    labels = np.concatenate([np.arange(present), rng.choice(present, rows, p=_falling(present))])
    logits = rng.normal(size=(len(labels), len(names)))
    logits[np.arange(len(labels)), labels] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    halves = tuple("up" if place % 2 else "down" for place in range(len(names)))
    levels = {"level_1": halves} if len(names) > 2 else {}
    train = np.arange(len(names), 0, -1) * 7
    return Evaluation(labels, probabilities, names, levels=levels, train_support=train)


def numbered(count: int) -> tuple[str, ...]:
    """Give long names like those of Yoga-82."""
    return tuple(f"Upward_Bow_(Wheel)_Pose_number_{place}_or_Urdhva_Dhanurasana_" for place in range(count))


def _falling(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    shares = 1 / np.arange(1.0, count + 1)
    return np.asarray(shares / shares.sum())
