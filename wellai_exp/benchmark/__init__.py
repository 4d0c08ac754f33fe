"""How fast a network classifies one frame on this machine, how large it is, and how fast photographs are collected."""

from wellai_exp.benchmark._collecting import CollectingRate, measure_collecting
from wellai_exp.benchmark._latency import Latency, LatencyBook, measure
from wellai_exp.benchmark._runtime import Keras, LiteRT, Loaded, Runtime

__all__ = [
    "CollectingRate",
    "Keras",
    "Latency",
    "LatencyBook",
    "LiteRT",
    "Loaded",
    "Runtime",
    "measure",
    "measure_collecting",
]
