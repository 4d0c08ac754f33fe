"""The base class of every check: it validates, its subclasses judge."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.cleaning._evidence import Evidence
from wellai_exp.ranged import Ranged

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Finding:
    """What a check found in k files.

    Parameters
    ----------
    flagged : array of bool, shape (k,)
        The files that it sets aside.
    values : array of float64, shape (k,)
        What it measured on each; NaN where there was nothing to measure.
    threshold : float
        What the values are held against; NaN where the check has no number.
    reasons : mapping of int to str
        For each flagged place, why.
    twins : mapping of int to int
        For a place, the row of the file that it is a copy of.
    """

    flagged: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float64]
    threshold: float
    reasons: Mapping[int, str]
    twins: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.flagged) != len(self.values) or set(self.reasons) != set(np.flatnonzero(self.flagged).tolist()):
            raise ValueError("A check has a value for each file and a reason for each that it flags.")


@dataclass(frozen=True)
class Check(Ranged, ABC):
    """One thing that may be wrong with a file; a frozen value.

    Notes
    -----
    A subclass overrides `_judge`.
    """

    group: ClassVar[str] = "cleaning"
    title: ClassVar[str]
    """What the page calls the files that it sets aside."""
    needs: ClassVar[Literal["", "features", "probabilities", "person_scores"]] = ""
    """What the evidence must hold beyond what was seen in the files."""
    pictures: ClassVar[bool] = True
    """Whether it judges pictures alone, and not files without one."""

    def missing(self, evidence: Evidence) -> bool:
        """Whether the evidence lacks what the check needs, so that it must be left out."""
        return bool(self.needs) and getattr(evidence, self.needs) is None

    def judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        """Say which of some files it sets aside.

        Parameters
        ----------
        evidence : Evidence
            All that is known of the files.
        rows : array of int64, shape (k,)
            Those that no earlier check has set aside, rising.

        Returns
        -------
        Finding
            Of those k files.
        """
        if self.missing(evidence):
            raise ValueError(f"{self.name} needs {self.needs}")
        return self._judge(evidence, rows)

    @abstractmethod
    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        """Judge; reasons are sentences without a full stop."""


@dataclass(frozen=True)
class Measured(Check):
    """A check that holds one measured number against one threshold."""

    side: ClassVar[Literal["below", "above"]]
    """On which side of the threshold a file is set aside; on it, it is kept."""
    limit: ClassVar[str]
    """The setting that is the threshold."""

    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        threshold = float(getattr(self, self.limit))
        values = self._values(evidence, rows).astype(np.float64)
        # A comparison with NaN, where there was nothing to measure, is false.
        flagged = values < threshold if self.side == "below" else values > threshold
        reasons = {int(place): self._reason(float(values[place])) for place in np.flatnonzero(flagged)}
        return Finding(flagged, values, threshold, reasons)

    @abstractmethod
    def _values(self, evidence: Evidence, rows: IntArray) -> npt.NDArray[np.float64]:
        """Measure each of k files, float [k]."""

    @abstractmethod
    def _reason(self, value: float) -> str:
        """Say what is wrong with a file of this value."""


@dataclass(frozen=True)
class Problem(Check):
    """A check of what left a file without a picture; it has no number."""

    pictures: ClassVar[bool] = False

    def _judge(self, evidence: Evidence, rows: IntArray) -> Finding:
        frame = evidence.frame.iloc[rows]
        flagged = (frame["problem"] == self.name).to_numpy()
        reasons = {int(place): str(frame["reason"].iloc[place]) for place in np.flatnonzero(flagged)}
        return Finding(flagged, np.full(len(rows), np.nan), math.nan, reasons)
