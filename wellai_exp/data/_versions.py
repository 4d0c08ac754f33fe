"""The versions of data that a store has seen: each manifest under its digest, and which one it followed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from wellai_exp.data._base import shown
from wellai_exp.data._manifest import FILE_NAME, Manifest, read_about
from wellai_exp.errors import SettingError, StoreError
from wellai_exp.paths import ensure_dir

_SHORTEST = 4
_LOG = logging.getLogger("wellai_exp.data")


class Version(NamedTuple):
    """What a kept manifest says of itself, without its rows."""

    digest: str
    name: str
    parent: str | None
    saved_ns: int


def manifests_folder(store: Path) -> Path:
    """Say where a store keeps its manifests, each in a folder named by its digest."""
    return store / "manifests"


def keep_manifest(manifest: Manifest, store: Path) -> Manifest:
    """Keep a manifest in the store, and give it with its parent.

    The parent of a version is the one that was kept last of the data of the same name, where it differs. One that is
    already there keeps its parent.

    Parameters
    ----------
    manifest : Manifest
        As it was built.
    store : Path
        The experiment's store.

    Raises
    ------
    StoreError
        Where it cannot be written.
    """
    versions = list(_versions(store))
    same = [version for version in versions if version.digest == manifest.digest]
    if same:
        parent = same[0].parent
    else:
        earlier = [version for version in versions if version.name == manifest.name]
        parent = manifest.parent or (max(earlier, key=lambda version: version.saved_ns).digest if earlier else None)
    kept = replace(manifest, parent=parent)
    # Also one that is there already: its photographs may lie elsewhere now.
    kept.save(ensure_dir(manifests_folder(store) / manifest.digest, "paths.store"))
    return kept


def kept_manifest(store: Path, text: str) -> Manifest:
    """Read the manifest that a user means.

    Parameters
    ----------
    store : Path
        The experiment's store.
    text : str
        The first characters of a digest, the name of a data set (of which the version that was kept last is meant), or
        the path of a manifest or of its folder.

    Raises
    ------
    SettingError
        Where none or several are meant.
    StoreError
        Where it is damaged.
    """
    path = Path(text)
    if path.name == FILE_NAME or (path / FILE_NAME).is_file():
        return Manifest.load(path)
    versions = list(_versions(store))
    begun = [version for version in versions if len(text) >= _SHORTEST and version.digest.startswith(text)]
    named = sorted((version for version in versions if version.name == text), key=lambda version: version.saved_ns)
    found = begun or named[-1:]
    if len(found) > 1:
        problem = f"{len(found)} versions begin so"
        raise SettingError("manifests", text, problem, f"type more of one, e.g. {found[0].digest[: len(text) + 8]}")
    if not found:
        known = ", ".join(f"{version.name} {version.digest[:8]}" for version in versions) or "none"
        raise SettingError(
            "manifests",
            shown(text),
            f"no version of that digest or name is kept in {shown(str(store))} (kept: {known})",
            "type `wellai-exp summary` with data= and what else makes it",
        )
    return Manifest.load(manifests_folder(store) / found[0].digest, found[0].digest)


def _versions(store: Path) -> Iterator[Version]:
    """Read what each kept manifest says of itself; one that is damaged, which is said, is none."""
    for path in sorted(manifests_folder(store).glob(f"*/{FILE_NAME}")):
        try:
            about, saved_ns = read_about(path), path.stat().st_mtime_ns
        except (StoreError, OSError) as error:
            _LOG.warning("%s", error)
            continue
        if about["digest"] == path.parent.name:
            yield Version(about["digest"], about["name"], about["parent"], saved_ns)
        else:
            _LOG.warning("%s is the manifest of another version, %s; it is left out.", path, about["digest"])
