"""Settings that may be a list."""

from __future__ import annotations

from omegaconf import ListConfig


def listed(value: object) -> list[object]:
    """Give a setting that is a list, one value, or nothing as a list."""
    if isinstance(value, ListConfig):
        return list(value)
    return [] if value is None else [value]
