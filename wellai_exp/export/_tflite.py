"""TFLite files, which LiteRT runs on telephones, on small machines and in browsers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.export._target import Served, Target
from wellai_exp.runtime import native_stderr_hidden


@dataclass(frozen=True)
class TFLite(Target):
    """One ``.tflite`` file.

    Parameters
    ----------
    weights : {"float32", "float16", "dynamic", "int8"}
        ``dynamic`` keeps weights in 8 bits and computes most of the rest in float32; ``int8`` computes in whole numbers
        throughout and takes pixels as they are, uint8.
    calibration : int
        Training images by which ``int8`` chooses the ranges of its numbers, at least 1.

    Raises
    ------
    SettingError
        Where there are no such weights or no such number.
    """

    format: ClassVar[str] = "tflite"
    kinds: ClassVar[tuple[str, ...]] = ("float32", "float16", "dynamic", "int8")

    calibration: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted: object = self.calibration
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            setting = f"target.{self.name}.calibration"
            raise SettingError(setting, wanted, "it must be a whole number, at least 1", f"set {setting}=200")

    def path(self, size: int | None = None) -> str:
        """Give where it lies in a bundle, as `Target.path`."""
        return super().path(size) + ".tflite"

    def _write(self, served: Served, path: Path) -> None:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(served.folder))
        if self.weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if self.weights == "int8":
            self._calibrate(converter, served)
        # The converter's C++ part reports on stderr what it does.
        with native_stderr_hidden():
            content = converter.convert()
        path.write_bytes(content)

    def _calibrate(self, converter: Any, served: Served) -> None:
        import tensorflow as tf

        if served.photographs is None:
            raise TrialFailed(f"{served.name} cannot be written as {self.name}: no training images are at hand")
        images = served.photographs(self.calibration)

        def representative() -> Iterator[list[npt.NDArray[np.float32]]]:
            for image in images:
                frame = image[None].astype(np.float32)
                # One step of the input is one grey level, whatever range these few pictures have.
                frame[0, 0, 0] = 0.0
                frame[0, 0, 1] = 255.0
                yield [frame]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
