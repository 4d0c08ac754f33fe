"""Settings that are named in a config and whose numbers have ranges."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from wellai_exp.errors import SettingError


@dataclass(frozen=True)
class Ranged:
    """A frozen value of a config group that is composed of several, e.g. gates or checks.

    Parameters
    ----------
    name : str
        What tables and errors call it: its key in the group. By default its class in snake case.

    Raises
    ------
    SettingError
        Where a number lies outside the range that `ranges` gives for it.

    Notes
    -----
    A subclass is a frozen dataclass of its settings and names the range of each number in `ranges`.
    """

    group: ClassVar[str]
    """The config group."""
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """For each setting that is a number, the least and the greatest that can work."""

    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower())
        for setting, (low, high) in self.ranges.items():
            self._check(setting, low, high)

    def setting(self, field_name: str) -> str:
        """Give a setting as it is typed on the command line."""
        return f"{self.group}.{self.name}.{field_name}"

    def _check(self, field_name: str, low: float, high: float) -> None:
        value = getattr(self, field_name)
        default = next(each.default for each in fields(self) if each.name == field_name)
        kinds: tuple[type, ...] = (int,) if isinstance(default, int) else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if number and math.isfinite(value) and low <= value <= high:
            return
        kind = "a whole number" if kinds == (int,) else "a number"
        reach = f", at least {low:g}" if math.isfinite(low) else ""
        reach += f", at most {high:g}" if math.isfinite(high) else ""
        setting = self.setting(field_name)
        raise SettingError(setting, value, f"it must be {kind}{reach}", f"set {setting}={default}")
