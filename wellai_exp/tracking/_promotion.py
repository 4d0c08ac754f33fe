"""The history of promotions, kept as tags of the registered model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from uuid import uuid4

GATE_TAG = "gate/"
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
    verdict : str
        ``passed`` or ``forced`` where gates judged the version; empty where none did.
    """

    name: str
    alias: str
    version: int | None
    previous: int | None
    who: str
    reason: str
    at: str
    action: str
    verdict: str = ""


@dataclass(frozen=True)
class Judgement:
    """What gates said of a version; it is kept with the promotion that follows from it.

    Parameters
    ----------
    version : int
        The version that was judged.
    champion : int or None
        The version that held the alias meanwhile, against which it was judged.
    gates : mapping of str to bool
        Whether each gate was passed.
    document : mapping
        All of it in plain values, for the run's artifacts.
    forced : bool
        Whether the version is to be promoted against its gates.
    """

    version: int
    champion: int | None
    gates: Mapping[str, bool]
    document: Mapping[str, object] = field(default_factory=dict)
    forced: bool = False

    @property
    def failed(self) -> tuple[str, ...]:
        """The gates that refuse the version."""
        return tuple(gate for gate, passed in self.gates.items() if not passed)

    @property
    def verdict(self) -> str:
        """``passed``, ``failed``, or ``forced`` where it failed and is to be promoted all the same."""
        if not self.failed:
            return "passed"
        return "forced" if self.forced else "failed"

    @property
    def tags(self) -> dict[str, str]:
        """What the version is tagged with."""
        gates = {f"{GATE_TAG}{gate}": "passed" if passed else "failed" for gate, passed in self.gates.items()}
        return {**gates, "promotion_verdict": self.verdict}


def history(name: str, tags: Mapping[str, str]) -> tuple[Promotion, ...]:
    """Read all steps of a registered model from its tags, oldest first."""
    steps = sorted(key for key in tags if key.startswith(_PREFIX))
    return tuple(Promotion(**{**json.loads(tags[key]), "name": name}) for key in steps)


def as_tag(step: Promotion, earlier: tuple[Promotion, ...]) -> tuple[str, str]:
    """Give the tag that records `step` after `earlier`: one tag a step, so that none is ever rewritten.

    On a server two machines, which share no lock, may both take the same number; the name's end keeps them apart.
    """
    return f"{_PREFIX}{len(earlier) + 1:06d}.{uuid4().hex[:8]}", json.dumps(asdict(step), ensure_ascii=False)


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
