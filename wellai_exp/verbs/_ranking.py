"""Rank the backbones of a search before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from wellai_exp.config import Composer, build
from wellai_exp.search import Choice, Space
from wellai_exp.training import NoRanking, ProbeTask, Ranking
from wellai_exp.verbs._workbench import Workbench

GROUP = "backbone"


@dataclass(frozen=True)
class Prior:
    """What a ranking gave.

    Parameters
    ----------
    table : pandas.DataFrame
        Backbone, score, features, seconds; best first.
    score_name : str
        What the score is.
    kept : tuple of str
        The backbones that go on, in the order to try them.
    keep : int or None
        How many ranked ones were to go on.
    """

    table: pd.DataFrame
    score_name: str
    kept: tuple[str, ...]
    keep: int | None

    @property
    def points(self) -> tuple[Mapping[str, Any], ...]:
        """What the search tries first."""
        return tuple({GROUP: option} for option in self.kept)

    def narrowed(self, space: Space) -> Space:
        """Give the space with the backbones that go on."""
        return replace(space, dimensions={**space.dimensions, GROUP: Choice(self.kept)})


def rank_backbones(bench: Workbench, composer: Composer, cfg: DictConfig, space: Space) -> Prior | None:
    """Rank the backbones that a search chooses from, on the features of the training part.

    None where no ranking is asked for, or the search does not choose a backbone.
    """
    ranking: Ranking = build(cfg, "ranking")
    choice = space.active.get(GROUP)
    if isinstance(ranking, NoRanking) or not isinstance(choice, Choice):
        return None
    task = bench.task(composer.trial(["regime=probe"]))
    if not isinstance(task, ProbeTask):
        raise TypeError("regime=probe gives no probe")
    backbones = {option: build(composer.trial([f"{GROUP}={option}"]), GROUP) for option in choice.values}
    table = ranking.rank(task, backbones)
    return Prior(table, ranking.score_name, ranking.kept(table, choice.values), ranking.keep)
