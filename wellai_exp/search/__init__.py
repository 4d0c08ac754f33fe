"""Propose configurations, remember their values, go on where a stopped sweep left off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wellai_exp.search._goals import Constraint, Goals, MissingMetric
from wellai_exp.search._proposal import Attempt, Evaluate, Proposal, Report
from wellai_exp.search._pruning import DominancePruner, Pruned
from wellai_exp.search._results import Candidate, NothingFeasible, SweepFailed
from wellai_exp.search._settings import Search
from wellai_exp.search._space import Choice, Distribution, Integers, Interval, Space
from wellai_exp.search._study import Failures, Study
from wellai_exp.search._underway import Superseded, Underway, reason_of

if TYPE_CHECKING:
    from wellai_exp.search._bounded_tpe import BoundedTPESampler

__all__ = [
    "Attempt",
    "BoundedTPESampler",
    "Candidate",
    "Choice",
    "Constraint",
    "Distribution",
    "DominancePruner",
    "Evaluate",
    "Failures",
    "Goals",
    "Integers",
    "Interval",
    "MissingMetric",
    "NothingFeasible",
    "Proposal",
    "Pruned",
    "Report",
    "Search",
    "Space",
    "Study",
    "Superseded",
    "SweepFailed",
    "Underway",
    "reason_of",
]


def __getattr__(name: str) -> Any:
    """Import what needs Optuna, which takes half a second, when it is named."""
    if name == "BoundedTPESampler":
        from wellai_exp.search._bounded_tpe import BoundedTPESampler

        return BoundedTPESampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
