"""How seconds and memory grow with the number of images: the same commands on folders of drawn pictures.

``python tests/scale/growth.py OUT [--images 2000 16000 100000] [--rounds 3]`` wants the weights that ``WELLAI_ASSETS``
names. It prints a table, each figure the median of the rounds, which take all sizes in turn, and the exponents between
the two largest sizes: of the seconds as they are, and, which is harder, of the seconds and images beyond those of the
smallest size, so that start-up costs, which all have, do not flatter.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

CLASSES, SIDE = 82, 96
# Small pictures: what grows with their number is of interest, and 100,000 should not take a day.
SWEEP = (
    "sweep",
    "backbone=mobilenet_v1_075_local",
    "backbone.size=64",
    "search=grid",
    "search.conditional=[]",
    "register=false",
    "final.baseline=false",
    "evidence.robustness=0",
    # The log of each command then ends with where its time went.
    "profile=true",
)
FOUR = "class_weight,balanced_softmax,logit_adjustment,tau_norm"
STEPS = {
    "read the folder": ("summary",),
    "features and 1 trial": (*SWEEP, "search.study=one", "+search.space.imbalance='choice(none)'"),
    "4 more trials": (*SWEEP, "search.study=four", f"+search.space.imbalance='choice({FOUR})'"),
}


def main() -> None:
    """Draw, run and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 16_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if not os.environ.get("WELLAI_ASSETS"):
        sys.exit("set WELLAI_ASSETS to the folder of weights")
    if len(set(asked.images)) < 3 or asked.rounds < 1:
        sys.exit("give --images at least three sizes, and --rounds at least 1")
    sizes = sorted(set(asked.images))
    for count in sizes:
        shutil.rmtree(asked.out / str(count), ignore_errors=True)
        draw(asked.out / str(count) / "images", count)
    rows = []
    for number in range(asked.rounds):
        for count in sizes:
            rows += [{"round": number, "images": count, **row} for row in measured(asked.out / str(count))]
    table = pd.DataFrame(rows)
    table.to_csv(asked.out / "growth.csv", index=False)
    show(table)


def measured(folder: Path) -> Iterator[dict[str, Any]]:
    """Type all commands on one folder, with a new store, and give what each took."""
    shutil.rmtree(folder / "mlruns", ignore_errors=True)
    # Or what is timed next would wait for the disk to take what was written before.
    os.sync()
    for name, words in STEPS.items():
        seconds, gigabytes = run(folder, words, name)
        print(f"{folder.name} images, {name}: {seconds:.1f} s, {gigabytes:.2f} GB at most", flush=True)
        yield {"step": name, "seconds": seconds, "GB": gigabytes}


def show(table: pd.DataFrame) -> None:
    """Print medians over rounds, and how they grow."""
    medians = table.pivot_table(index="step", columns="images", values="seconds", aggfunc="median", sort=False)
    print(f"seconds, medians of {table['round'].nunique()} rounds")
    print(medians.round(1).to_string())
    images = medians.columns.to_numpy(float)
    for step, seconds in zip(medians.index, medians.to_numpy(float), strict=True):
        beyond = exponent(images[1:] - images[0], seconds[1:] - seconds[0])
        print(f"{step}: exponent {exponent(images, seconds):.3f}; beyond the smallest size {beyond:.3f}")
    print(f"memory: {table['GB'].max():.2f} GB at most")


def exponent(images: np.ndarray, seconds: np.ndarray) -> float:
    """Give how seconds grow with images, between the two largest numbers of them: 1 where each image costs the same."""
    return math.log(seconds[-1] / seconds[-2]) / math.log(images[-1] / images[-2])


def draw(root: Path, count: int) -> None:
    """Draw pictures of classes that differ in their colours and shapes."""
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw_class, [root] * CLASSES, range(CLASSES), [count] * CLASSES))


def _draw_class(root: Path, label: int, count: int) -> None:
    folder = root / f"class_{label:02d}"
    folder.mkdir(parents=True)
    pattern = np.random.default_rng(label).uniform(0, 255, (4, 4, 3))
    for number in range(label, count, CLASSES):
        rng = np.random.default_rng([label, number])
        coarse = pattern + rng.normal(0, 60, (4, 4, 3))
        fine = cv2.resize(rng.normal(0, 40, (16, 16, 3)), (SIDE, SIDE))
        picture = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) + fine
        cv2.imwrite(str(folder / f"{number}.jpg"), np.clip(picture, 0, 255).astype(np.uint8))


def run(folder: Path, words: tuple[str, ...], step: str) -> tuple[float, float]:
    """Type a command; gives its seconds and the largest memory of its process, GB."""
    verb, *more = words
    command = [sys.executable, "-m", "wellai_exp", verb, *more, "data=folder"]
    command += [f"data.root={folder / 'images'}", f"paths.store={folder / 'mlruns'}"]
    log = folder / f"{step.replace(' ', '_')}.log"
    start = time.perf_counter()
    with log.open("ab") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file)
        _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        sys.exit(f"{step} ended with status {started.returncode}; read {log}")
    return time.perf_counter() - start, used.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
