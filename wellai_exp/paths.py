"""Where the shipped configuration lies, and files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wellai_exp import milestones
from wellai_exp.errors import StoreError

_PACKAGE = Path(__file__).resolve().parent


def shipped_dir(name: str) -> Path:
    """Give the shipped folder ``conf`` or ``experiments``.

    A wheel carries them inside the package; in a checkout they lie beside it.
    """
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_dir() else _PACKAGE.parent / name


def ensure_dir(path: Path, setting: str) -> Path:
    """Make `path` and prove that it can be written.

    Parameters
    ----------
    path : Path
        The folder.
    setting : str
        The setting that names it, for the error.

    Raises
    ------
    StoreError
        Where the folder cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise StoreError(
            f"{setting}={path}: the folder cannot be written ({error.strerror}); "
            f"free it, or set {setting} to a folder you own."
        ) from error
    return path


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; when the block ends well, sync it and rename it into place.

    A reader sees the old file or the new one, never half of one; a full disk leaves the old one alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name's end stays as it is because writers (NumPy, Keras) choose their format by it.
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        with beside.open("rb") as handle:
            os.fsync(handle.fileno())
        milestones.passed(milestones.SAVED)
        beside.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); "
            "free the disk or the folder and type the same command."
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink()


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
