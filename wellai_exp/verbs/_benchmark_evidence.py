"""What evidence costs on drawn predictions, and how small a difference between two models it can tell from luck."""

from __future__ import annotations

import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from wellai_exp.evaluation import (
    PREDICTIONS,
    Evaluation,
    TwoClassifiers,
    load_evaluation,
    power_figure,
    save_evaluation,
    simulate_power,
)
from wellai_exp.report import CardFacts
from wellai_exp.seeding import generator
from wellai_exp.tracking import Run
from wellai_exp.verbs._evidence import Evidence, EvidenceSettings
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import Speaker
from wellai_exp.verbs._workbench import open_tracker

# Yoga-82's parents, by number.
_LEVELS = {"level_1": 6, "level_2": 20}
_PHOTOGRAPHS = 40
_SKILL = 3.5
_DUPLICATES = 3


def evaluation_benchmark(cfg: DictConfig) -> None:
    """Gather all evidence on stored predictions, log it, and print seconds and memory."""
    n_images = whole_number("images", cfg.images, "set images=7456", least=2)
    n_classes = whole_number("n_classes", cfg.n_classes, "set n_classes=82", least=2)
    settings, console = EvidenceSettings.of(cfg.evidence), Console()
    with logged_benchmark(cfg, "evaluation") as run, tempfile.TemporaryDirectory(prefix="wellai-") as folder:
        stored = Path(folder) / PREDICTIONS
        save_evaluation(_drawn(n_images, n_classes, Path(folder), int(cfg.seed)), stored)
        before = _peak_mb()
        started = time.perf_counter()
        with Speaker(console).line("evidence") as speaker:
            evidence = Evidence(settings, load_evaluation(stored), None, int(cfg.seed), speaker.say)
            evidence.log(run, "test")
            facts = CardFacts(name="benchmark", evaluated_on="drawn predictions")
            evidence.log_report(run, "test", facts, hashlib.sha256(stored.read_bytes()).hexdigest())
        seconds, peak = time.perf_counter() - started, _peak_mb()
        run.log_metrics({"seconds": seconds, "peak_mb": peak})
    console.print(
        f"{n_images:,} images, {n_classes} classes, {settings.resamples} resamples: everything in {seconds:.1f} s; "
        f"the process held at most {peak:.0f} MB ({before:.0f} MB before it began)",
        highlight=False,
    )
    console.print(f"look at run {run.id} with wellai-exp ui", highlight=False)


def power_benchmark(cfg: DictConfig) -> None:
    """Count how often the paired bootstrap finds a difference that is known, and draw it."""
    pairs = whole_number("pairs", cfg.pairs, "set pairs=200", least=10)
    classifiers = TwoClassifiers((60, 40, 27, 18, 12, 8), tuple(np.linspace(3.2, 2.2, 6)), duplicates=_DUPLICATES)
    console = Console()
    with logged_benchmark(cfg, "power") as run:
        with Speaker(console).line("power") as speaker:
            table = simulate_power(
                classifiers,
                n_pairs=pairs,
                seed=int(cfg.seed),
                progress=lambda done, total: speaker.say(f"pairs of models {done}/{total}"),
            )
        run.log_table(table, "power.csv")
        run.log_figure(power_figure(table), "power.png")
    console.print(_power_table(table))
    console.print(f"power.png is in run {run.id}; look at it with wellai-exp ui", highlight=False)


def _power_table(table: pd.DataFrame) -> Table:
    shown = Table(title="How often the paired bootstrap finds a difference (p < 0.05)", title_justify="left")
    for heading in ("images", "metric", "true difference (points)", "found (%)", "95 % interval"):
        shown.add_column(heading, justify="left" if heading == "metric" else "right")
    for row in table.to_dict("records"):
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        difference, found = f"{100 * row['difference']:+.2f}", f"{100 * row['detected']:.1f}"
        shown.add_row(f"{row['images']:,}", row["metric"], difference, found, interval)
    return shown


@contextmanager
def logged_benchmark(cfg: DictConfig, what: str) -> Iterator[Run]:
    tracker = open_tracker(cfg)
    with tracker.run(f"benchmark {what}", tags={**provenance(int(cfg.seed)), "wellai.kind": "benchmark"}) as run:
        yield run


def _drawn(n_images: int, n_classes: int, folder: Path, seed: int) -> Evaluation:
    """Draw predictions of uneven classes with parents, and some photographs for all of them."""
    rng = generator(seed, "benchmark", "evaluation")
    share = rng.pareto(1.5, n_classes) + 1.0
    # At least one of each class.
    labels = np.concatenate([np.arange(n_classes), rng.choice(n_classes, n_images, p=share / share.sum())])[:n_images]
    logits = rng.normal(size=(n_images, n_classes))
    logits[np.arange(n_images), labels] += _SKILL
    exponents = np.exp(logits)
    files = _photographs(folder, rng)
    taken = rng.integers(len(files), size=n_images)
    return Evaluation(
        labels,
        exponents / exponents.sum(axis=1, keepdims=True),
        tuple(f"pose {index:03d}" for index in range(n_classes)),
        groups=rng.integers(n_images, size=n_images),
        paths=tuple(files[place].name for place in taken),
        sha256=tuple(hashlib.sha256(files[place].read_bytes()).hexdigest() for place in taken),
        root=str(folder),
        train_support=3 * np.bincount(labels, minlength=n_classes),
        levels={
            name: tuple(f"{name} {index * parents // n_classes}" for index in range(n_classes))
            for name, parents in _LEVELS.items()
            if parents < n_classes
        },
    )


def _photographs(folder: Path, rng: np.random.Generator) -> list[Path]:
    import cv2

    files = []
    for number in range(_PHOTOGRAPHS):
        file = folder / f"{number:02d}.jpg"
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(file), cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC))
        files.append(file)
    return files


def _peak_mb() -> float:
    """Give the most memory that the process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
