"""What a trial costs when hundreds lie behind it: one sweep of many trials on a small folder of drawn pictures.

``python tests/scale/trials.py OUT [--trials 1000] [--search tpe]`` wants the weights that ``WELLAI_ASSETS`` names. It
prints the median seconds from one trial's end to the next, a tenth of the trials at a time, and how long reading the
leaderboard that the sweep logged takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
from growth import draw, run

SPACE = "choice(none,class_weight,effective_number,random_over,balanced_softmax,logit_adjustment,tau_norm)"
SWEEP = (
    "sweep",
    "name=many",
    "backbone=mobilenet_v1_075_local",
    "backbone.size=64",
    "register=false",
    "final.baseline=false",
    "evidence.robustness=0",
    "evidence.explanations=0",
    f"+search.space.imbalance='{SPACE}'",
    "+search.space.head='choice(linear,cosine)'",
)


def main() -> None:
    """Draw, sweep and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--images", type=int, default=820)
    parser.add_argument("--search", default="tpe")
    asked = parser.parse_args()
    if not os.environ.get("WELLAI_ASSETS"):
        sys.exit("set WELLAI_ASSETS to the folder of weights")
    shutil.rmtree(asked.out, ignore_errors=True)
    draw(asked.out / "images", asked.images)
    words = (*SWEEP, f"search={asked.search}", f"search.n_trials={asked.trials}")
    seconds, gigabytes = run(asked.out, words, "sweep")
    print(f"{asked.trials} trials, search={asked.search}: {seconds:.1f} s, {gigabytes:.2f} GB at most")
    gaps = between(asked.out / "mlruns" / "mlflow.db")
    tenths = [float(np.median(part)) for part in np.array_split(gaps, 10)]
    print("median seconds a trial, tenth by tenth: " + ", ".join(f"{each:.3f}" for each in tenths))
    print(f"the last tenth takes {tenths[-1] / tenths[0]:.2f} times as long as the first")
    print(f"leaderboard of {asked.trials} trials: {leaderboard_seconds(asked.out / 'mlruns' / 'mlflow.db'):.2f} s")


def between(database: Path) -> np.ndarray:
    """Give the seconds between the ends of trials that followed one another."""
    ask = "select end_time from runs join tags using (run_uuid) where key = 'wellai.kind' and value = 'trial'"
    with sqlite3.connect(database) as connection:
        ended = sorted(row[0] for row in connection.execute(ask))
    return np.diff(np.array(ended)) / 1000.0


def leaderboard_seconds(database: Path) -> float:
    """Read the leaderboard that the sweep logged and print its head; imports are not counted."""
    import mlflow
    import pandas as pd

    started = time.perf_counter()
    mlflow.set_tracking_uri(f"sqlite:///{database}")
    sweep = mlflow.search_runs(
        search_all_experiments=True, filter_string="tags.`wellai.kind` = 'sweep'", output_format="list"
    )[0]
    path = mlflow.artifacts.download_artifacts(run_id=sweep.info.run_id, artifact_path="search/leaderboard.csv")
    print(pd.read_csv(path).head(5).to_string())
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
