"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.export._bundle import SUMS_FILE
from wellai_exp.paths import ensure_dir


@contextmanager
def fresh_bundle(place: Path, setting: str) -> Iterator[Path]:
    """Yield an empty folder beside `place`; when the block ends well, it takes that place.

    An older bundle there is replaced; of two exports at once the later one stays, and neither mixes with the other.

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
    beside = Path(tempfile.mkdtemp(dir=parent, prefix=f".{place.name}."))
    try:
        yield beside
        # `mkdtemp` keeps others out; a web server under another user reads a bundle.
        beside.chmod(0o755)
        with FileLock(parent / ".bundles.lock"):
            if place.exists():
                old = Path(tempfile.mkdtemp(dir=parent, prefix=f".{place.name}."))
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
        shutil.rmtree(beside, ignore_errors=True)
