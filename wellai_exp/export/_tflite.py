"""TFLite files, which LiteRT runs on telephones, on small machines and in browsers."""

from __future__ import annotations

import csv
import io
import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
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
        ``dynamic`` keeps weights in 8 bits and computes most of the rest in float32, ``int8`` in whole numbers.
    calibration : int
        Training images by which ``int8`` chooses the ranges of its numbers, at least 1.
    float_share : float
        Share of its size by which an ``int8`` file may grow so that its first layers stay in float32, as the last one
        then does. 0 has it compute in whole numbers throughout and take pixels as they are, uint8, as some
        accelerators want it.

    Raises
    ------
    SettingError
        Where there are no such weights or no such number.

    Notes
    -----
    A rounding error of the first layers goes through all that follow, and few weights lie there; one step of the
    logits, which have a wide range, is already a fifth of their unit. Mixed precision leaves both ends alone (Gholami
    et al. 2021, arXiv:2103.13630, section IV.B).
    """

    format: ClassVar[str] = "tflite"
    kinds: ClassVar[tuple[str, ...]] = ("float32", "float16", "dynamic", "int8")

    calibration: int = 200
    float_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted: object = self.calibration
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            setting = f"target.{self.name}.calibration"
            raise SettingError(setting, wanted, "it must be a whole number, at least 1", f"set {setting}=200")
        share: object = self.float_share
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            setting = f"target.{self.name}.float_share"
            raise SettingError(setting, share, "it must be a number from 0 to 1", f"set {setting}=0.05")

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
        with_float_ends = self.weights == "int8" and self.float_share > 0
        if self.weights == "int8":
            converter.representative_dataset = self._representative(served)
        if self.weights == "int8" and not with_float_ends:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
        # The converter's C++ part reports on stderr what it does.
        with native_stderr_hidden():
            content = _with_float_ends(converter, self.float_share) if with_float_ends else converter.convert()
        path.write_bytes(content)

    def _representative(self, served: Served) -> Callable[[], Iterator[list[npt.NDArray[np.float32]]]]:
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

        return representative


def _with_float_ends(converter: Any, share: float) -> bytes:
    """Quantise all but the last layer, with what leads to it, and as many first ones as `share` has room for."""
    import tensorflow as tf

    tools = tf.lite.experimental

    def spared(names: Sequence[str]) -> Any:
        return tools.QuantizationDebugOptions(denylisted_nodes=list(names))

    frames = itertools.islice(converter.representative_dataset(), 1)
    debugger = tools.QuantizationDebugger(converter=converter, debug_dataset=lambda: frames, debug_options=spared(()))
    debugger.run()
    listed = io.StringIO()
    debugger.layer_statistics_dump(listed)
    operations = list(csv.DictReader(io.StringIO(listed.getvalue())))
    names = [each["tensor_name"] for each in operations]
    kinds = [each["op_name"] for each in operations]
    weighted = [place for place, kind in enumerate(kinds) if "CONV" in kind or kind == "FULLY_CONNECTED"]
    tail = 1 + weighted[-2] if len(weighted) > 1 else len(kinds)

    @cache
    def quantised(first: int) -> bytes:
        debugger.options = spared([*names[:first], *names[tail:]])
        content: bytes = debugger.get_nondebug_quantized_model()
        return content

    room = (1 + share) * len(quantised(0))
    first = bisect_left(range(1, tail), True, key=lambda head: len(quantised(head)) > room)
    return quantised(first)
