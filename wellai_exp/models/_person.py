"""How surely somebody is in view: two public pose models behind one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError

Image = npt.NDArray[np.uint8]
_KEY_POINTS = 17


class PersonModel:
    """A TFLite pose or person model that scores single pictures.

    Two kinds are known, told apart by what they give: MoveNet single pose (17 key points; the score is the mean of
    theirs) and MediaPipe's pose detection (a logit for each anchor; the score is the sigmoid of the greatest, after
    Bazarevsky et al., "BlazePose", arXiv 2006.10204).

    Parameters
    ----------
    path : Path
        The ``.tflite`` file.
    setting : str
        The setting that names it, for errors.

    Raises
    ------
    SettingError
        Where there is no such file, or it is no such model.
    """

    def __init__(self, path: Path, setting: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        if not path.is_file():
            raise SettingError(setting, path, "there is no such file", f"set {setting} to a .tflite file, or to null")
        try:
            self._interpreter = Interpreter(str(path))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise SettingError(setting, path, "it is no TFLite model", f"set {setting} to a .tflite file") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._scores_of(self._interpreter.get_output_details())
        shape = self._input["shape"]
        if self._output is None or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise SettingError(
                setting,
                path,
                "it is neither MoveNet single pose nor MediaPipe's pose detection",
                f"set {setting} to one of them",
            )

    @staticmethod
    def _scores_of(outputs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """Find the output that holds scores: [1, 1, 17, 3] or [1, anchors, 1]."""
        for output in outputs:
            shape = tuple(output["shape"])
            if shape == (1, 1, _KEY_POINTS, 3) or (len(shape) == 3 and shape[2] == 1):
                return output
        return None

    @property
    def size(self) -> int:
        """Side of the square picture that it takes, in pixels."""
        return int(self._input["shape"][1])

    def score(self, picture: Image) -> float:
        """Say how surely somebody is in view.

        Parameters
        ----------
        picture : array of uint8, shape (size, size, 3)
            Red first, padded rather than stretched.

        Returns
        -------
        float
            0 to 1.
        """
        kind = self._input["dtype"]
        batch = picture[None] if kind == np.uint8 else (picture[None].astype(np.float32) / 127.5 - 1.0).astype(kind)
        self._interpreter.set_tensor(self._input["index"], batch)
        self._interpreter.invoke()
        assert self._output is not None  # noqa: S101 - checked at birth
        found = self._interpreter.get_tensor(self._output["index"])[0]
        if found.shape[-1] == 3:
            return float(found[0, :, 2].mean())
        return float(1.0 / (1.0 + np.exp(-np.clip(found.max(), -50.0, 50.0))))
