"""Photographs without anybody in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._check import IntArray, Measured
from wellai_exp.cleaning._evidence import Evidence
from wellai_exp.errors import SettingError


@dataclass(frozen=True)
class NoPerson(Measured):
    """A pose or person model sees nobody.

    Parameters
    ----------
    least : float
        Score that the model must give, 0 to 1; it depends on the model.
    model : str, optional
        Path of a ``.tflite`` file that `wellai_exp.models.PersonModel` reads; None leaves the check out.
    """

    title: ClassVar[str] = "Nobody in view"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"least": (0.0, 1.0)}
    needs: ClassVar[Literal["", "features", "probabilities", "person_scores"]] = "person_scores"
    side: ClassVar[Literal["below", "above"]] = "below"
    limit: ClassVar[str] = "least"

    least: float = 0.28
    model: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model is not None and not (isinstance(self.model, str) and self.model.strip()):
            setting = self.setting("model")
            raise SettingError(setting, self.model, "it must be the path of a .tflite file", f"set {setting}=FILE")

    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        if evidence.person_scores is None:
            raise ValueError("There are no person scores.")
        return evidence.person_scores(rows).astype(np.float64)

    def _reason(self, value: float) -> str:
        return f"the model is {value:.2f} sure of a person, less than {self.least:g}"
