"""Instant sweeps over a fixed list of configurations, and what must hold of them after any fault.

``python -m sweeps STORE TRIALS WORKERS SECONDS`` runs one as a command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from struck import StruckLocal

from wellai_exp.search import Search
from wellai_exp.verbs._instant import InstantSweep, value_of


def fixed_list(n: int) -> list[Mapping[str, Any]]:
    """Give n different points."""
    return [{"strategy": ("none", "smote", "focal")[index % 3], "l2": index / n} for index in range(n)]


def make_sweep(
    store: Path, n: int, *, workers: int = 2, seconds: float = 0.0, grace: float = 10.0, retries: int = 2
) -> InstantSweep:
    """Give a sweep whose n trials are all named in advance."""
    search = Search(
        sampler=optuna.samplers.RandomSampler, n_trials=n, first=fixed_list(n), cover=False, max_failures=1_000
    )
    place = StruckLocal(workers=workers, grace_seconds=grace, retries=retries)
    return InstantSweep(store, search, place, seconds=seconds)


def expected(n: int) -> dict[str, float]:
    """Give what the uninterrupted sweep of one worker finds: each configuration and its value."""
    lists = [(f"strategy={point['strategy']}", f"l2={point['l2']!r}") for point in fixed_list(n)]
    return {" ".join(overrides): value_of(overrides) for overrides in lists}


def trials_of(sweep: InstantSweep) -> list[optuna.trial.FrozenTrial]:
    """Give every trial that the study has on disk."""
    try:
        return optuna.load_study(study_name="instant", storage=f"sqlite:///{sweep.store / 'study.db'}").trials
    except KeyError:
        return []


def runs_of(sweep: InstantSweep) -> list[Any]:
    """Give the runs of all trials."""
    client = MlflowClient(f"sqlite:///{sweep.store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("instant")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`wellai.kind` = 'trial'", max_results=10_000)
    assert len(found) < 10_000
    return list(found)


def completed(sweep: InstantSweep) -> dict[int, float]:
    """Give the values of the trials that are complete by now."""
    if not (sweep.store / "study.db").exists():
        return {}
    return {trial.number: trial.values[0] for trial in trials_of(sweep) if trial.state.name == "COMPLETE"}


def check(sweep: InstantSweep, before: Mapping[int, float] | None = None, set_aside: int = 0) -> None:
    """Hold a finished sweep to the invariants I1 to I4."""
    n, trials, runs = sweep.search.n_trials, trials_of(sweep), runs_of(sweep)
    values = completed(sweep)
    # I1: what was complete before a stop is complete after it, with its value; and its run says the same.
    assert (before or {}).items() <= values.items()
    logged = {
        int(run.data.tags["wellai.trial"]): run.data.metrics["cv/auc_pr_macro"]
        for run in runs
        if run.info.status == "FINISHED"
    }
    assert logged == values
    # I2: the total is met exactly.
    counted = [trial for trial in trials if trial.state.name == "COMPLETE" or "reason" in trial.user_attrs]
    assert (len(counted), len(counted) - len(values)) == (n, set_aside)
    # I3: nothing is running, and each attempt has one run.
    assert all(trial.state.is_finished() for trial in trials)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    attempts = Counter((str(trial.number), str(trial.user_attrs.get("attempt", 1))) for trial in trials)
    assert Counter((run.data.tags["wellai.trial"], run.data.tags["wellai.attempt"]) for run in runs) == attempts
    assert set(attempts.values()) == {1}
    # I4: each configuration once, with the value that it has without faults.
    found = {
        " ".join(trial.user_attrs["overrides"]): values[trial.number] for trial in trials if trial.number in values
    }
    assert len(found) == len(values)
    assert found == {key: value for key, value in expected(n).items() if key in found or not set_aside}


def start(store: Path, n: int, workers: int, seconds: float, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Run such a sweep as a command."""
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps", str(store), str(n), str(workers), str(seconds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def main() -> None:
    """Run one; signals are heard as the command line hears them."""
    from wellai_exp import stopping

    stopping.listen()
    store, n, workers, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    try:
        make_sweep(store, n, workers=workers, seconds=seconds).run(lambda: None)
    except KeyboardInterrupt as stop:
        sys.exit(143 if isinstance(stop, stopping.Terminated) else 130)


if __name__ == "__main__":
    import struck

    struck.main(main)
