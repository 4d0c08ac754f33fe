"""TPE on the best and the latest trials."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from wellai_exp.search import BoundedTPESampler

OPTIONS: dict[str, Any] = {"multivariate": True, "group": True, "n_startup_trials": 5, "seed": 3}
Direction = Literal["minimize", "maximize"]
SPACE = {
    "kind": optuna.distributions.CategoricalDistribution(("a", "b")),
    "x": optuna.distributions.FloatDistribution(0.0, 1.0),
}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def trial(value: float | None, rng: np.random.Generator, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    params = {"kind": str(rng.choice(["a", "b"])), "x": float(rng.random())}
    return create_trial(value=value, params=params, distributions=SPACE, state=state)


def proposals(
    sampler: BaseSampler, known: list[FrozenTrial], directions: list[Direction], n: int
) -> list[dict[str, Any]]:
    study = optuna.create_study(directions=directions, sampler=sampler)
    study.add_trials(known)
    found = []
    for _ in range(n):
        asked = study.ask()
        x = asked.suggest_float("x", 0, 1) if asked.suggest_categorical("kind", ["a", "b"]) == "a" else 0.5
        found.append(dict(asked.params))
        study.tell(asked, [(x - 0.3) ** 2] * len(directions))
    return found


@pytest.mark.parametrize(("directions", "known"), [(["minimize"], 200), (["minimize", "maximize"], 300)])
def test_up_to_the_bound_and_for_several_objectives_it_is_optunas(directions: list[Direction], known: int) -> None:
    rng = np.random.default_rng(0)
    trials = []
    for _ in range(known):
        params = {"kind": "a", "x": float(rng.random())}
        trials.append(create_trial(values=list(rng.random(len(directions))), params=params, distributions=SPACE))
    ours = proposals(BoundedTPESampler(**OPTIONS), trials, directions, 15)
    assert ours == proposals(TPESampler(**OPTIONS), trials, directions, 15)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_and_the_latest_are_shown(direction: Direction) -> None:
    rng = np.random.default_rng(1)
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "minimize" else -1
    study.add_trials([trial(sign * float(place), rng) for place in range(40)])
    study.add_trials([trial(sign * (100 + float(rng.random())), rng) for _ in range(400)])
    study.add_trials([trial(None, rng, TrialState.FAIL)])
    shown = BoundedTPESampler(**OPTIONS)._shown(study)
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    numbers = [each.number for each in shown._get_trials(deepcopy=False, states=states, use_cache=True)]
    assert numbers == [*range(25), *range(440 - 225, 440)]
    assert shown.direction == study.direction


def test_of_trials_that_break_a_constraint_none_is_good() -> None:
    rng = np.random.default_rng(2)
    study = optuna.create_study(direction="maximize")
    for place in range(300):
        asked = study.ask()
        asked.suggest_float("x", 0, 1)
        asked.set_constraint("fps", 1.0 if place < 30 else -1.0)
        study.tell(asked, 10.0 + place if place < 30 else float(rng.random()) + (place < 60))
    shown = BoundedTPESampler(**OPTIONS)._shown(study)
    numbers = [each.number for each in shown._get_trials(states=(TrialState.COMPLETE,))]
    assert len(numbers) == 250
    assert not set(numbers) & set(range(30))
    assert sum(30 <= number < 60 for number in numbers) >= 25


def test_what_it_finds_after_many_trials_is_as_good() -> None:
    rng = np.random.default_rng(4)
    known = []
    for _ in range(600):
        x = float(rng.random())
        params = {"kind": "a", "x": x}
        known.append(create_trial(value=(x - 0.3) ** 2, params=params, distributions=SPACE))
    found = [each["x"] for each in proposals(BoundedTPESampler(**OPTIONS), known, ["minimize"], 30) if "x" in each]
    assert len(found) > 20
    assert np.median(np.abs(np.array(found) - 0.3)) < 0.05
