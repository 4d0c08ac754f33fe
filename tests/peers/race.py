"""Time to quality, side by side: this sweep and what people use instead, on the same photographs and networks.

``pip install keras-tuner autokeras`` (the extra ``peers``), then
``WELLAI_ASSETS=FOLDER python tests/peers/race.py OUT [--seconds 1200] [--rounds 3] [--only NAME …]``

Every contestant starts cold, in a process of its own, one after another, with the same split of yoga62 (by
near-duplicates) and the same seconds. Whenever it finds a model that is better on its own validation images, that
model's macro AUC-PR on the test images is noted, for which its clock stands. Of this sweep a trial is credited when it
has ended and its configuration has been fitted on all training images and has answered for the test images.

OUT/race.json keeps every round with its machine, so that rounds may be run on several days; a table and OUT/race.png
end each call. ``python tests/peers/race.py tests/peers/rounds --rounds 0`` shows those that the README speaks of.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from wellai_exp.benchmark import machine

HERE = Path(__file__).parent
OURS = "wellai_exp"
PEERS = {
    "KerasTuner, Bayesian": ("keras_tuner_peer.py", "bayesian"),
    "KerasTuner, Hyperband": ("keras_tuner_peer.py", "hyperband"),
    "AutoKeras": ("autokeras_peer.py", ""),
    "Optuna + Keras + MLflow": ("optuna_peer.py", ""),
}
WELLAI = (sys.executable, "-m", "wellai_exp")
NAMES = (OURS, *PEERS)
LEVELS = (0.80, 0.85, 0.88, 0.90, 0.93, 0.95, 0.96, 0.97)
# How much longer a peer may run for the time in which its clock stands, should it not end by itself.
_JUDGED = 1.25
Curve = list[tuple[float, float]]


def main() -> None:
    """Race, and show all rounds so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    asked = parser.parse_args()
    if asked.rounds and not os.environ.get("WELLAI_ASSETS"):
        sys.exit("set WELLAI_ASSETS to the folder of photographs and weights")
    # Contestants run in folders of their own.
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "race.json"
    rounds: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    if asked.rounds:
        split = make_split(out)
    for name in asked.rounds * list(asked.only):
        seed = sum(each["name"] == name and each["limit"] == asked.seconds for each in rounds)
        curve = run(name, split, out, asked.seconds, seed)
        rounds.append(
            {"name": name, "seed": seed, "limit": asked.seconds, "machine": machine(), "curve": curve},
        )
        kept.write_text(json.dumps(rounds, indent=1))
        print(f"{name}, seed {seed}: " + ", ".join(f"{test:.3f} after {at:.0f} s" for at, test in curve), flush=True)
    same = [each for each in rounds if each["limit"] == asked.seconds]
    if not same:
        sys.exit(f"{kept} holds no round of {asked.seconds:.0f} s; run one, without --rounds 0")
    show(same, asked.seconds, out)


def make_split(out: Path) -> Path:
    """Write the sweep's own split as a table; fold 0 of its training part is what peers validate on."""
    from wellai_exp.data import ImageFolder, Split, build_manifest

    manifest = build_manifest(ImageFolder(Path(os.environ["WELLAI_ASSETS"]) / "data/yoga62"), Split(), out / "split")
    frame = manifest.frame
    part = np.where(frame["split"] == "test", "test", np.where(frame["fold"] == 0, "validation", "train"))
    paths = np.array([str(manifest.root / path) for path in frame["path"]])
    np.savez(out / "split.npz", paths=paths, labels=manifest.labels, part=part.astype("U10"))
    return out / "split.npz"


def run(name: str, split: Path, out: Path, seconds: float, seed: int) -> Curve:
    """Run one contestant; gives its test macro AUC-PR and when it had it."""
    folder = out / f"{name.replace(' ', '_')}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if name == OURS:
        return ours(folder, seconds, seed)
    script, kind = PEERS[name]
    record = folder / "record.jsonl"
    words = [sys.executable, str(HERE / script), str(split), str(record), str(time.time()), f"--seed={seed}"]
    limited([*words, f"--kind={kind}", f"--seconds={seconds}"], folder, _JUDGED * seconds)
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    return [(line["seconds"], line["test"]) for line in lines if line["seconds"] <= seconds]


def limited(words: list[str], folder: Path, seconds: float) -> None:
    """Run a command that is stopped when its time is over, its output going to a file."""
    with (folder / "output.txt").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:
            if process.returncode:
                sys.exit(f"{words[1]} ended with {process.returncode}; {folder}/output.txt says why")


def ours(folder: Path, seconds: float, seed: int) -> Curve:
    """Sweep, then ask MLflow what was known when; what a probe's trial is worth in a model is fitted afterwards."""
    began = time.time()
    # The split would follow the seed, and peers have that of seed 0.
    limited([*WELLAI, "sweep", "experiment=yoga62_minutes", f"seed={seed}", "split.seed=0"], folder, seconds)
    curve: Curve = []
    best: dict[str, float] = {}
    for run_ in ended_runs(folder):
        tags, metrics, ended = run_.data.tags, run_.data.metrics, run_.info.end_time / 1000 - began
        kind, stage = tags.get("wellai.kind"), tags.get("wellai.stage", "")
        if kind == "final":
            curve.append((ended, metrics["test/auc_pr_macro"]))
        elif kind == "trial" and metrics["cv/auc_pr_macro"] > best.get(stage, -np.inf):
            best[stage] = metrics["cv/auc_pr_macro"]
            curve.append(held_by(run_, folder, ended))
    return [(at, test) for at, test in curve if at <= seconds]


