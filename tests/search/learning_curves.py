"""Fine-tuning without a network: curves that rise, saturate, cross and are noisy, and cost one count an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wellai_exp.search import Choice, Distribution, Interval, Proposal, Report, Space
from wellai_exp.seeding import generator

# Backbone -> what it can reach, and its milliseconds an image: each slower one is better.
BACKBONES = {"tiny": (0.74, 4.0), "small": (0.80, 8.0), "medium": (0.84, 15.0), "large": (0.86, 31.0)}
STRATEGIES = {"none": 0.0, "class_weight": 0.012, "oversampling": 0.006, "balanced_softmax": 0.018}
NOISE = 0.006
# As measured on a fine-tuned MobileNet: accuracy 0.755, 0.895, 0.932, 0.951, 0.952 after 0, 4, 8, 12, 16 epochs. The
# probe's head starts it about 0.2 below where it ends, and the gap closes with a time of about 3 epochs.
HEAD_START_GAP = 0.2


def nothing(_group: str, _option: str) -> Mapping[str, Distribution]:
    return {}


def space() -> Space:
    dimensions: dict[str, Distribution] = {
        "backbone": Choice(tuple(BACKBONES)),
        "imbalance": Choice(tuple(STRATEGIES)),
        "learning_rate": Interval(1e-4, 1e-2, log=True),
        "dropout": Interval(0.0, 0.6),
    }
    return Space(dimensions, nothing, {"backbone": "tiny", "imbalance": "none"})


@dataclass
class Trainer:
    """Trains configurations and counts epochs; the last epoch's accuracy is a trial's."""

    epochs: int = 12
    spent: int = 0
    truth: dict[int, float] = field(default_factory=dict)

    def __call__(self, proposal: Proposal, report: Report) -> dict[str, float]:
        chosen: dict[str, Any] = dict(override.split("=") for override in proposal.overrides)
        reach, latency = BACKBONES[chosen["backbone"]]
        decades = np.log10(float(chosen["learning_rate"])) + 3
        dropout = float(chosen["dropout"])
        # Too fast costs accuracy, too slow costs time, and what regularises helps late but hurts early.
        final = reach + STRATEGIES[chosen["imbalance"]] - 0.03 * max(decades, 0) ** 2 - 0.15 * (dropout - 0.3) ** 2
        time = 3.0 * 10 ** (-0.15 * decades) * (1 + 0.4 * dropout)
        curve = final - HEAD_START_GAP * np.exp(-np.arange(1, self.epochs + 1) / time)
        noisy = curve + NOISE * generator(0, *proposal.overrides).standard_normal(self.epochs)
        self.truth[proposal.number] = float(curve[-1])
        for epoch, accuracy in enumerate(noisy, start=1):
            self.spent += 1
            report(epoch, {"accuracy": float(accuracy), "latency_ms": latency}, last=epoch == self.epochs)
        return {"accuracy": float(noisy[-1]), "latency_ms": latency}
