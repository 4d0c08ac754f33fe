"""Propose configurations, remember their values, go on where a stopped sweep left off."""

from wellai_exp.search._search import Proposal, Search, Study, SweepFailed
from wellai_exp.search._space import Choice, Distribution, Integers, Interval, Space

__all__ = [
    "Choice",
    "Distribution",
    "Integers",
    "Interval",
    "Proposal",
    "Search",
    "Space",
    "Study",
    "SweepFailed",
]
