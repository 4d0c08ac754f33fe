"""A folder that holds one model in several formats, with all that is needed to use it and a checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from wellai_exp.errors import StoreError
from wellai_exp.paths import sha256_of, write_whole

BUNDLE_FILE = "bundle.json"
SUMS_FILE = "SHA256SUMS"
"""As ``sha256sum`` writes and checks it: ``sha256sum -c SHA256SUMS`` in the folder says the same as we do."""

_FORMAT = 1


@dataclass(frozen=True)
class Artifact:
    """The model in one format.

    Parameters
    ----------
    name : str
        The target that made it, as in ``conf/target``, e.g. ``tflite_int8``; with ``@`` and the side in pixels where it
        is another one than the model's, e.g. ``tflite_int8@160``.
    format : str
        What a runtime must read: ``saved_model``, ``tflite``, ``onnx`` or ``tfjs``.
    path : str
        The file, or the folder of several, relative to the bundle, with ``/``.
    size : int
        Side of its input, in pixels.
    size_mb : float
        Of its files, in 10⁶ bytes.
    fit : bool or None
        Whether every runtime that it was run in gave what Keras gives; None where none could run it.
    problem : str
        Why it is not fit, or was not checked, in one sentence; empty for a fit one.
    parity : mapping
        For each runtime's name what was found there: numbers by name.
    """

    name: str
    format: str
    path: str
    size: int
    size_mb: float
    fit: bool | None = None
    problem: str = ""
    parity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """What a folder made by ``wellai-exp export`` holds; its files are verified when it is read.

    Every artifact takes RGB images of ``(n, size, size, 3)`` with pixel values 0 to 255 and gives probabilities of
    ``(n, c)``. Names, sizes and all else that a page or another program wants lies in ``bundle.json``.

    Parameters
    ----------
    folder : Path
        Where it lies.
    model : str
        The registered model, run or file that it was made from.
    version : int or None
        Of the registered model.
    model_sha256 : str
        Of the ``.keras`` file.
    class_names : tuple of str, length c
        Label of each output.
    parents : mapping
        For each level above the classes the parent of each class, c names; empty without a hierarchy.
    thresholds : tuple of float or None, length c
        For each class the probability from which on it counts as seen; None where none is known.
    size : int
        Side of the model's input, in pixels.
    resize : {"stretch", "crop", "pad"}
        How an image is brought to the square, as `wellai_exp.data.fit` does.
    artifacts : tuple of Artifact
        What it holds.
    created : str
        When, ISO 8601, UTC.
    thresholds_from : str
        Which rows the thresholds were chosen on, in a sentence; empty where none are known.
    missing : mapping
        Targets that were asked for and are not here, by the name that their artifact would have: why, in a sentence.
    """

    folder: Path
    model: str
    version: int | None
    model_sha256: str
    class_names: tuple[str, ...]
    parents: Mapping[str, tuple[str, ...]]
    thresholds: tuple[float | None, ...]
    size: int
    resize: str
    artifacts: tuple[Artifact, ...]
    created: str
    thresholds_from: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The model as one says it, e.g. ``demo/3``."""
        return self.model if self.version is None else f"{self.model}/{self.version}"

    def artifact(self, name: str) -> Artifact:
        """Give the artifact of that name, or say which there are."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = ", ".join(artifact.name for artifact in self.artifacts)
        raise StoreError(
            f"{self.folder} holds no artifact {name!r}; it holds {known or 'none'}: export it, or name one."
        )

    def of_format(self, format_: str) -> list[Artifact]:
        """Give the artifacts of a format."""
        return [artifact for artifact in self.artifacts if artifact.format == format_]

    def path(self, artifact: Artifact) -> Path:
        """Give where an artifact lies."""
        return self.folder / artifact.path

    def document(self) -> dict[str, Any]:
        """Give what ``bundle.json`` holds, in plain values."""
        known = asdict(self)
        del known["folder"]
        preprocessing = {"colour": "RGB", "range": [0, 255], "size": known.pop("size"), "resize": known.pop("resize")}
        return {"format": _FORMAT, **known, "preprocessing": preprocessing}

    @classmethod
    def of_document(cls, folder: Path, document: Mapping[str, Any]) -> Self:
        """Make it from what ``bundle.json`` holds; `KeyError`, `TypeError` or `ValueError` where that is no bundle."""
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']}")
        known = dict(document)
        del known["format"]
        preprocessing = known.pop("preprocessing")
        known["artifacts"] = tuple(Artifact(**each) for each in known["artifacts"])
        known["class_names"] = tuple(known["class_names"])
        known["thresholds"] = tuple(known["thresholds"])
        known["parents"] = {level: tuple(names) for level, names in known["parents"].items()}
        return cls(folder, size=preprocessing["size"], resize=preprocessing["resize"], **known)


def seal_bundle(bundle: Bundle) -> str:
    """Write ``bundle.json`` and the checksums of all files in the folder, last of all.

    Returns
    -------
    str
        The SHA-256 of ``SHA256SUMS``, which stands for the whole bundle.
    """
    text = json.dumps(bundle.document(), indent=1, ensure_ascii=False, allow_nan=False)
    with write_whole(bundle.folder / BUNDLE_FILE) as beside:
        beside.write_text(text + "\n", encoding="utf-8")
    lines = [f"{sha256_of(bundle.folder / name)}  {name}\n" for name in sorted(_files(bundle.folder))]
    with write_whole(bundle.folder / SUMS_FILE) as beside:
        beside.write_text("".join(lines), encoding="utf-8")
    return sha256_of(bundle.folder / SUMS_FILE)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle after every file in it was verified.

    Raises
    ------
    StoreError
        Where the folder is no bundle, a file is missing, was changed or was added.
    """
    folder = folder.expanduser().absolute()
    sums = file_sums(folder)
    found = set(_files(folder))
    for name in sorted(found | set(sums)):
        if name not in found:
            raise StoreError(f"{folder} is not complete: {name} is missing; export the model again.")
        if name not in sums:
            raise StoreError(f"{folder} holds {name}, which was not exported; remove it or export the model again.")
        if sha256_of(folder / name) != sums[name]:
            raise StoreError(f"{folder}: {name} was changed after the export; it is not used. Export the model again.")
    try:
        return Bundle.of_document(folder, json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / BUNDLE_FILE} is none of this version's; export the model again.") from error


def _files(folder: Path) -> Iterator[str]:
    """Give each file in the folder, links and all, but the checksums themselves."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            name = path.relative_to(folder).as_posix()
            if name != SUMS_FILE:
                yield name


def file_sums(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of each file that was sealed into a bundle, by its name relative to it.

    Raises
    ------
    StoreError
        Where the folder is no bundle.
    """
    try:
        lines = (folder / SUMS_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{folder} is no bundle: {SUMS_FILE} cannot be read there; name a folder of `export`."
        ) from error
    sums: dict[str, str] = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        # A path that leaves the folder would name somebody else's file.
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or name in sums:
            raise StoreError(f"{folder / SUMS_FILE} was changed after the export; export the model again.")
        sums[name] = digest
    return sums
