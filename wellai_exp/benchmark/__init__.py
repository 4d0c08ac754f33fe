"""How fast a network classifies one frame on this machine, and how large it is."""

from wellai_exp.benchmark._latency import Latency, LatencyBook, measure
from wellai_exp.benchmark._runtime import Keras, LiteRT, Loaded, Runtime

__all__ = ["Keras", "Latency", "LatencyBook", "LiteRT", "Loaded", "Runtime", "measure"]
