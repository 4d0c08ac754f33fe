"""Say in one sentence what Hydra, OmegaConf or the operating system found wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

import yaml
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from wellai_exp.errors import WellaiError
from wellai_exp.paths import shipped_dir


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    step: BaseException | None = error
    while step is not None:
        found.append(step)
        step = step.__cause__
    return found


def sentence(error: Exception) -> str | None:
    """Give the sentence, or None for an error that is ours to mend and deserves its traceback."""
    causes = _causes(error)
    ours = next((cause for cause in causes if isinstance(cause, WellaiError)), None)
    if ours is not None:
        return str(ours)
    text = "\n".join(map(str, causes))
    if "Environment variable" in text:
        return _environment(text, error)
    return next((say(error, text) for kind, say in _SAID if isinstance(error, kind)), None)


def _missing(_error: Exception, text: str) -> str:
    key = text.rsplit(":", 1)[-1].split(maxsplit=1)[0]
    return f"{key}=???: it has no value; type {key}=VALUE."


def _interpolation(error: Exception, text: str) -> str:
    # OmegaConf keeps the words of an error in a resolver and not the error.
    said = re.match(r".*?SettingError raised while resolving interpolation: (.*)", str(error))
    return said.group(1) if said else _composition(error, text)


def _override(error: Exception, _text: str) -> str:
    remedy = "put quotes around values with brackets, commas or spaces"
    return f"{getattr(error, 'override', '')}: this is not Hydra's KEY=VALUE; {remedy}."


def _system(error: Exception, _text: str) -> str | None:
    # Python's logging wraps what it meets when it opens a file.
    found = next((cause for cause in _causes(error) if isinstance(cause, OSError) and cause.filename is not None), None)
    if found is None:
        return None
    return f"{found.filename}: {found.strerror}; free it, or set paths.store to a folder that you can write."


def _yaml(error: Exception, _text: str) -> str:
    """Say where the file breaks off and why."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = " ".join(str(error).split()) if mark is None else f"{mark.name}, line {mark.line + 1} ({problem})"
    return f"{place}: this is not the plain YAML that a config is written in; mend that line."


def _nested(_error: Exception, _text: str) -> str:
    return "The config or an override is nested too deeply to be read; write it flatter."


def _environment(text: str, error: Exception) -> str:
    name = re.search(r"Environment variable '([^']*)'", text)
    key = getattr(error, "full_key", None) if isinstance(error, InterpolationResolutionError) else None
    variable = name.group(1) if name else "?"
    where = f"{key}=${{oc.env:{variable}}}" if key else variable
    return f"{where}: the environment variable {variable} is not set; type {variable}=FOLDER before the command."


def _composition(_error: Exception, text: str) -> str:
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
    swept = re.search(r"(Sweep parameters|Ambiguous value for argument) '(.+?)'(?: requires --multirun|\n|$)", text)
    if swept:
        return _several(swept.group(2), space=swept.group(1).startswith("Sweep"))
    return f"{' '.join(text.split())}; --cfg job shows the settings that there are."


def _several(override: str, *, space: bool) -> str:
    """Say what to type instead of a space, or of values parted by commas, that Hydra takes for several runs."""
    key, _, values = override.partition("=")
    if space:
        quoted = f"""type "{key}='{values}'", as the shell takes a space's only quotes away"""
        return f"{override}: this is several values; {quoted}, or add --multirun for a run of each."
    searched = f"""type "+search.space.{key.lstrip("+")}='choice({values})'" to search over them"""
    return f"{override}: this is several values; {searched}, {key}=[{values}] for a list, or add --multirun."


def _known_settings() -> set[str]:
    """Collect the settings of all shipped options, from the names of files and the keys at their left margin."""
    known: set[str] = set()
    for file in shipped_dir("conf").rglob("*.yaml"):
        group = file.parent.name if file.parent != shipped_dir("conf") else ""
        keys = re.findall(r"^(\w+):", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        known |= {group, *(f"{group}.{key}" if group else key for key in keys if not key.startswith("_"))}
    return known - {"", "defaults", "hydra"}


def _suggestion(setting: str) -> str:
    close = difflib.get_close_matches(setting, _known_settings() - {setting}, n=1, cutoff=0.7)
    return f"did you mean {close[0]}? --cfg job shows them all" if close else "--cfg job shows those there are"


# The first that fits speaks.
_SAID: tuple[tuple[type[Exception], Callable[[Exception, str], str | None]], ...] = (
    (MissingMandatoryValue, _missing),
    (InterpolationResolutionError, _interpolation),
    (OverrideParseException, _override),
    (HydraException, _composition),
    (OmegaConfBaseException, _composition),
    (yaml.YAMLError, _yaml),
    (RecursionError, _nested),
    (OSError, _system),
    (ValueError, _system),
)
