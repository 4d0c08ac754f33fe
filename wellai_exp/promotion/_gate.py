"""The base class of every gate: it validates, its subclasses judge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from wellai_exp.errors import SettingError
from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._verdict import Verdict
from wellai_exp.ranged import Ranged

# Whether the gate is passed, the sentence, and the figures.
Finding = tuple[bool, str, Mapping[str, float]]


@dataclass(frozen=True)
class Gate(Ranged, ABC):
    """One condition that a challenger must meet; a frozen value.

    Notes
    -----
    A subclass overrides `_judge`.
    """

    group: ClassVar[str] = "promotion"

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
