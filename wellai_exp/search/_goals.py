"""What a search is after: metrics to raise or to lower, and bounds that the winner must keep."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError, TrialFailed

Direction = Literal["maximize", "minimize"]
_BOUND = re.compile(r"\s*(>=|<=|>|<)\s*(\S+)\s*")


class MissingMetric(SettingError):
    """A setting names a metric that the trials do not have: no trial can succeed, so the sweep ends at once."""


@dataclass(frozen=True)
class Constraint:
    """A bound on one quantity of a trial.

    Parameters
    ----------
    name : str
        The quantity, e.g. ``fps``.
    sign : str
        ``>=``, ``<=``, ``>`` or ``<``.
    bound : float
        In the quantity's own unit.
    """

    name: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, name: str, text: object) -> Constraint:
        """Read a bound as it stands in ``search.subject_to``.

        Raises
        ------
        SettingError
            Where it is not a comparison with a finite number.
        """
        found = _BOUND.fullmatch(text) if isinstance(text, str) else None
        try:
            bound = float(found[2]) if found else math.nan
        except ValueError:
            bound = math.nan
        if found is None or not math.isfinite(bound):
            raise SettingError(
                f"search.subject_to.{name}",
                text,
                "it must be one of >=, <=, > and <, and then a number",
                f"write for instance +search.subject_to.{name}='>= 30'",
            )
        return cls(name, found[1], bound)

    def excess(self, value: float) -> float:
        """Say how far a value lies beyond the bound.

        Returns
        -------
        float
            Relative to the bound's size (absolute where the bound is 0); at most 0 where the bound is kept.
        """
        past = self.bound - value if self.sign.startswith(">") else value - self.bound
        if past == 0 and not self.sign.endswith("="):
            return sys.float_info.epsilon
        return past / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        """Write it as a comparison."""
        return f"{self.name} {self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Goals:
    """The objectives, in order, and the constraints.

    Parameters
    ----------
    maximize : tuple of str
        Metrics where greater is better; the first one ranks the trials.
    minimize : tuple of str
        Metrics where less is better.
    constraints : tuple of Constraint
        What the winner must keep.
    """

    maximize: tuple[str, ...]
    minimize: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def parse(cls, maximize: object, minimize: object, subject_to: object) -> Goals:
        """Read the three settings.

        Raises
        ------
        SettingError
            Where a name is no name or comes twice, where nothing is maximised, or where a bound is unsound.
        """
        up, down = _names("search.maximize", maximize), _names("search.minimize", minimize)
        if not up:
            raise SettingError(
                "search.maximize",
                maximize,
                "the first metric named there ranks the trials, and there is none",
                "set search.maximize=auc_pr_macro",
            )
        twice = sorted({name for name in (*up, *down) if (*up, *down).count(name) > 1})
        if twice:
            raise SettingError(
                "search.minimize" if twice[0] in down else "search.maximize",
                twice[0],
                "a metric can be an objective once only",
                "leave it out of one of the two",
            )
        if not isinstance(subject_to, Mapping):
            raise SettingError(
                "search.subject_to",
                subject_to,
                "it must map quantities to bounds",
                "write +search.subject_to.fps='>= 30'",
            )
        return cls(up, down, tuple(Constraint.parse(str(name), text) for name, text in subject_to.items()))

    @property
    def first(self) -> str:
        """The objective that ranks the trials; greater is better."""
        return self.maximize[0]

    @property
    def objectives(self) -> tuple[str, ...]:
        """All objectives: those to maximise, then those to minimise."""
        return (*self.maximize, *self.minimize)

    @property
    def directions(self) -> list[Direction]:
        """Optuna's word for each objective."""
        up: list[Direction] = ["maximize"] * len(self.maximize)
        down: list[Direction] = ["minimize"] * len(self.minimize)
        return up + down

    @property
    def quantities(self) -> tuple[str, ...]:
        """Every name that a trial must have a value for, each once."""
        return tuple(dict.fromkeys((*self.objectives, *(constraint.name for constraint in self.constraints))))

    def __str__(self) -> str:
        """Write them as one line; equal goals give equal lines."""
        parts = [f"maximise {', '.join(self.maximize)}"]
        parts += [f"minimise {', '.join(self.minimize)}"] if self.minimize else []
        parts += [f"subject to {' and '.join(map(str, self.constraints))}"] if self.constraints else []
        return ", ".join(parts)

    def measured(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Pick the objectives and the constrained quantities out of a finished trial's metrics.

        Raises
        ------
        MissingMetric
            Where one is not among them.
        TrialFailed
            Where one is not a finite number.
        """
        return {name: self._value(name, metrics) for name in self.quantities}

    def reported(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Pick the same out of a report, which must hold the objectives and may hold the rest.

        Raises
        ------
        MissingMetric, TrialFailed
            As `measured`.
        """
        return {
            name: self._value(name, metrics) for name in self.quantities if name in self.objectives or name in metrics
        }

    def _value(self, name: str, metrics: Mapping[str, float]) -> float:
        if name not in metrics:
            raise MissingMetric(
                self._setting(name),
                name,
                "the trials have no metric of this name",
                f"choose among {', '.join(sorted(metrics))}",
            )
        value = float(metrics[name])
        if not math.isfinite(value):
            raise TrialFailed(f"its {name} was {value}")
        return value

    def _setting(self, name: str) -> str:
        if name in self.objectives:
            return "search.maximize" if name in self.maximize else "search.minimize"
        return f"search.subject_to.{name}"

    def excesses(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Give `Constraint.excess` of every constraint whose quantity is known, by the constraint's name."""
        return {each.name: each.excess(metrics[each.name]) for each in self.constraints if each.name in metrics}

    def losses(self, metrics: Mapping[str, float]) -> list[float]:
        """Give the objectives as numbers that are better where they are less."""
        return [-metrics[name] for name in self.maximize] + [metrics[name] for name in self.minimize]


def _names(setting: str, value: object) -> tuple[str, ...]:
    """Read one name, a list of names, or nothing."""
    names: Sequence[object] = () if value is None else value if isinstance(value, (list, tuple)) else (value,)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise SettingError(setting, value, "it must be a metric's name or a list of them", f"set {setting}=accuracy")
    return tuple(str(name) for name in names)


def dominators(losses: Sequence[float], others: npt.ArrayLike) -> int:
    """Count the points that dominate one: nowhere worse, somewhere better (Pareto).

    Parameters
    ----------
    losses : sequence of float, shape (objectives,)
        The point; less is better.
    others : array_like of float, shape (points, objectives)
        What it is compared with.

    Returns
    -------
    int
    """
    points = np.asarray(others, dtype=float).reshape(-1, len(losses))
    return int(((points <= losses).all(axis=1) & (points < losses).any(axis=1)).sum())


def ranks(losses: npt.ArrayLike) -> list[int]:
    """Sort points into fronts: 0 is dominated by none, 1 by none but those of 0, and so on.

    Parameters
    ----------
    losses : array_like of float, shape (points, objectives)
        Less is better.

    Returns
    -------
    list of int
        One rank a point (Deb et al. 2002, doi:10.1109/4235.996017).
    """
    points = np.asarray(losses, dtype=float)
    left, found = list(range(len(points))), [0] * len(points)
    rank = 0
    while left:
        front = [index for index in left if not dominators(points[index].tolist(), points[left])]
        for index in front:
            found[index] = rank
        left = [index for index in left if index not in front]
        rank += 1
    return found
