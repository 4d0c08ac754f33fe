"""A folder that appears whole or not at all."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.export._bundle import SUMS_FILE
from wellai_exp.paths import ensure_dir

if TYPE_CHECKING:
    from filelock import FileLock


@contextmanager
def fresh_bundle(place: Path, setting: str) -> Iterator[Path]:
    """Yield an empty folder beside `place`; when the block ends well, it takes that place.

    An older bundle there is replaced; of two exports at once the later one stays, and neither mixes with the other.
    What a killed export left beside it is cleared away.

    Parameters
    ----------
    place : Path
        Where the bundle shall lie.
    setting : str
        The setting that names it, for errors.

    Raises
    ------
    SettingError
        Where something lies there that is no bundle.
    StoreError
        Where it cannot be written.
    """
    from filelock import FileLock

    if place.exists() and any(place.iterdir() if place.is_dir() else [place]) and not (place / SUMS_FILE).is_file():
        raise SettingError(setting, place, "something lies there that is no bundle", f"set {setting} to a new folder")
    parent = ensure_dir(place.absolute().parent, setting)
    turn = FileLock(parent / ".bundles.lock")
    beside: Path | None = None
    mine: FileLock | None = None
    try:
        with turn:
            _clear_away_dead(parent, place)
            beside = _beside(parent, place)
            # Held as long as this process lives: a folder that nobody holds is a dead export's.
            mine = _hold(beside)
        yield beside
        # `mkdtemp` keeps others out; a web server under another user reads a bundle.
        beside.chmod(0o755)
        with turn:
            if place.exists():
                old = _beside(parent, place)
                place.rename(old / place.name)
                beside.rename(place)
                shutil.rmtree(old, ignore_errors=True)
            else:
                beside.rename(place)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written ({error.strerror or error}); "
            "free the disk or the folder and type the same command."
        ) from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
        if mine is not None:
            _let_go(mine)


def _beside(parent: Path, place: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=parent, prefix=f".{place.name}."))


def _hold(folder: Path, timeout: float = -1) -> FileLock:
    """Lock a working folder, beside it: what lies in it becomes the bundle."""
    from filelock import FileLock

    lock = FileLock(folder.with_name(f"{folder.name}.held"))
    lock.acquire(timeout=timeout)
    return lock


def _let_go(lock: FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _clear_away_dead(parent: Path, place: Path) -> None:
    """Remove what exports left that were killed; a bundle that was being replaced goes back to its place."""
    from filelock import Timeout

    for left in parent.glob(f".{glob.escape(place.name)}.????????"):
        if (left / place.name / SUMS_FILE).is_file() and not place.exists():
            (left / place.name).rename(place)
        with suppress(Timeout):
            lock = _hold(left, 0)
            shutil.rmtree(left, ignore_errors=True)
            _let_go(lock)
