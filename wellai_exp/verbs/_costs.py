"""What a configuration costs to run, where a search asks for that."""

from __future__ import annotations

from collections.abc import Collection

from omegaconf import DictConfig

from wellai_exp.benchmark import LatencyBook
from wellai_exp.config import build
from wellai_exp.training import Choices
from wellai_exp.verbs._workbench import Workbench

COSTS = ("latency_ms", "fps", "size_mb")


def costs(bench: Workbench, cfg: DictConfig, choices: Choices, asked: Collection[str]) -> dict[str, float]:
    """Measure latency, frames per second and size in the chosen runtime, once a (backbone, size), if `asked` for them.

    A model that averages an image with its mirror image runs its network twice a frame.
    """
    if not set(asked) & set(COSTS):
        return {}
    book = LatencyBook(bench.store / "benchmarks")
    latency = book.of(choices.backbone, bench.shared.n_classes, build(cfg, "runtime"))
    frames = 2.0 if getattr(build(cfg, "regime"), "mirror", False) else 1.0
    return {
        "latency_ms": frames * latency.latency_ms,
        "fps": latency.fps / frames,
        "size_mb": latency.size_mb,
    }
