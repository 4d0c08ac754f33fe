"""The history of promotions, kept as tags of the registered model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

_PREFIX = "promotion."


@dataclass(frozen=True)
class Promotion:
    """One step of an alias.

    Parameters
    ----------
    name : str
        Registered model.
    alias : str
        Alias that moved.
    version : int or None
        Version that holds the alias afterwards; None where nobody does.
    previous : int or None
        Version that held it before.
    who, reason : str
        Who decided, and why.
    at : str
        When, in UTC, ISO 8601.
    action : str
        ``promote`` or ``rollback``.
    """

    name: str
    alias: str
    version: int | None
    previous: int | None
    who: str
    reason: str
    at: str
    action: str


def history(name: str, tags: Mapping[str, str]) -> tuple[Promotion, ...]:
    """Read all steps of a registered model from its tags, oldest first."""
    steps = sorted(key for key in tags if key.startswith(_PREFIX))
    return tuple(Promotion(**{**json.loads(tags[key]), "name": name}) for key in steps)


def as_tag(step: Promotion, earlier: tuple[Promotion, ...]) -> tuple[str, str]:
    """Give the tag that records `step` after `earlier`: one tag a step, so that none is ever rewritten."""
    return f"{_PREFIX}{len(earlier) + 1:06d}", json.dumps(asdict(step), ensure_ascii=False)


def standing(steps: Iterable[Promotion], alias: str) -> list[int]:
    """Give the versions whose promotion to `alias` was not rolled back, the present holder last.

    A step that found another holder than the one recorded (someone moved the alias by hand) counts that holder too, so
    that a rollback restores what really was there.
    """
    stack: list[int] = []
    for step in steps:
        if step.alias != alias:
            continue
        if step.action == "rollback":
            while stack and stack[-1] != step.version:
                stack.pop()
            continue
        if step.previous is not None and (not stack or stack[-1] != step.previous):
            stack.append(step.previous)
        if step.version is not None:
            stack.append(step.version)
    return stack
