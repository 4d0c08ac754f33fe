"""Checks of parameters and counts that every strategy of the family shares."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError

Counts = npt.NDArray[np.int64]


def check_real(
    name: str,
    value: object,
    *,
    least: float = -np.inf,
    most: float = np.inf,
    example: float,
    least_allowed: bool = True,
    most_allowed: bool = True,
) -> None:
    """Refuse a parameter that is not a finite number between `least` and `most`.

    Parameters
    ----------
    name : str
        The parameter, as it stands below ``imbalance.``.
    value : object
        What was given.
    least, most : float
        The bounds.
    example : float
        A value that works, for the remedy.
    least_allowed, most_allowed : bool
        Whether the bound itself may be used.

    Raises
    ------
    SettingError
        Where the value cannot work.
    """
    if not isinstance(value, bool) and isinstance(value, Real) and np.isfinite(float(value)):
        number = float(value)
        above = number > least or (least_allowed and number == least)
        below = number < most or (most_allowed and number == most)
        if above and below:
            return
    low = "" if least == -np.inf else f" {'of at least' if least_allowed else 'above'} {least:g}"
    high = "" if most == np.inf else f" {'of at most' if most_allowed else 'below'} {most:g}"
    bounds = f"{low} and{high}" if low and high else f"{low}{high}"
    raise SettingError(
        f"imbalance.{name}", value, f"it must be a finite number{bounds}", f"set imbalance.{name}={example}"
    )


def check_count(name: str, value: object, *, least: int, example: int) -> None:
    """Refuse a parameter that is not a whole number of at least `least` (SettingError)."""
    if not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least:
        return
    raise SettingError(
        f"imbalance.{name}", value, f"it must be a whole number of at least {least}", f"set imbalance.{name}={example}"
    )


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a parameter that is none of `choices` (SettingError)."""
    if value not in choices:
        raise SettingError(
            f"imbalance.{name}", value, f"it must be one of {', '.join(choices)}", f"set imbalance.{name}={choices[0]}"
        )


def checked_counts(counts: npt.ArrayLike) -> Counts:
    """Give the images of each class as int64 [C].

    Raises
    ------
    ValueError
        Where they are not a vector of whole, non-negative numbers with a positive sum.
    """
    given = np.asarray(counts)
    if given.ndim != 1 or given.size == 0:
        raise ValueError(f"counts must be a vector [C] with one number for each class, not of shape {given.shape}")
    if not np.isfinite(given).all() or (given < 0).any() or (given != np.floor(given)).any():
        raise ValueError("counts must be whole, non-negative numbers")
    if given.sum() == 0:
        raise ValueError("counts are all zero: there is no image to learn from")
    return given.astype(np.int64)
