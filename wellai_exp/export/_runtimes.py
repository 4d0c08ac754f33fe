"""Every runtime in which artifacts are checked."""

from __future__ import annotations

from pathlib import Path

from wellai_exp.export._browser_engines import LiteRTJs, TfJs
from wellai_exp.export._litert import LiteRT
from wellai_exp.export._onnxruntime import OnnxRuntime
from wellai_exp.export._runtime import Runtime
from wellai_exp.export._tensorflow import SavedModel


def all_runtimes(store: Path) -> list[Runtime]:
    """Give one of each; those in Python compute in as many threads as they may.

    Parameters
    ----------
    store : Path
        ``paths.store``, where the libraries of those in a browser are kept.
    """
    native: list[Runtime] = [kind(threads=None) for kind in (SavedModel, LiteRT, OnnxRuntime)]
    return [*native, *(kind(store=str(store)) for kind in (LiteRTJs, TfJs))]
