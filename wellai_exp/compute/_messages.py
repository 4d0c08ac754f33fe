"""What parent and workers say to each other; how it travels is the transport's business.

Only the parent writes to the study. A worker evaluates one proposal after another and asks before anything that counts:
the answer says whether the attempt is still its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from wellai_exp.search import Proposal, Report

# Gets a brief that says what kind of trial it is, the proposal, and where to report; gives the trial's metrics.
Work = Callable[[Any, Proposal, Report], Mapping[str, float]]


@dataclass(frozen=True)
class Note:
    """A figure beside a trial's metrics, such as the seconds of one of its parts."""

    name: str
    value: float


class Job(Protocol):
    """What a worker is hired for; it travels pickled."""

    def open(self, say: Callable[[str], None], note: Callable[[Note], None]) -> Work:
        """Make everything ready, in the worker's own process."""


# From the parent.


@dataclass(frozen=True)
class Hired:
    """The first message.

    Parameters
    ----------
    job : bytes
        The job, pickled apart, because reading it imports everything that it needs.
    environment : mapping of str to str
        Variables that a worker on another machine gets from its parent.
    """

    job: bytes
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Assigned:
    """A proposal to evaluate."""

    brief: Any
    proposal: Proposal


@dataclass(frozen=True)
class Verdict:
    """The answer to `Reported` and `Finished`: go on, stop, fail for this reason, or the attempt is given up."""

    kind: Literal["go", "prune", "fail", "drop"]
    text: str = ""


@dataclass(frozen=True)
class Dropped:
    """The attempt was given up; the worker need not bring it to its end."""

    number: int


@dataclass(frozen=True)
class Stop:
    """Leave as after SIGTERM."""


# From a worker.


@dataclass(frozen=True)
class Free:
    """Ready for a proposal; the one before is over with everything that belonged to it."""


@dataclass(frozen=True)
class Beat:
    """A sign of life."""


@dataclass(frozen=True)
class Said:
    """What goes on now, for the terminal."""

    text: str


@dataclass(frozen=True)
class Reported:
    """What a trial has reached after an epoch; the worker waits for a verdict."""

    number: int
    epoch: int
    metrics: Mapping[str, float]
    last: bool


@dataclass(frozen=True)
class Finished:
    """A trial's metrics; the worker waits for a verdict before it ends the trial's run."""

    number: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Ended:
    """How a trial ended that has no metrics.

    Parameters
    ----------
    number : int
        Optuna's number.
    how : {"pruned", "failed", "cut off", "broken"}
        Broken where a store does not work: the sweep cannot go on.
    reason : str
        Why.
    """

    number: int
    how: Literal["pruned", "failed", "cut off", "broken"]
    reason: str = ""


Received = Free | Beat | Note | Said | Reported | Finished | Ended
