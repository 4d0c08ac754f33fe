"""Named places in the code that tests strike at: a kill there must lose nothing.

A test puts a function of its own in the place of `passed`; in production it does nothing.
"""

from __future__ import annotations

BEFORE_FIRST_BEAT = "before the first heartbeat"
BEFORE_RUN = "before the run is made"
LOCK_HELD = "with a lock held"
TOLD = "between the study's tell and the run's end"
SAVED = "between save and rename"
REGISTERING = "inside registration"


def passed(place: str) -> None:
    """Say that the program has come to a place."""
