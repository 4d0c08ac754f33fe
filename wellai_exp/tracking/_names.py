"""Names and values that MLflow accepts, made from any."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from wellai_exp.errors import SettingError, WellaiError
from wellai_exp.masking import masked

_MAX_KEY = 250
_MAX_VALUE = 6_000
_MAX_TAG = 8_000
_MAX_DIGEST = 36


def legal_key(name: str) -> str:
    """Give `name` as a legal name of an MLflow metric, parameter or tag.

    Letters, digits, ``_ - . /``, colon and space stay; any other character becomes ``_``.
    The same name always gives the same key.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    str
        1 to 250 characters.
    """
    key = re.sub(r"[^/\w.\- :]", "_", name)
    key = "/".join(part if part.strip(".") else "_" * len(part) for part in key.split("/") if part)
    key = re.sub(r"^\.\.", "__", key)  # MLflow takes two leading dots for a way out of the folder.
    if not key.strip():
        return "_"
    return key if len(key) <= _MAX_KEY else f"{key[: _MAX_KEY - 9]}-{_hash(name)}"


def legal_keys(names: Iterable[str]) -> dict[str, str]:
    """Map each name to a legal key of its own; names that would share one get a hash of the name at the end."""
    names = list(names)
    plain = {name: legal_key(name) for name in names}
    taken: dict[str, int] = {}
    for key in plain.values():
        taken[key] = taken.get(key, 0) + 1
    return {
        # A name that was legal from the start keeps its own spelling.
        name: key if taken[key] == 1 or key == name else f"{key[: _MAX_KEY - 9]}-{_hash(name)}"
        for name, key in plain.items()
    }


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def cut(value: object, limit: int = _MAX_VALUE) -> str:
    """Give ``str(value)``, cut to `limit` characters with a mark that says how long it was."""
    text = str(value)
    if len(text) <= limit:
        return text
    mark = f" … [cut; {len(text)} characters in all]"
    return text[: limit - len(mark)] + mark


def legal_params(params: Mapping[str, object]) -> dict[str, str]:
    """Give parameters with legal keys and values of at most 6,000 characters, without secrets."""
    keys = legal_keys(params)
    return {keys[name]: cut(masked(str(value))) for name, value in params.items()}


def legal_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Give tags with legal keys and values of at most 8,000 characters, without secrets."""
    keys = legal_keys(tags)
    return {keys[name]: cut(masked(str(value)), _MAX_TAG) for name, value in tags.items()}


def legal_digest(digest: str) -> str:
    """Give the first 36 characters of a digest, all that MLflow keeps of one."""
    return digest[:_MAX_DIGEST]


def legal_path(path: str) -> PurePosixPath:
    """Check an artifact's path: relative, below the run's folder.

    Raises
    ------
    WellaiError
        Where the path is empty, absolute or climbs out.
    """
    if not path or posixpath.normpath(path) != path or path.startswith(("/", "..")) or path == "." or "\\" in path:
        raise WellaiError(f"The artifact path {path!r} must be relative, with forward slashes and without dots.")
    return PurePosixPath(path)


def model_name(name: str, setting: str = "tracking.registered_name") -> str:
    """Check the name of a registered model.

    Raises
    ------
    SettingError
        Where MLflow would refuse it, or where it could not be told from a version, an alias, a run or a file.
    """
    remedy = f"set {setting}=my_model"
    if not name.strip() or name != name.strip():
        raise SettingError(setting, repr(name), "a registered model needs a name without outer blanks", remedy)
    if found := sorted(set(name) & set("/:@")):
        raise SettingError(setting, name, f"the name of a registered model may not contain {' '.join(found)}", remedy)
    if name in {".", ".."} or name.endswith(".keras") or re.fullmatch(r"(m-)?[0-9a-f]{32}", name):
        raise SettingError(setting, name, "the name reads like a file, a run or a model's id", remedy)
    return name


def alias_name(alias: str, setting: str = "tracking.alias") -> str:
    """Check an alias of a model version.

    Raises
    ------
    SettingError
        Where MLflow would refuse it.
    """
    if not re.fullmatch(r"[\w\-]{1,255}", alias):
        raise SettingError(setting, alias, "an alias has letters, digits, _ and - only", f"set {setting}=challenger")
    if alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias):
        raise SettingError(setting, alias, "MLflow keeps this alias for itself", f"set {setting}=challenger")
    return alias
