"""Weights files: recognised by their content, loaded whole or refused with one sentence."""

from __future__ import annotations

import math
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import SettingError
from wellai_exp.paths import sha256_of

if TYPE_CHECKING:
    import keras

_SETTING = "backbone.weights"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
_TFLITE_MAGIC = b"TFL3"
_MOST_GROWTH = 100
_TICK_S = 2.0
_DIGESTS: dict[tuple[object, ...], str] = {}
_FETCH_AGAIN = f"fetch the file again, or set {_SETTING} to another file"
# First bytes of what a download leaves behind instead of weights, and what to call it.
_IMPOSTORS = {
    b"<": "is a web page (HTML or XML), not weights",
    b"version https://git-lfs": "is a Git LFS pointer, not the weights themselves",
    _TFLITE_MAGIC: "is a TFLite model",
}


def check_file(path: Path, sha256: str | None) -> str:
    """Make sure that `path` is a readable weights file, and the pinned one.

    Parameters
    ----------
    path : Path
        The weights file.
    sha256 : str or None
        The SHA-256 that it must have, in hexadecimal; None for any.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    SettingError
        Where the file is missing, unreadable, no weights file by its first bytes, or not the pinned one.
    """
    head = _head(path)
    if not head.startswith((_HDF5_MAGIC, _ZIP_MAGIC)):
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        named = (problem for start, problem in _IMPOSTORS.items() if text.startswith(start) or head[4:8] == start)
        problem = "is empty" if not head else next(named, "is neither HDF5 nor a .keras archive")
        raise SettingError(_SETTING, path, f"the file {problem}", _FETCH_AGAIN)
    return _pinned(path, sha256)


def check_tflite(path: Path, sha256: str | None) -> str:
    """Make sure that `path` is a readable TFLite model, and the pinned one; gives its SHA-256.

    Raises
    ------
    SettingError
        As `check_file`.
    """
    head = _head(path)
    if head[4:8] != _TFLITE_MAGIC:
        raise SettingError(_SETTING, path, "the file is no TFLite model", _FETCH_AGAIN)
    return _pinned(path, sha256)


def _head(path: Path) -> bytes:
    """Read how a file begins."""
    try:
        with path.open("rb") as handle:
            return handle.read(64)
    except FileNotFoundError as error:
        raise SettingError(
            _SETTING, path, "there is no such file", f"put the file there, or set {_SETTING} to a file that exists"
        ) from error
    except OSError as error:
        raise SettingError(
            _SETTING, path, f"the file cannot be read ({error.strerror})", f"set {_SETTING} to a file you can read"
        ) from error


def _pinned(path: Path, sha256: str | None) -> str:
    """Give a file's SHA-256 where it is the pinned one."""
    digest = _digest(path)
    if sha256 is not None and digest != sha256:
        raise SettingError(
            _SETTING,
            path,
            f"the file has SHA-256 {digest}, but backbone.sha256 pins {sha256}",
            "fetch the pinned file again, or set backbone.sha256=null if the new one is meant",
        )
    return digest


