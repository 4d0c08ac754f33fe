"""Whole numbers from the command line, which gives text."""

from __future__ import annotations

from wellai_exp.errors import SettingError


def whole_number(setting: str, value: object, remedy: str) -> int:
    """Give `value` as an integer.

    Raises
    ------
    SettingError
        Where it is none.
    """
    try:
        return int(str(value))
    except ValueError:
        raise SettingError(setting, value, "it must be a whole number", remedy) from None
