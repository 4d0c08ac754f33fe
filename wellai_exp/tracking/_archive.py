"""A ``.keras`` archive is looked at before Keras opens it: nothing in it but layers of Keras and their numbers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wellai_exp.errors import WellaiError

_CONFIG = "config.json"
_MEMBERS = frozenset([_CONFIG, "metadata.json", "model.weights.h5"])
_MOST_CONFIG = 64 * 2**20
# Weights hardly compress, and Keras does not try; what grows more than this is made to fill memory.
_MOST_GROWTH = 100
# Keras's layers that run what a file brings along.
_RUNNERS = frozenset(["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "__lambda__"])


def check_archive(path: Path) -> None:
    """Refuse an archive that could run, import or unpack anything.

    Keras's safe mode refuses most of it too; this door is ours, and names one reason.

    Raises
    ------
    WellaiError
        Where it is no archive of Keras's layers and their weights alone.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(member)
            config = json.loads(archive.read(_CONFIG))
    except (OSError, KeyError, ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile) as error:
        raise WellaiError(f"{path} is no .keras archive of a model ({error}); it is not loaded.") from error
    for node in _nodes(config):
        _check_node(node)


def _check_member(member: zipfile.ZipInfo) -> None:
    if member.filename not in _MEMBERS:
        raise WellaiError(f"A model's archive holds {member.filename!r}, which no model needs; it is not loaded.")
    most = max(_MOST_GROWTH * member.compress_size, 2**20)
    if member.filename != "model.weights.h5":
        most = min(most, _MOST_CONFIG)
    if member.file_size > most:
        raise WellaiError(
            f"A model's archive holds {member.filename!r}, which would grow from {member.compress_size:,} to "
            f"{member.file_size:,} bytes; it is not loaded."
        )


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """Give every mapping in a model's config; without recursion, whose depth the file would decide."""
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_node(node: dict[str, Any]) -> None:
    """Refuse what is no plain object of Keras."""
    name, module = node.get("class_name"), node.get("module")
    if name is None and module is None:
        return
    own = module is None or str(module) == "keras" or str(module).startswith("keras.") or str(module) == "builtins"
    if not own or name in _RUNNERS or (module == "builtins" and name not in ("function", "slice", "tuple")):
        raise WellaiError(
            f"A model's config names {module}.{name}, which is no plain layer of Keras; it is not loaded."
        )
