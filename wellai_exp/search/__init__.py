"""Propose configurations, remember their values, go on where a stopped sweep left off."""

from wellai_exp.search._goals import Constraint, Goals
from wellai_exp.search._proposal import Evaluate, Proposal, Report
from wellai_exp.search._pruning import DominancePruner, Pruned
from wellai_exp.search._results import Candidate, NothingFeasible, SweepFailed
from wellai_exp.search._settings import Search
from wellai_exp.search._space import Choice, Distribution, Integers, Interval, Space
from wellai_exp.search._study import Study

__all__ = [
    "Candidate",
    "Choice",
    "Constraint",
    "Distribution",
    "DominancePruner",
    "Evaluate",
    "Goals",
    "Integers",
    "Interval",
    "NothingFeasible",
    "Proposal",
    "Pruned",
    "Report",
    "Search",
    "Space",
    "Study",
    "SweepFailed",
]
