"""Checks that every policy's settings share."""

from __future__ import annotations

import math

from wellai_exp.errors import SettingError

MAX_ROTATION = 30.0
"""Degrees. Beyond this a standing person begins to look like one who leans or lies, which is another pose."""


def check_between(setting: str, value: object, low: float, high: float, reason: str, example: object) -> None:
    """Refuse a value that is no number in ``[low, high]``.

    Parameters
    ----------
    setting : str
        The argument's name, without the group.
    value : object
        Its value.
    low, high : float
        The bounds, both allowed.
    reason : str
        What the value is, as the start of a sentence.
    example : object
        A value that works.

    Raises
    ------
    SettingError
        Naming ``augmentation.<setting>``.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(float(value)) or not low <= float(value) <= high:  # type: ignore[arg-type]
        _refuse(setting, value, f"{reason} must lie between {low:g} and {high:g}", example)


def check_count(setting: str, value: object, low: int, high: int, reason: str, example: int) -> None:
    """Refuse a value that is no whole number in ``[low, high]``; see `check_between`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        _refuse(setting, value, f"{reason} must be a whole number from {low} to {high}", example)


def check_flag(setting: str, value: object) -> None:
    """Refuse a value that is neither true nor false; see `check_between`."""
    if not isinstance(value, bool):
        _refuse(setting, value, "a switch must be true or false", "true")


def _refuse(setting: str, value: object, problem: str, example: object) -> None:
    raise SettingError(f"augmentation.{setting}", value, problem, f"set augmentation.{setting}={example}")
