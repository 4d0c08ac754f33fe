"""Bounds that hold whatever the champion is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wellai_exp.errors import SettingError
from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate


@dataclass(frozen=True)
class Absolute(Gate):
    """The challenger's metrics keep bounds; asked where there is no champion to compare with.

    Parameters
    ----------
    at_least, at_most : mapping of str to float
        Bounds of metrics of `wellai_exp.metrics.Scorer`, by name. At least one bound.
    always : bool
        Ask it where there is a champion, too.

    Raises
    ------
    SettingError
        Where a bound is no finite number, or there is none.
    """

    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    always: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in ("at_least", "at_most"):
            self._check_bounds(setting, getattr(self, setting))
        if not self.at_least and not self.at_most:
            setting = self.setting("at_least")
            raise SettingError(setting, "{}", "it bounds no metric", f"set +{setting}.accuracy=0.5")

    def _check_bounds(self, setting: str, bounds: object) -> None:
        if not isinstance(bounds, Mapping):
            key = self.setting(setting)
            raise SettingError(key, bounds, "it must map metrics to numbers", f"set +{key}.accuracy=0.5")
        for metric, bound in bounds.items():
            if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound):
                key = f"{self.setting(setting)}.{metric}"
                raise SettingError(key, bound, "it must be a number", f"set {key}=0.5")

    def _judge(self, evidence: Evidence) -> Finding:
        if evidence.champion is not None and not self.always:
            return True, f"not asked, because {evidence.champion.title} is there to compare with", {}
        scores = evidence.challenger.evaluation.aggregates
        figures: dict[str, float] = {}
        kept, broken = [], []
        for setting, sign, bounds in (("at_least", 1.0, self.at_least), ("at_most", -1.0, self.at_most)):
            words = setting.replace("_", " ")
            for metric, bound in bounds.items():
                value = self.measured(setting, metric, scores)
                figures |= {metric: value, f"{metric} {words}": bound}
                # NaN keeps no bound.
                if sign * value >= sign * bound:
                    kept.append(f"{metric} is {value:.4f}, {words} {bound:g}")
                else:
                    broken.append(f"{metric} is {value:.4f}, not {words} {bound:g}")
        return not broken, "; ".join(broken or kept), figures
