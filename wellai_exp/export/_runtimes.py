"""Every runtime in which artifacts are checked."""

from __future__ import annotations

from wellai_exp.export._litert import LiteRT
from wellai_exp.export._onnxruntime import OnnxRuntime
from wellai_exp.export._runtime import Runtime
from wellai_exp.export._tensorflow import SavedModel

_KINDS: tuple[type[Runtime], ...] = (SavedModel, LiteRT, OnnxRuntime)


def all_runtimes() -> list[Runtime]:
    """Give one of each, computing in as many threads as it may."""
    return [kind(threads=None) for kind in _KINDS]
