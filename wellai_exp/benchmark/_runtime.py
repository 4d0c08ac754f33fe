"""What runs a network where it is used: a Keras model becomes a function of one frame and a size on disk."""

from __future__ import annotations

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.benchmark._machine import cores
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.runtime import native_stderr_hidden

Array = npt.NDArray[np.float32]

_MEGABYTE = 1e6
_PARITY_FRAMES = 3
_POOLS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# Other kernels sum in another order, which moves float32 results by about 1e-5 of their size; a wrong graph moves them
# by far more.
_TOLERANCE = 1e-3


def random_frames(size: int, n: int) -> Array:
    """Give `n` frames of whole pixel values 0 to 255, float32 of shape ``(n, 1, size, size, 3)``; always the same."""
    return np.random.default_rng(0).integers(0, 256, (n, 1, size, size, 3)).astype(np.float32)


@dataclass(frozen=True)
class Loaded:
    """A network in its runtime.

    Parameters
    ----------
    classify : callable
        Maps one frame, float32 of shape ``(1, size, size, 3)`` with pixels 0 to 255, to the network's output, float32
        of shape ``(1, c)``.
    size_mb : float
        What would be shipped, in 10⁶ bytes.
    """

    classify: Callable[[Array], Array]
    size_mb: float


@dataclass(frozen=True)
class Runtime(ABC):
    """What runs a network; a frozen value.

    Parameters
    ----------
    threads : int or None
        How many threads compute one frame, at least 1; None for one a core.

    Raises
    ------
    SettingError
        Where `threads` is no such number.
    """

    threads: int | None = 1

    def __post_init__(self) -> None:
        wanted: object = self.threads
        if wanted is not None and (isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1):
            raise SettingError(
                "runtime.threads", wanted, "it must be a whole number, at least 1, or null", "set runtime.threads=1"
            )

    @property
    def name(self) -> str:
        """The runtime's name, as its file in ``conf/runtime`` has it."""
        return type(self).__name__.lower()

    @property
    def n_threads(self) -> int:
        """How many threads compute one frame on this machine."""
        return self.threads or cores()

    def prepare(self) -> None:
        """Set what cannot be set later, for the whole process.

        Call it before TensorFlow starts, and only in a process that has nothing to do but to measure.

        Raises
        ------
        SettingError
            Where this process cannot have `threads`.
        """
        self._check_threads()

    def load(self, model: Any) -> Loaded:
        """Bring a network into this runtime, and make sure that it still gives the same.

        Parameters
        ----------
        model : keras.Model
            From images ``(n, size, size, 3)``, pixels 0 to 255, to float32 ``(n, c)``.

        Returns
        -------
        Loaded

        Raises
        ------
        SettingError
            Where this process cannot have `threads`.
        TrialFailed
            Where the network cannot be converted, or gives something else than in Keras.
        """
        self._check_threads()
        loaded = self._load(model)
        frames = random_frames(model.input_shape[1], _PARITY_FRAMES)
        expected = [np.asarray(model(frame, training=False)) for frame in frames]
        largest = max(np.abs(each).max() for each in expected)
        difference = max(
            np.abs(loaded.classify(frame) - each).max() for frame, each in zip(frames, expected, strict=True)
        )
        # Written so that NaN is refused as well.
        if not difference <= _TOLERANCE * largest:
            raise TrialFailed(
                f"in {self.name} {model.name} differs from Keras by {difference:.3g} in outputs up to {largest:.3g}"
            )
        return loaded

    def _check_threads(self) -> None:
        """Refuse threads that this process cannot have."""
        if self.n_threads > cores():
            raise SettingError(
                "runtime.threads",
                self.threads,
                f"this process may use {cores()} cores",
                f"set runtime.threads to at most {cores()}",
            )

    @abstractmethod
    def _load(self, model: Any) -> Loaded:
        """Convert, without a check."""


@dataclass(frozen=True)
class Keras(Runtime):
    """TensorFlow as a Python server would use it: one traced function for one frame; the ``.keras`` file is shipped.

    Notes
    -----
    TensorFlow's pools of threads are made when it starts: `prepare` decides their size, and in a process where it runs
    already only the number that it has can be had.
    """

    def prepare(self) -> None:
        """Let TensorFlow start with this many threads, as `Runtime.prepare`."""
        if "tensorflow" not in sys.modules:
            # Those of single operations, and those that run the branches of a fusion side by side. The environment
            # rather than tf.config, so that `prepare_tensorflow` stays the place where TensorFlow is imported.
            os.environ.update(dict.fromkeys(_POOLS, str(self.n_threads)))
        super().prepare()

    def _check_threads(self) -> None:
        super()._check_threads()
        # Left alone, TensorFlow takes one thread a core.
        available = max(int(os.environ.get(pool, "0")) or cores() for pool in _POOLS)
        if self.n_threads != available:
            raise SettingError(
                "runtime.threads",
                self.threads,
                f"TensorFlow runs in this process with {available} threads and cannot change that",
                f"set runtime.threads={available}, or choose runtime=litert",
            )

    def _load(self, model: Any) -> Loaded:
        import tensorflow as tf

        signature = [tf.TensorSpec(_one_frame(model), tf.float32)]
        traced = tf.function(lambda image: model(image, training=False), input_signature=signature, jit_compile=False)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path, include_optimizer=False)
            size = path.stat().st_size
        return Loaded(lambda frame: np.asarray(traced(frame)), size / _MEGABYTE)


@dataclass(frozen=True)
class LiteRT(Runtime):
    """LiteRT, which also runs in browsers and on telephones: a float32 ``.tflite`` file is shipped.

    Its kernels are XNNPACK's (https://github.com/google/XNNPACK) where it has them.
    """

    def _load(self, model: Any) -> Loaded:
        from ai_edge_litert.interpreter import Interpreter

        try:
            content = _convert(model)
            # LiteRT tells its users on stderr which delegate it made.
            with native_stderr_hidden():
                interpreter = Interpreter(model_content=content, num_threads=self.n_threads)
                interpreter.allocate_tensors()
        except Exception as error:  # the converter and the interpreter raise various kinds of their own
            raise TrialFailed(
                f"{model.name} cannot be converted for litert ({' '.join(str(error).split())})"
            ) from error
        source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

        def classify(frame: Array) -> Array:
            interpreter.set_tensor(source, frame)
            interpreter.invoke()
            output: Array = interpreter.get_tensor(target)
            return output

        return Loaded(classify, len(content) / _MEGABYTE)


def _one_frame(model: Any) -> tuple[int, ...]:
    return (1, *model.input_shape[1:])


def _convert(model: Any) -> bytes:
    """Give the network as a float32 TFLite file, for one frame at a time."""
    import keras
    import tensorflow as tf

    signature = [tf.TensorSpec(_one_frame(model), tf.float32, name="image")]
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        # `model.export` would trace in training mode where a layer is random.
        archive.add_endpoint("serve", lambda image: model(image, training=False), input_signature=signature)
        archive.write_out(folder, verbose=False)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())
