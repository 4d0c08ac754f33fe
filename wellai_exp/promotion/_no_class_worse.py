"""Whether some class pays for the mean's improvement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellai_exp import metrics
from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate


@dataclass(frozen=True)
class NoClassWorse(Gate):
    """No class's AUC-PR is lower than the champion's by more than a tolerance, and significantly so.

    Every class is tested (`wellai_exp.metrics.paired_per_class`), so p-values are corrected after Holm. In a class of a
    few test images only a great loss is significant.

    Parameters
    ----------
    tolerance : float
        AUC-PR that a class may lose, 0 to 1.
    alpha : float
        Chance that the gate refuses a challenger which is equal in every class, above 0 and below 1.
    n_resamples : int
        Resamples of the images, at least 100.
    seed : int
        Of the resamples.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "tolerance": (0.0, 1.0),
        "alpha": (1e-6, 1 - 1e-6),
        "n_resamples": (100, math.inf),
        "seed": (0, math.inf),
    }

    tolerance: float = 0.05
    alpha: float = 0.05
    n_resamples: int = 1000
    seed: int = 0

    def _judge(self, evidence: Evidence) -> Finding:
        own, champion = evidence.challenger.evaluation, evidence.champion
        if champion is None:
            return True, "not asked, because there is no champion to compare with", {}
        found = metrics.paired_per_class(
            own.labels,
            champion.evaluation.probabilities,
            own.probabilities,
            own.groups,
            n_resamples=self.n_resamples,
            n_swaps=metrics.swaps_enough(own.n_classes, self.alpha),
            seed=self.seed,
        )
        losses = -found.estimate
        # A comparison with NaN, of a class that could not be tested, is false.
        worse = (losses > self.tolerance) & (found.p_adjusted < self.alpha)
        place = int(np.nanargmax(np.where(worse, losses, -np.inf) if worse.any() else losses))
        figures = {
            "worse": int(worse.sum()),
            "tested": int(np.isfinite(found.p_adjusted).sum()),
            "greatest_loss": float(losses[place]),
            "p_adjusted": float(found.p_adjusted[place]),
            **{f"loss/{own.class_names[index]}": float(losses[index]) for index in np.flatnonzero(worse)},
        }
        return not worse.any(), self._sentence(own.class_names[place], champion.title, figures), figures

    def _sentence(self, name: str, champion: str, figures: Mapping[str, float]) -> str:
        loss, worse = figures["greatest_loss"], int(figures["worse"])
        if loss <= 0:
            return f"no class loses AUC-PR against {champion}"
        surely = f"{loss:.4f} AUC-PR against {champion} (p = {figures['p_adjusted']:.2g} after Holm)"
        if not worse:
            return f"no class surely loses more than {self.tolerance:g}; {name!r} loses most, {surely}"
        others = f"; {worse - 1} other classes lose as surely" if worse > 1 else ""
        return f"{name!r} loses {surely}, more than {self.tolerance:g}{others}"
