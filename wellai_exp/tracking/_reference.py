"""A model that may be loaded: which file, and the checksum it must have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.paths import sha256_of, unsealed
from wellai_exp.tracking._archive import check_archive
from wellai_exp.tracking._models import LABELS_FILE, LABELS_SHA_TAG, MODEL_FILE, SHA_TAG

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelRef:
    """A model file whose checksum was verified.

    Parameters
    ----------
    path : Path
        The ``.keras`` file.
    sha256 : str
        Its SHA-256, in hexadecimal.
    name : str
        Registered model, run or file that was asked for.
    version : int or None
        Version of the registered model.
    run_id : str or None
        The run that made it.
    class_names : tuple of str
        Label of each output.
    size : int
        Side of the input in pixels.
    metadata : mapping
        What was kept with it.
    """

    path: Path
    sha256: str
    name: str
    version: int | None
    run_id: str | None
    class_names: tuple[str, ...]
    size: int
    metadata: Mapping[str, Any]


def read_reference(
    folder: Path, pins: Mapping[str, str], name: str, version: int | None = None, run_id: str | None = None
) -> ModelRef:
    """Verify a model's folder against the checksums of the database.

    Raises
    ------
    StoreError
        Where a file is missing, no checksum is known, or one differs.
    """
    asked = name if version is None else f"{name}/{version}"
    for file, tag in ((MODEL_FILE, SHA_TAG), (LABELS_FILE, LABELS_SHA_TAG)):
        if tag not in pins:
            raise StoreError(f"{asked} has no recorded SHA-256 of {file}: register it with wellai-exp.")
        _verify(folder / file, pins[tag], asked)
    facts = _facts(folder / LABELS_FILE)
    return _reference(folder / MODEL_FILE, pins[SHA_TAG], facts, name, version, run_id)


def read_file(path: Path) -> ModelRef:
    """Verify a ``.keras`` file against the sealed ``labels.json`` beside it (or beside its ``data`` folder).

    Raises
    ------
    StoreError
        Where a file is missing, or the checksum differs.
    """
    path = path.expanduser().absolute()
    places = [path.parent / LABELS_FILE] + ([path.parent.parent / LABELS_FILE] if path.parent.name == "data" else [])
    labels = next((place for place in places if place.is_file()), None)
    if not path.is_file() or labels is None:
        missing = LABELS_FILE if path.is_file() else path.name
        raise StoreError(f"{path} cannot be loaded: {missing} is missing in {path.parent}; name a registered model.")
    facts = _facts(labels)
    _verify(path, facts[SHA_TAG], str(path))
    return _reference(path, facts[SHA_TAG], facts, str(path), None, None)


def _verify(file: Path, sha256: str, asked: str) -> None:
    try:
        found = sha256_of(file)
    except OSError as error:
        raise StoreError(f"{asked}: {file} cannot be read ({error.strerror}); restore it from a copy.") from error
    if found != sha256:
        raise StoreError(
            f"{asked}: {file} was changed after it was kept (SHA-256 {found[:12]}… instead of {sha256[:12]}…); "
            "it is not loaded. Restore it from a copy or register the model again."
        )


def _facts(labels: Path) -> dict[str, Any]:
    try:
        facts = unsealed(json.loads(labels.read_text(encoding="utf-8")))
        return {key: facts[key] for key in ("class_names", "size", "metadata", SHA_TAG)}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{labels} does not hold class_names, size, metadata and sha256 as they were written ({error}); "
            "log the model again."
        ) from error


def _reference(
    path: Path, sha256: str, facts: Mapping[str, Any], name: str, version: int | None, run_id: str | None
) -> ModelRef:
    return ModelRef(
        path, sha256, name, version, run_id, tuple(facts["class_names"]), int(facts["size"]), facts["metadata"]
    )


def load(ref: ModelRef) -> keras.Model:
    """Load a model in Keras's safe mode, after its checksum was verified once more.

    Not through ``mlflow.pyfunc``: an edited MLmodel file would run code.

    Parameters
    ----------
    ref : ModelRef
        From :meth:`Registry.resolve`.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    StoreError
        Where the file was changed.
    WellaiError
        Where Keras cannot or will not make the model.
    """
    import keras

    _verify(ref.path, ref.sha256, ref.name)
    check_archive(ref.path)
    try:
        return keras.saving.load_model(ref.path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, HDF5 and the zip reader each raise their own
        first = (str(error).splitlines() or [""])[0][:200]
        raise WellaiError(f"{ref.path} cannot be loaded ({first}) in Keras's safe mode.") from error
