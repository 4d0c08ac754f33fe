"""How fast a network classifies one frame on this machine, how large it is, and how fast photographs are collected."""

from wellai_exp.benchmark._collecting import CollectingRate, measure_collecting
from wellai_exp.benchmark._latency import Latency, LatencyBook, measure

__all__ = [
    "CollectingRate",
    "Latency",
    "LatencyBook",
    "measure",
    "measure_collecting",
]
