"""Rank backbones by their frozen features before anything is searched, so that the poor ones cost seconds."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from wellai_exp.augmentation import NoAugmentation
from wellai_exp.errors import DataError, SettingError, TrialFailed
from wellai_exp.imbalance import NoStrategy
from wellai_exp.metrics import log_me
from wellai_exp.models import Backbone, LinearHead
from wellai_exp.training._features import Array
from wellai_exp.training._optimizers import AdamW
from wellai_exp.training._probe import ProbeTask
from wellai_exp.training._results import Choices, Rows

logger = logging.getLogger(__name__)

_COLUMNS = {"backbone": str, "score": float, "dim": int, "seconds": float}


@dataclass(frozen=True)
class Ranking(ABC):
    """Base of the rankings: validates, times and sorts; a subclass scores one backbone.

    Parameters
    ----------
    keep : int or None
        How many of the backbones that could be ranked go on into the search; None means all of them.
    """

    keep: int | None = None
    name: ClassVar[str]
    score_name: ClassVar[str]
    """What the score is, for tables and figures; greater is better."""

    def __post_init__(self) -> None:
        whole = isinstance(self.keep, int) and not isinstance(self.keep, bool)
        if self.keep is not None and not (whole and self.keep >= 1):
            raise SettingError(
                "ranking.keep",
                self.keep,
                "it must be a whole number of at least 1, or null for all",
                "set ranking.keep=3",
            )

    def rank(self, task: ProbeTask, backbones: Mapping[str, Backbone]) -> pd.DataFrame:
        """Score each backbone on the training part; the test part is not looked at.

        Parameters
        ----------
        task : ProbeTask
            Of the probe regime: the data, and the features kept so far; those that are missing are computed and kept.
        backbones : mapping of str to Backbone
            Option name -> backbone.

        Returns
        -------
        DataFrame
            Columns ``backbone`` (option name), ``score``, ``dim`` (features of an image) and ``seconds`` (what the
            score took; the first backbone to need some features pays for them). Best first; of equal scores the
            earlier option. A backbone that cannot be scored has no row, and a warning says why.

        Raises
        ------
        SettingError
            Where a backbone's weights cannot be loaded.
        """
        rows = []
        for option, backbone in backbones.items():
            started = time.perf_counter()
            try:
                score, dim = self._score(task, backbone)
            except (TrialFailed, DataError) as reason:
                logger.warning("backbone=%s is not ranked: %s", option, reason)
                continue
            rows.append((option, score, dim, time.perf_counter() - started))
        table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
        return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)

    def kept(self, table: pd.DataFrame, options: Iterable[str]) -> tuple[str, ...]:
        """Name the options that go on into the search, in the order to try them.

        Parameters
        ----------
        table : DataFrame
            From `rank`.
        options : iterable of str
            All options there were.

        Returns
        -------
        tuple of str
            The best `keep`, best first; then those that could not be ranked: nothing was measured that speaks against
            them.
        """
        ranked = [str(option) for option in table["backbone"]]
        return (*ranked[: self.keep], *(option for option in options if option not in ranked))

    @abstractmethod
    def _score(self, task: ProbeTask, backbone: Backbone) -> tuple[float, int]:
        """Give score and width of a backbone, or raise TrialFailed with the reason why it has none."""


class NoRanking(Ranking):
    """Rank nothing: every backbone goes on, in the order given."""

    name = "none"
    score_name = "no score"

    def __post_init__(self) -> None:
        if self.keep is not None:
            raise SettingError(
                "ranking.keep", self.keep, "nothing is ranked, so none can be kept", "add ranking=log_me"
            )

    def rank(self, task: ProbeTask, backbones: Mapping[str, Backbone]) -> pd.DataFrame:
        """Give a table without rows."""
        return super().rank(task, {})

    def _score(self, task: ProbeTask, backbone: Backbone) -> tuple[float, int]:
        raise TrialFailed("no ranking is asked for")


class LogME(Ranking):
    """Rank by the evidence of a linear model on the features (see `log_me`): no head is fitted, no fold held out.

    You et al., ICML 2021 (arXiv 2102.11005). A backbone without weights is not ranked: it is trained before it is
    searched, and what its random features are worth says nothing of the trained ones.
    """

    name = "log_me"
    score_name = "LogME (nats per image)"

    def _score(self, task: ProbeTask, backbone: Backbone) -> tuple[float, int]:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        if not backbone.pretrained:
            raise TrialFailed("it has no weights yet, and LogME of random features means nothing")
        rows = task.manifest.train
        features = _features(task, backbone, rows)
        # The decomposition gains little from more threads, and loses much where they wait for another process's.
        with threadpool_limits(1, user_api="blas"):
            return log_me(features, task.manifest.labels[rows]), features.shape[1]


class LinearProbe(Ranking):
    """Rank by the cross-validated macro AUC-PR of a linear head, without augmentation or answer to imbalance.

    A backbone without weights is trained first, once a fold, as in the search, which finds these weights again.
    """

    name = "linear_probe"
    score_name = "Cross-validated macro AUC-PR of a linear head"

    def _score(self, task: ProbeTask, backbone: Backbone) -> tuple[float, int]:
        # The optimiser of networks is not asked for: heads on frozen features have their own.
        choices = Choices(backbone, NoAugmentation(), NoStrategy(), LinearHead(), AdamW())
        score = task.cross_validate(choices).metrics["auc_pr_macro_mean"]
        if backbone.pretrained:
            return score, _features(task, backbone, task.manifest.train[:1]).shape[1]
        return score, int(backbone.build().output_shape[-1])


def _features(task: ProbeTask, backbone: Backbone, rows: Rows) -> Array:
    """Give features of training images; asked for within the whole training part, as cross-validation asks."""
    return task.features.rows(backbone, NoAugmentation(), 0, rows, task.manifest.train)
