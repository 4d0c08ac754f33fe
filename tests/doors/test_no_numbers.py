"""What is not a number is never best: a loss, a metric, an objective, whatever becomes not finite and when."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from wellai_exp.augmentation import NoAugmentation
from wellai_exp.data import Demo, Split, build_manifest
from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import NoStrategy
from wellai_exp.models import LinearHead, SmallConvNet
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.search import Interval, Proposal, Report, Search, Space, Study
from wellai_exp.training import AdamW, Choices, FineTune, Shared

BAD = (math.nan, math.inf, -math.inf)
N_TRIALS = 8


@pytest.mark.parametrize("seed", range(16))
def test_a_study_never_chooses_it(seed: int, tmp_path: Path, injected: Callable[..., None]) -> None:
    """Some trials end in what is no number, some reach it half-way, others are sound."""
    rng = np.random.default_rng(seed)
    ends = {number: str(rng.choice(["sound", "at the end", "half-way"])) for number in range(N_TRIALS)}
    ends[int(rng.integers(N_TRIALS))] = "sound"
    values = {number: float(rng.random()) for number in ends}
    minimized = bool(seed % 2)
    search = Search(
        sampler=optuna.samplers.RandomSampler,
        n_trials=N_TRIALS,
        maximize="auc_pr_macro",
        minimize="latency_ms" if minimized else None,
        max_failures=N_TRIALS + 1,
    )
    study = Study(search, Space({"b": Interval(0.0, 1.0)}, lambda *_: {}, {}), "s", tmp_path, seed=seed)

    def evaluate(proposal: Proposal, report: Report) -> dict[str, float]:
        bad = float(BAD[proposal.number % len(BAD)])
        sound = {"auc_pr_macro": values[proposal.number], "latency_ms": 5.0}
        report(1, sound)
        wrong = {**sound, ("latency_ms" if minimized and proposal.number % 2 else "auc_pr_macro"): bad}
        if ends[proposal.number] == "half-way":
            report(2, wrong)
        return wrong if ends[proposal.number] == "at the end" else sound

    with study.opened():
        study.run(evaluate, lambda: None)
        sound = [number for number, end in ends.items() if end == "sound"]
        assert study.best().number == max(sound, key=lambda number: values[number])
        assert study.finished == N_TRIALS
        table = study.trials().set_index("number")
    assert set(table.index[table["state"] == "COMPLETE"]) == set(sound)
    failed = table.loc[table["state"] == "FAIL", "reason"]
    assert all(reason.startswith("its ") and " was " in reason for reason in failed)
    injected("losses and metrics that are no numbers")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Twelve drawn classes, small enough to train in seconds."""
    prepare_tensorflow()
    root = tmp_path_factory.mktemp("drawn")
    source = Demo(root=root / "images", n_images=80, ratio=2.0, size=32, name="drawn")
    manifest = build_manifest(source, Split(folds=3, near_duplicates=False), root / "store")
    return Shared(manifest, root / "store", seed=0)


@pytest.mark.parametrize("rate", [1e30, 3e37])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_real_training_that_overflows_fails_its_trial(
    shared: Shared, rate: float, seed: int, injected: Callable[..., None]
) -> None:
    optimizer = AdamW(learning_rate=rate, clip_norm=None, schedule="constant", warm_up=0.0, average=None)
    sound = Choices(SmallConvNet(size=32, width=4), NoAugmentation(), NoStrategy(), LinearHead(), AdamW())
    wild = replace(sound, optimizer=optimizer)
    regime = FineTune(epochs=2, batch_size=16, mirror=False)
    with pytest.raises(TrialFailed, match=r"loss was (nan|-?inf) in epoch [12] at|last layer holds .* not finite"):
        regime.task(shared).cross_validate(wild, seed=seed)
    # Nothing of it is kept that a later attempt would go on from.
    with pytest.raises(TrialFailed):
        regime.task(shared).cross_validate(wild, seed=seed)
    injected("losses and metrics that are no numbers")
