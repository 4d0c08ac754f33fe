"""A worker, or a command, that dies at named places: a file for each arrival there says whether it is let pass.

``python -m struck`` is a worker as ``python -m wellai_exp.compute`` is, ``python -m struck sweep …`` a command.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from wellai_exp import milestones
from wellai_exp.compute import Local

FOLDER = "STRUCK"
COMMITTING = "inside a commit"


class StruckLocal(Local):
    """Workers that can be struck."""

    entry: ClassVar[str] = "struck"


def _name(place: str) -> str:
    return place.replace(" ", "_").replace("'", "")


def prepare(folder: Path, place: str, times: int, seed: int, apart: int = 4) -> dict[str, str]:
    """Have so many blows fall at a place, each after some arrivals; gives the environment that makes it so."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    arrivals = [what for _ in range(times) for what in ["pass"] * chance.randint(0, apart) + ["blow"]]
    for index, what in enumerate(arrivals):
        (folder / f"{_name(place)}-{index:04d}-{what}").touch()
    return {FOLDER: str(folder)}


def left(folder: Path) -> int:
    """Count the blows that did not fall."""
    return len(list(folder.glob("*-blow")))


def strike(place: str) -> None:
    """Die here, where the next arrival is not let pass."""
    for arrival in sorted(Path(os.environ[FOLDER]).glob(f"{_name(place)}-*")):
        try:
            arrival.unlink()
        except FileNotFoundError:
            continue  # another worker has taken it
        if arrival.name.endswith("-blow"):
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()
        return


def strike_commits() -> None:
    """Have each commit of SQLAlchemy's be a place: what it writes lies in the file, and nobody may see it yet."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "commit", lambda _connection: strike(COMMITTING))


def main(run: Callable[[], None]) -> None:
    """Run it, with blows where there are any."""
    if FOLDER in os.environ:
        milestones.passed = strike
        if any(Path(os.environ[FOLDER]).glob(f"{_name(COMMITTING)}-*")):
            strike_commits()
    run()


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        from wellai_exp.compute.__main__ import main as run_worker

        main(run_worker)
    else:
        from wellai_exp.cli import main as run_command

        main(run_command)
