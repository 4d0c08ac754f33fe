"""How fast a network classifies one frame, what it does before a camera, how fast photographs are collected."""

from wellai_exp.benchmark._collecting import CollectingRate, measure_collecting
from wellai_exp.benchmark._latency import Latency, LatencyBook, measure
from wellai_exp.benchmark._machine import machine
from wellai_exp.benchmark._stream import Answer, Clock, Stream, run_stream
from wellai_exp.benchmark._stream_process import StreamResult, StreamTask, measure_stream
from wellai_exp.benchmark._stream_source import CameraFrames, Frames, VideoFrames

__all__ = [
    "Answer",
    "CameraFrames",
    "Clock",
    "CollectingRate",
    "Frames",
    "Latency",
    "LatencyBook",
    "Stream",
    "StreamResult",
    "StreamTask",
    "VideoFrames",
    "machine",
    "measure",
    "measure_collecting",
    "measure_stream",
    "run_stream",
]
