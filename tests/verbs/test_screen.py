"""What is said while trials end, by a study on real SQLite."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import optuna
from rich.console import Console

from wellai_exp.errors import TrialFailed
from wellai_exp.search import Distribution, Interval, Proposal, Report, Search, Space, Study
from wellai_exp.verbs._screen import Speaker

VALUES = [0.5, 0.25, 0.75, 0.6]


def nothing(_group: str, _option: str) -> Mapping[str, Distribution]:
    return {}


def swept(store: Path, n_trials: int) -> list[str]:
    """Sweep to a total, the first trial failing, and give the lines of a terminal that is none."""

    def evaluate(proposal: Proposal, _report: Report) -> dict[str, float]:
        if proposal.number == 0:
            raise TrialFailed("no neighbours")
        return {"auc_pr_macro": VALUES[proposal.number - 1]}

    console = Console(file=io.StringIO(), width=120)
    search = Search(sampler=optuna.samplers.RandomSampler, n_trials=n_trials)
    study = Study(search, Space({"b": Interval(0.0, 1.0)}, nothing, {}), "s", store, seed=0)
    with study.opened(), Speaker(console).trials(study, "probe") as speaker:
        study.run(evaluate, speaker.finished)
    said = console.file
    assert isinstance(said, io.StringIO)
    return [line for line in said.getvalue().splitlines() if line.startswith("probe trials ") and "/" in line[:16]]


def test_each_trial_is_said_once_with_the_best_so_far_also_when_a_sweep_goes_on(tmp_path: Path) -> None:
    first = swept(tmp_path, 3)
    assert first[:3] == [
        "probe trials 1/3 failed: no neighbours (no value yet)",
        "probe trials 2/3 0.5000 (best 0.5000)",
        "probe trials 3/3 0.2500 (best 0.5000)",
    ]
    on = swept(tmp_path, 5)
    assert on[:2] == ["probe trials 4/5 0.7500 (best 0.7500)", "probe trials 5/5 0.6000 (best 0.7500)"]
