"""Propose configurations, remember their values, go on where a stopped sweep left off."""

from wellai_exp.search._goals import Constraint, Goals, MissingMetric
from wellai_exp.search._proposal import Attempt, Evaluate, Proposal, Report
from wellai_exp.search._pruning import DominancePruner, Pruned
from wellai_exp.search._results import Candidate, NothingFeasible, SweepFailed
from wellai_exp.search._settings import Search
from wellai_exp.search._space import Choice, Distribution, Integers, Interval, Space
from wellai_exp.search._study import Failures, Study
from wellai_exp.search._underway import Superseded, Underway, reason_of

__all__ = [
    "Attempt",
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
