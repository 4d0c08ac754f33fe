"""A probe that is judged after some of its folds: the same figures, and no work after it was told to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from short_training import CHOICES, SHORT, CutOffError, Listener, pretrained

from wellai_exp.errors import SettingError
from wellai_exp.search import Pruned
from wellai_exp.training import Probe, Representation, Shared, _probe
from wellai_exp.training._fold_rows import SharedRows
from wellai_exp.training._solver import fit_heads
from wellai_exp.verbs._follow import Follower

REPRESENTATION = Representation(SHORT, CHOICES.optimizer, CHOICES.policy)


def test_rungs_tell_the_means_of_the_folds_so_far_and_change_no_figure(
    make_shared: Callable[[], Shared], tmp_path: Path
) -> None:
    shared, listener, silent = make_shared(), Listener(), Listener()
    choices = replace(CHOICES, backbone=pretrained(tmp_path))
    whole = Probe(REPRESENTATION).task(shared).cross_validate(choices, silent)
    rungs = Probe(REPRESENTATION, rungs=[1, 2, 9]).task(shared).cross_validate(choices, listener)
    assert silent.means == {}
    assert list(listener.means) == [1, 2, 3]
    for done, means in listener.means.items():
        for name in ("auc_pr_macro", "log_loss"):
            expected = np.mean([fold[name] for fold in whole.folds[:done]])
            assert means[name] == pytest.approx(expected, abs=1e-3)
    assert rungs.metrics["auc_pr_macro_mean"] == listener.means[3]["auc_pr_macro"]


def test_nothing_is_fitted_after_a_rung_that_ends_the_trial(
    make_shared: Callable[[], Shared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []

    def counting(*given: Any) -> Any:
        fitted.append(len(given[3]))
        return fit_heads(*given)

    monkeypatch.setattr(_probe, "fit_heads", counting)
    choices = replace(CHOICES, backbone=pretrained(tmp_path))
    with pytest.raises(CutOffError):
        Probe(REPRESENTATION, rungs=[1]).task(make_shared()).cross_validate(choices, Listener(last=1))
    assert fitted == [1]


def test_rows_too_many_to_be_shared_are_fitted_fold_by_fold_with_the_same_figures(
    make_shared: Callable[[], Shared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def noting(*parts: Any) -> Any:
        given.append(parts[3])
        return fit_heads(*parts)

    monkeypatch.setattr(_probe, "fit_heads", noting)
    choices, task = replace(CHOICES, backbone=pretrained(tmp_path)), Probe(REPRESENTATION).task(make_shared())
    together = task.cross_validate(choices)
    for bound in ("STACKED_BYTES", "SHARED_BYTES"):
        monkeypatch.setattr(_probe, bound, 1)
    alone = task.cross_validate(choices)
    assert [type(rows) for rows in given] == [SharedRows, list, list, list]
    for name in ("auc_pr_macro_mean", "log_loss_mean"):
        assert alone.metrics[name] == pytest.approx(together.metrics[name], abs=1e-3)


@pytest.mark.parametrize("rungs", [[0], [2, 1], [1, 1], ["one"], [1.5]])
def test_rungs_must_rise(rungs: list[Any]) -> None:
    with pytest.raises(SettingError, match=r"regime\.rungs"):
        Probe(REPRESENTATION, rungs=rungs)


def test_a_trial_that_is_pruned_after_a_fold_says_so() -> None:
    class Ledger:
        def log_metrics(self, metrics: dict[str, float], step: int) -> None:
            self.logged = metrics, step

    def judged(epoch: int, metrics: dict[str, float], *, last: bool) -> None:
        assert (epoch, metrics, last) == (2, {"auc_pr_macro": 0.5, "latency_ms": 3.0}, False)
        raise Pruned("stopped after epoch 2")

    run = Ledger()
    follower = Follower(cast(Any, run), print, "trial", cast(Any, judged), {"latency_ms": 3.0})
    with pytest.raises(Pruned, match="stopped after 2 of 5 folds"):
        follower.folds(2, 5, {"auc_pr_macro": 0.5})
    assert run.logged == ({"folds/auc_pr_macro": 0.5}, 2)
