"""TensorFlow as a Python server would use it, on Keras's file and on a SavedModel."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.export._graph import INPUT, OUTPUT
from wellai_exp.export._opened import Opened
from wellai_exp.export._runtime import Runtime
from wellai_exp.export._target import size_mb
from wellai_exp.runtime import cores

_POOLS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class TensorFlow(Runtime):
    """What both have in common.

    Parameters
    ----------
    threads : int or None
        How many threads compute one frame; None for as many as TensorFlow has, which is one a core where nothing else
        was set.

    Notes
    -----
    TensorFlow's pools of threads are made when it starts: `prepare` decides their size, and in a process where it runs
    already only the number that it has can be had.
    """

    @property
    def n_threads(self) -> int:
        """How many threads compute one frame on this machine."""
        return self.threads or _pool()

    def prepare(self) -> None:
        """Let TensorFlow start with this many threads, as `Runtime.prepare`."""
        if "tensorflow" not in sys.modules:
            # Those of single operations, and those that run the branches of a fusion side by side. The environment
            # rather than tf.config, so that `prepare_tensorflow` stays the place where TensorFlow is imported.
            os.environ.update(dict.fromkeys(_POOLS, str(self.n_threads)))
        super().prepare()

    def _check_threads(self) -> None:
        super()._check_threads()
        if self.n_threads != _pool():
            raise SettingError(
                "runtime.threads",
                self.threads,
                f"TensorFlow runs in this process with {_pool()} threads and cannot change that",
                f"set runtime.threads={_pool()}, or choose runtime=litert",
            )


@dataclass(frozen=True)
class Keras(TensorFlow):
    """One traced function for one frame; the ``.keras`` file is shipped."""

    name: ClassVar[str] = "keras"
    format: ClassVar[str] = "keras"
    target: ClassVar[str] = "keras"

    def _converted(self, model: Any, folder: Path) -> tuple[Opened, float]:
        path = folder / "model.keras"
        model.save(path, include_optimizer=False)
        return _traced(model), size_mb(path)

    def _open(self, path: Path, size: int) -> Opened:
        import keras

        return _traced(keras.saving.load_model(path, compile=False, safe_mode=True))


@dataclass(frozen=True)
class SavedModel(TensorFlow):
    """TensorFlow on a SavedModel's serving signature, without Keras."""

    name: ClassVar[str] = "saved_model"
    format: ClassVar[str] = "saved_model"
    target: ClassVar[str] = "saved_model"

    def _open(self, path: Path, size: int) -> Opened:
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
        # The signature holds the variables weakly: `loaded` lives as long as this function.
        return Opened(size, lambda frame: np.asarray(serve(**{INPUT: tf.constant(frame)})[OUTPUT]), lambda: loaded)


def _traced(model: Any) -> Opened:
    import tensorflow as tf

    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)]
    traced = tf.function(lambda image: model(image, training=False), input_signature=signature, jit_compile=False)
    return Opened(int(model.input_shape[1]), lambda frame: np.asarray(traced(frame)))


def _pool() -> int:
    """Count TensorFlow's threads; left alone, it takes one a core."""
    return max(int(os.environ.get(pool, "0")) or cores() for pool in _POOLS)
