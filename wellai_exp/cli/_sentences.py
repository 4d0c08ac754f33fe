"""Say in one sentence what Hydra, OmegaConf or the operating system found wrong."""

from __future__ import annotations

import difflib
import re

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from wellai_exp.paths import shipped_dir


def _chain(error: BaseException) -> str:
    parts: list[str] = []
    step: BaseException | None = error
    while step is not None:
        parts.append(str(step))
        step = step.__cause__
    return "\n".join(parts)


def sentence(error: Exception) -> str | None:
    """Give the sentence, or None for an error that is ours to mend and deserves its traceback."""
    text = _chain(error)
    if "Environment variable" in text:
        return _environment(text, error)
    if isinstance(error, MissingMandatoryValue):
        key = text.rsplit(":", 1)[-1].split()[0]
        return f"{key}=???: it has no value; type {key}=VALUE."
    if isinstance(error, OverrideParseException):
        remedy = "put quotes around values with brackets, commas or spaces"
        return f"{error.override}: this is not Hydra's KEY=VALUE; {remedy}."
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return _composition(text)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; free it, or set paths.store to a folder that you can write."
    return None


def _environment(text: str, error: Exception) -> str:
    name = re.search(r"Environment variable '([^']*)'", text)
    key = getattr(error, "full_key", None) if isinstance(error, InterpolationResolutionError) else None
    variable = name.group(1) if name else "?"
    where = f"{key}=${{oc.env:{variable}}}" if key else variable
    return f"{where}: the environment variable {variable} is not set; type {variable}=FOLDER before the command."


def _composition(text: str) -> str:
    missing = re.search(r"Could not find '([^']+)'", text)
    options = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)+)", text)
    if missing:
        group, _, option = missing.group(1).rpartition("/")
        shown = ", ".join(options.group(1).split()) if options else "none"
        return f"{group}={option}: there is no such option; choose one of {shown}."
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(
        r"Could not append value to config. An item is already at '([^']+)'", text
    )
    if unknown:
        return f"{unknown.group(1)}: there is no such setting; {_suggestion(unknown.group(1))}."
    return f"{' '.join(text.split())}; --cfg job shows the settings that there are."


def _known_settings() -> set[str]:
    """Collect the settings of all shipped options, from the names of files and the keys at their left margin."""
    known: set[str] = set()
    for file in shipped_dir("conf").rglob("*.yaml"):
        group = file.parent.name if file.parent != shipped_dir("conf") else ""
        keys = re.findall(r"^(\w+):", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        known |= {group, *(f"{group}.{key}" if group else key for key in keys if not key.startswith("_"))}
    return known - {"", "defaults", "hydra"}


def _suggestion(setting: str) -> str:
    close = difflib.get_close_matches(setting, _known_settings(), n=1, cutoff=0.7)
    return f"did you mean {close[0]}? --cfg job shows them all" if close else "--cfg job shows those there are"
