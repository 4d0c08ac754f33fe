"""Whether the challenger is surely better than the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from wellai_exp import metrics
from wellai_exp.evaluation import FALLING
from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate


@dataclass(frozen=True)
class PairedImprovement(Gate):
    """The whole interval of the challenger's metric minus the champion's lies above a margin.

    Both are scored on the same images and the same resamples of them (`wellai_exp.metrics.paired_bootstrap`). Of
    metrics that fall as a model improves, such as ``log_loss``, the champion's minus the challenger's is taken. An
    equal model is refused, and so is a better one whose lead the images cannot tell from luck.

    Parameters
    ----------
    metric : str
        Of `wellai_exp.metrics.Scorer`.
    margin : float
        In the metric's unit. Below 0 it is the loss that is accepted, e.g. for a smaller model.
    level : float
        Of the two-sided interval, 0.5 to 0.999: with 0.95 an equal model passes in 2.5 of 100 cases.
    n_resamples : int
        Resamples of the images, at least 100.
    seed : int
        Of the resamples.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "margin": (-math.inf, math.inf),
        "level": (0.5, 0.999),
        "n_resamples": (100, math.inf),
        "seed": (0, math.inf),
    }

    metric: str = "auc_pr_macro"
    margin: float = 0.0
    level: float = 0.95
    n_resamples: int = 1000
    seed: int = 0

    def _judge(self, evidence: Evidence) -> Finding:
        own, champion = evidence.challenger.evaluation, evidence.champion
        self.measured("metric", self.metric, own.aggregates)
        if champion is None:
            return True, "not asked, because there is no champion to be better than", {}
        found = metrics.paired_bootstrap(
            self._score(champion.evaluation.scorer),
            self._score(own.scorer),
            own.labels,
            own.groups,
            n_resamples=self.n_resamples,
            seed=self.seed,
            level=self.level,
        )["gain"]
        # Written so that NaN, an interval of which nothing is known, does not pass.
        passed = found.low > self.margin
        mine, theirs = (each.aggregates[self.metric] for each in (own, champion.evaluation))
        gain = (
            f"a gain of {found.estimate:+.4f} ({100 * self.level:g} % interval {found.low:+.4f} to {found.high:+.4f})"
        )
        sentence = (
            f"its {self.metric} is {mine:.4f} against {theirs:.4f} of {champion.title}: "
            f"{gain}, {'surely' if passed else 'not surely'} above {self.margin:g}"
        )
        figures = {"gain": found.estimate, "low": found.low, "high": found.high, "p_value": found.p_value}
        return passed, sentence, {**figures, "margin": self.margin}

    def _score(self, scorer: metrics.Scorer) -> metrics.Score:
        sign = -1.0 if self.metric in FALLING else 1.0
        return lambda weights: {"gain": sign * scorer.weighted_scores(weights)[self.metric]}
