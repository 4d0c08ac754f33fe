"""What the collector's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile import Hostile, hostile_server


@pytest.fixture
def served() -> Iterator[Hostile]:
    """A server for one test alone, with forty photographs below /photo/."""
    from hostile import picture, whole

    with hostile_server() as hostile:
        hostile.routes |= {f"/photo/{number}": whole(picture(seed=number)) for number in range(40)}
        yield hostile
