"""Numbers from the command line, which gives text."""

from __future__ import annotations

import math

from wellai_exp.errors import SettingError


def whole_number(setting: str, value: object, remedy: str, *, least: int | None = None) -> int:
    """Give `value` as an integer.

    Raises
    ------
    SettingError
        Where it is none, or below `least`.
    """
    try:
        number = int(str(value))
    except ValueError:
        raise SettingError(setting, value, "it must be a whole number", remedy) from None
    if least is not None and number < least:
        raise SettingError(setting, value, f"it must be at least {least}", remedy)
    return number


def real_number(setting: str, value: object, remedy: str) -> float:
    """Give `value` as a finite number.

    Raises
    ------
    SettingError
        Where it is none.
    """
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingError(setting, value, "it must be a number", remedy)
    return number