def held_by(run_: Any, folder: Path, ended: float) -> tuple[float, float]:
    """Give when a trial's model was there, and its score; a fine-tuned one was logged, a probe's is to be fitted."""
    if run_.data.tags["wellai.stage"] == "finetune":
        words = ["evaluate", run_.info.run_id, "experiment=yoga62_minutes", "evidence.explanations=0"]
        printed([*WELLAI, *words], folder)
        last = ended_runs(folder)[-1]
        return ended, last.data.metrics["test/auc_pr_macro"]
    words = shlex.split(run_.data.tags["wellai.reproduce"])[2:]
    fitted = json.loads(printed([sys.executable, str(HERE / "fit_once.py"), "train", *words], folder)[-1])
    return ended + fitted["seconds"], fitted["test"]


def ended_runs(folder: Path) -> list[Any]:
    """Give the finished runs of a store, by their ends."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlruns/mlflow.db")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return sorted((each for each in runs if each.info.status == "FINISHED"), key=lambda each: each.info.end_time)


def printed(words: list[str], folder: Path) -> list[str]:
    """Run a command that must succeed; gives the lines it prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout.splitlines()


def best_of(name: str, curve: Curve) -> float:
    """Give what is held in the end; of a peer the best that it ever held, which only the test images could tell."""
    tests = [test for _, test in curve] or [0.0]
    return tests[-1] if name == OURS else max(tests)


def reached(curve: Curve, level: float) -> float:
    """Give the seconds after which a level was held, infinite where it never was."""
    return min((at for at, test in curve if test >= level), default=np.inf)


def show(rounds: list[dict[str, Any]], limit: float, out: Path) -> None:
    """Print medians and draw every round."""
    held = pd.DataFrame(
        {
            name: {
                "rounds": len(curves),
                "best": np.median([best_of(name, curve) for curve in curves]),
                **{f"{level:.2f}": np.median([reached(curve, level) for curve in curves]) for level in LEVELS},
            }
            for name in NAMES
            if (curves := [each["curve"] for each in rounds if each["name"] == name])
        }
    ).T
    print(f"\nOn {'; and on '.join(sorted({each['machine'] for each in rounds}))}.")
    print(f"Test macro AUC-PR after {limit:.0f} s, and seconds until a level was held (medians of the rounds):")
    print(held.round({"best": 3}).to_string(float_format=lambda value: f"{value:.3g}"))
    if OURS in held.index:
        versus(rounds, held)
    draw(rounds, limit, out / "race.png")
    print(f"drawn in {out / 'race.png'}")


def versus(rounds: list[dict[str, Any]], held: pd.DataFrame) -> None:
    """Print, for each peer, how much sooner its best was reached here, and how far ahead the end is."""
    mine = [each["curve"] for each in rounds if each["name"] == OURS]
    for name in held.index.drop(OURS):
        factors = []
        for curve in (each["curve"] for each in rounds if each["name"] == name):
            best = best_of(name, curve)
            here = np.median([reached(own, best) for own in mine])
            factors.append(reached(curve, best) / here)
        ahead = 100 * (held.loc[OURS, "best"] - held.loc[name, "best"])
        each_round = ", ".join(f"{factor:.1f}" for factor in sorted(factors))
        print(
            f"{name}: its best was reached here {np.median(factors):.1f} times sooner ({each_round} by its rounds); "
            f"ahead by {ahead:.1f} points"
        )


def draw(rounds: list[dict[str, Any]], limit: float, path: Path) -> None:
    """Draw best-so-far test macro AUC-PR against seconds, a line a round."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    least = min(best_of(each["name"], each["curve"]) for each in rounds)
    for index, name in enumerate(NAMES):
        for number, each in enumerate(own for own in rounds if own["name"] == name):
            curve = each["curve"]
            if not curve:
                continue
            at, test = (list(part) for part in zip(*curve, strict=True))
            axes.step(
                [*at, limit],
                [*test, test[-1]],
                where="post",
                color=f"C{index}",
                alpha=0.8,
                linewidth=2 if name == OURS else 1.2,
                label=None if number else name,
            )
    axes.set(
        xscale="log",
        xlim=(10, limit),
        ylim=(min(0.5, np.floor(10 * least) / 10), 1),
        xlabel="seconds since the command was typed",
        ylabel="test macro AUC-PR",
        title="Time to quality on 3,138 photographs of 62 poses, 2 cores",
    )
    ticks = [at for at in (10, 20, 50, 100, 200, 500, 1000) if at <= limit]
    axes.set_xticks(ticks, [f"{at:,}" for at in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
