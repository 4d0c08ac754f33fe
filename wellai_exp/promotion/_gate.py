"""The base class of every gate: it validates, its subclasses judge."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from wellai_exp.errors import SettingError
from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._verdict import Verdict

# Whether the gate is passed, the sentence, and the figures.
Finding = tuple[bool, str, Mapping[str, float]]


@dataclass(frozen=True)
class Gate(ABC):
    """One condition that a challenger must meet; a frozen value.

    Parameters
    ----------
    name : str
        What verdicts and errors call it: its key in ``conf/promotion``. By default its class in snake case.

    Raises
    ------
    SettingError
        Where a number lies outside the range that `ranges` gives for it.

    Notes
    -----
    A subclass is a frozen dataclass of its settings. It names the range of each number in `ranges` and overrides
    `_judge`.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """For each setting that is a number, the least and the greatest that can work."""

    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower())
        for setting, (low, high) in self.ranges.items():
            self._check(setting, low, high)

    def _check(self, setting: str, low: float, high: float) -> None:
        value = getattr(self, setting)
        default = next(each.default for each in fields(self) if each.name == setting)
        kinds: tuple[type, ...] = (int,) if isinstance(default, int) else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if number and math.isfinite(value) and low <= value <= high:
            return
        kind = "a whole number" if kinds == (int,) else "a number"
        reach = f", at least {low:g}" if math.isfinite(low) else ""
        reach += f", at most {high:g}" if math.isfinite(high) else ""
        setting = self.setting(setting)
        raise SettingError(setting, value, f"it must be {kind}{reach}", f"set {setting}={default}")

    def setting(self, field_name: str) -> str:
        """Give a setting as it is typed on the command line."""
        return f"promotion.{self.name}.{field_name}"

    def judge(self, evidence: Evidence) -> Verdict:
        """Say whether the challenger passes.

        Parameters
        ----------
        evidence : Evidence
            All that is known of challenger and champion.

        Raises
        ------
        SettingError
            Where a setting does not fit the evidence, e.g. names a metric that was not measured.
        """
        passed, sentence, figures = self._judge(evidence)
        return Verdict(self.name, passed, sentence, figures)

    @abstractmethod
    def _judge(self, evidence: Evidence) -> Finding:
        """Judge, in a sentence without a full stop."""

    def measured(self, field_name: str, metric: str, scores: Mapping[str, float]) -> float:
        """Pick the metric that a setting names.

        Raises
        ------
        SettingError
            Where it was not measured.
        """
        if metric not in scores:
            raise SettingError(
                self.setting(field_name), metric, "there is no such metric", f"choose among {', '.join(scores)}"
            )
        return scores[metric]
