"""Several workers on the demo's pictures: the same trials as one process does, also where one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import psutil
import pytest
from place import Place, Swept
from struck import prepare
from test_sweep import counted, trials, wait_for_trials

from wellai_exp import milestones

FAULTS = int(os.environ.get("WELLAI_FAULTS", "20"))
COMMAND = ("sweep", "experiment=tiny", "search.n_trials=6", "compute.workers=2")


def by_configuration(place: Place, kept: list[optuna.trial.FrozenTrial]) -> Mapping[str, float]:
    return {" ".join(trial.user_attrs["overrides"]): trial.values[0] for trial in kept}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("swept")
def test_a_killed_worker_costs_nothing(new_place: Callable[[], Place], swept: Swept) -> None:
    place = new_place()
    process = place.start(*COMMAND)
    wait_for_trials(place, 1, process)
    workers = [child for child in psutil.Process(process.pid).children() if "wellai_exp.compute" in child.cmdline()]
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said
    assert "6/6" in said
    done = counted(place)
    assert len(done) == 6
    runs = place.runs("trial")
    assert sorted(int(run.data.tags["wellai.trial"]) for run in runs) == [trial.number for trial in trials(place)]
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    assert not any("compute" in run.data.tags["wellai.reproduce"] for run in runs)
    # The points of the covering design are the same ones; fewer threads add in another order.
    alone, together = by_configuration(swept.place, counted(swept.place)), by_configuration(place, done)
    common = alone.keys() & together.keys()
    assert common
    assert {key: together[key] for key in common} == pytest.approx({key: alone[key] for key in common}, abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("repeat", range(FAULTS))
def test_a_command_killed_inside_the_registration_registers_once(
    repeat: int, new_place: Callable[[], Place], injected: Callable[..., None]
) -> None:
    place = new_place()
    faults = Path(__file__).parents[1] / "faults"
    command = ["sweep", "experiment=tiny", "search.n_trials=2", "final.baseline=false"]
    environment = {
        **os.environ,
        **prepare(place.folder / "blows", milestones.REGISTERING, 1, seed=0, apart=0),
        "PYTHONPATH": os.pathsep.join([str(faults), str(faults.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    struck = subprocess.run(
        [sys.executable, "-m", "struck", *command], cwd=place.folder, env=environment, check=False, capture_output=True
    )
    assert struck.returncode == -signal.SIGKILL, struck.stderr
    place.type(*command)
    model = place.client.get_registered_model("tiny")
    assert {alias: int(version) for alias, version in model.aliases.items()} == {"challenger": 1}
    assert len(place.client.search_model_versions("name = 'tiny'")) == 1
    assert [run.info.status for run in place.runs("sweep")] == ["FINISHED"]
    assert len(place.runs("trial")) == 2
    injected(f"kill -9 {milestones.REGISTERING}")