def _digest(path: Path) -> str:
    """Give a file's SHA-256, computed once for as long as nothing writes to it: every trial asks ten times."""
    state = path.stat()
    version = path.absolute(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    # What was written a moment ago may be written again within one tick of the file system's clock.
    if time.time() - state.st_ctime < _TICK_S:
        return sha256_of(path)
    if version not in _DIGESTS:
        _DIGESTS[version] = sha256_of(path)
    return _DIGESTS[version]


def load_into(model: keras.Model, path: Path) -> None:
    """Load every weight of `model` from a file that `check_file` let through.

    ``.weights.h5`` of Keras 3, ``.h5`` of Keras 2 (as Keras itself downloads) and ``.keras`` archives are taken; the
    content decides which it is, because Keras goes by the name alone. Weights are matched by position and shape, and
    never by name, which would skip layers in silence.

    Parameters
    ----------
    model : keras.Model
        A built network; its weights are unusable when this raises.
    path : Path
        The weights file.

    Raises
    ------
    SettingError
        Where the file is damaged or belongs to another network.
    """
    import numpy as np

    stored, suffix = _contents(path)
    shapes = [tuple(weight.shape) for weight in model.weights]
    if sorted(stored) != sorted(shapes):
        raise _other_network(path, model, _difference(stored, shapes))
    # Whatever is still NaN after loading was not loaded, and random weights never pass for loaded ones.
    for weight in model.weights:
        weight.assign(np.full(weight.shape, np.nan, dtype="float32"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            # A link with the name that makes Keras choose the reader for this content.
            link = Path(folder) / f"model{suffix}"
            link.symlink_to(path.resolve())
            model.load_weights(link)
    except Exception as error:
        # Keras and HDF5 have no common error; all of them mean that this file does not fill this network.
        raise _other_network(path, model, "the file and the network do not match layer by layer") from error
    if not all(np.isfinite(np.asarray(weight)).all() for weight in model.weights):
        raise SettingError(_SETTING, path, "the file leaves weights that are not finite numbers", _FETCH_AGAIN)


def _contents(path: Path) -> tuple[list[tuple[int, ...]], str]:
    """Give the shapes of the stored weights and the file suffix that this content should have."""
    import h5py

    try:
        with path.open("rb") as handle:
            zipped = handle.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
        if zipped:
            with (
                zipfile.ZipFile(path) as archive,
                archive.open("model.weights.h5") as member,
                h5py.File(member, "r") as store,
            ):
                return _shapes(store), ".keras"
        with h5py.File(path, "r") as store:
            if "layer_names" in store.attrs or "model_weights" in store:
                return _shapes(store.get("model_weights", store)), ".h5"
            return _shapes(store), ".weights.h5"
    except (OSError, KeyError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SettingError(_SETTING, path, "the file is cut short or damaged", _FETCH_AGAIN) from error


def _shapes(store: object) -> list[tuple[int, ...]]:
    """Read every stored weight once, which also proves that it can be read, and give the shapes."""
    import h5py

    shapes: list[tuple[int, ...]] = []

    def visit(name: str, item: object) -> None:
        # The states of dropout's random numbers and of an optimizer lie in the file too, but are no weights.
        if isinstance(item, h5py.Dataset) and not {"seed_generator", "optimizer"} & set(name.split("/")):
            # Numbers of another file, or few bytes that would fill the memory; Keras's own files have neither.
            if item.external or item.is_virtual or item.nbytes > max(2**20, _MOST_GROWTH * item.id.get_storage_size()):
                raise ValueError(f"{name} is no plain array")
            item[()]
            shapes.append(tuple(item.shape))

    store.visititems(visit)  # type: ignore[attr-defined]
    return shapes


def _difference(stored: list[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> str:
    """Say in a clause how the weights in the file differ from those of the network."""
    have, want = (sum(math.prod(shape) for shape in shapes) for shapes in (stored, wanted))
    return f"it holds {len(stored)} arrays of {have:,} numbers, where the network has {len(wanted)} of {want:,}"


def _other_network(path: Path, model: keras.Model, problem: str) -> SettingError:
    return SettingError(
        _SETTING,
        path,
        f"the file holds the weights of another network than {model.name} ({problem})",
        "set backbone.application and backbone.alpha to what the file was made for (without its classifier), "
        f"or set {_SETTING} to a file of this network",
    )


def download_failed(application: str, error: Exception) -> SettingError:
    """Say that Keras could not fetch its ImageNet weights, and what to do without a network.

    Parameters
    ----------
    application : str
        The network.
    error : Exception
        What Keras raised.
    """
    # Keras writes "URL fetch failure on URL: CODE -- REASON".
    cause = " ".join(str(error).split()).rpartition(" -- ")[2][:160] or type(error).__name__
    return SettingError(
        _SETTING,
        "imagenet",
        f"Keras could not download or read its ImageNet weights of {application} ({cause})",
        f"connect to the network, or put a weights file here and set {_SETTING}=PATH, "
        f"or train from nothing with {_SETTING}=null",
    )
