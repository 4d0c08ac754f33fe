"""Where the shipped configuration lies, and files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wellai_exp import milestones
from wellai_exp.errors import StoreError

_PACKAGE = Path(__file__).resolve().parent
_SEAL = "seal"


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


def sealed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give plain values with a hash of them, to be written as JSON and read back by `unsealed`."""
    return {**body, _SEAL: _digest(body)}


def unsealed(value: object) -> dict[str, Any]:
    """Give what `sealed` was given, from what was read.

    Raises
    ------
    ValueError
        Where it is not as it was sealed: JSON with a flipped bit is mostly JSON still.
    """
    body = dict(value) if isinstance(value, dict) else {}
    if body.pop(_SEAL, None) != _digest(body):
        raise ValueError("it is not as it was written")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
