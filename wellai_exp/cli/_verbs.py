"""What can be typed: the verbs, their plain arguments, and the keys those stand for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wellai_exp.errors import WellaiError

# Hydra's own flags that are followed by a value.
_HYDRA_VALUE_FLAGS = frozenset(
    [
        "--cfg",
        "-c",
        "--package",
        "-p",
        "--info",
        "-i",
        "--config-path",
        "-cp",
        "--config-name",
        "-cn",
        "--config-dir",
        "-cd",
        "--experimental-rerun",
    ]
)


@dataclass(frozen=True)
class Verb:
    """One thing to do.

    Parameters
    ----------
    summary : str
        A line for the help.
    examples : tuple of str
        Commands to copy.
    positional : str or None
        The key that the argument without a name stands for.
    many : bool
        Whether there may be several such arguments; the key then holds a list.
    flags : mapping
        Flag -> the key it stands for; each takes a value.
    switches : mapping
        Flag -> the key that it sets to true; none takes a value.
    trains : bool
        Whether the options that make up a trial apply.
    """

    summary: str
    examples: tuple[str, ...]
    positional: str | None = None
    many: bool = False
    flags: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    trains: bool = False


VERBS: dict[str, Verb] = {
    "summary": Verb(
        "say what is in a data set, what changed between two versions of it, which near-duplicates they share",
        (
            "wellai-exp summary data=folder data.root=photos",
            "wellai-exp summary --diff OLD NEW",
            "wellai-exp summary --leaks NEW_PHOTOS TRAINED_ON",
        ),
        positional="manifests",
        many=True,
        switches={"--diff": "diff", "--leaks": "leaks"},
    ),
    "clean": Verb(
        "look at every file of a data set, set aside what is not fit to learn from, say why, write a clean copy",
        (
            "wellai-exp clean data=folder data.root=photos backbone=mobilenet_v2",
            "wellai-exp clean data=folder data.root=photos 'also=[more_photos]' overrides=mine.csv",
            "wellai-exp clean data=folder data.root=photos --apply --out clean_photos",
        ),
        flags={"--out": "out", "--overrides": "overrides"},
        switches={"--apply": "apply"},
    ),
    "sweep": Verb(
        "search an experiment, evaluate the best on the test split, register it",
        (
            "wellai-exp sweep experiment=demo",
            "wellai-exp sweep experiment=demo search.n_trials=100 imbalance=smote",
            "wellai-exp sweep --multirun experiment=demo search=tpe,random",
        ),
        trains=True,
    ),
    "train": Verb(
        "run one configuration: cross-validate, fit, evaluate on the test split",
        (
            "wellai-exp train experiment=demo imbalance=balanced_softmax",
            "wellai-exp train data=folder data.root=photos backbone=mobilenet_v2 register=true",
        ),
        trains=True,
    ),
    "evaluate": Verb(
        "evaluate a registered model, a run or a .keras file on a data set's test split",
        (
            "wellai-exp evaluate demo@challenger experiment=demo",
            "wellai-exp evaluate demo data=folder data.root=photos",
        ),
        positional="model",
    ),
    "compare": Verb(
        "say by how much models differ and how surely; of whole sweeps, what each option was worth",
        (
            "wellai-exp compare demo@champion demo@challenger",
            "wellai-exp compare poses/1 poses/2 poses/3 n_resamples=2000",
            "wellai-exp compare demo poses",
        ),
        positional="models",
        many=True,
    ),
    "report": Verb(
        "open the page that a sweep, a training or an evaluation left: results, pictures and a model card",
        ("wellai-exp report demo", "wellai-exp report demo@champion out=for_the_customer"),
        positional="model",
    ),
    "collect": Verb(
        "fetch the photographs of a list of URLs into a folder, safely; goes on where it was stopped",
        (
            "wellai-exp collect data=links data.table=urls.csv data.root=photos",
            "wellai-exp collect data=yoga82 data.lists=yoga82_lists data.root=yoga82",
            "wellai-exp collect data=links data.table=urls.csv data.root=photos 'collect.again=[dead]'",
        ),
    ),
    "benchmark": Verb(
        "measure how fast backbones classify one frame on this machine, and how large they are",
        (
            "wellai-exp benchmark backbone=small_conv",
            "wellai-exp benchmark 'backbones=[mobilenet_v2,mobilenet_v3_small]' 'sizes=[160,224]' runtime=keras",
        ),
        trains=True,
    ),
    "promote": Verb(
        "make a registered version the champion, where every gate lets it through",
        (
            "wellai-exp promote demo --reason 'better on warriors'",
            "wellai-exp promote demo --version 3 promotion.size.most=20 '~promotion.latency'",
            "wellai-exp promote demo --force --reason 'the champion leaks'",
        ),
        positional="model",
        flags={"--version": "version", "--reason": "reason"},
        switches={"--force": "force"},
    ),
    "rollback": Verb(
        "give the champion's place back to the version before it",
        ("wellai-exp rollback demo --reason 'slower in the browser'",),
        positional="model",
        flags={"--reason": "reason"},
    ),
    "sync": Verb(
        "bring to the tracking server what was kept on disk while it was away",
        ("wellai-exp sync", "wellai-exp sync paths.store=elsewhere tracking.uri=http://tracking:5000"),
    ),
    "ui": Verb(
        "open MLflow's pages on this machine over the right store",
        ("wellai-exp ui", "wellai-exp ui --port 5001"),
        flags={"--port": "port"},
    ),
}


class UsageError(WellaiError):
    """The command line itself is off."""


def find_verb(name: str) -> Verb:
    """Give the verb of that name, or say which there are."""
    if name in VERBS:
        return VERBS[name]
    close = difflib.get_close_matches(name, VERBS, n=1)
    hint = f"did you mean `wellai-exp {close[0]}`" if close else "type `wellai-exp --help`"
    raise UsageError(f"{name}: there is no such verb; {hint}? There are {', '.join(VERBS)}.")


def quote(value: str) -> str:
    """Write any text as a value in Hydra's override grammar."""
    escaped = value.replace("\\", "\\\\") if value.endswith("\\") or "\\'" in value else value
    return "'" + escaped.replace("'", "\\'") + "'"


def _quote_foreign(argument: str) -> str:
    """Quote a bare value that Hydra's grammar cannot read only for its script, such as a Korean folder's name."""
    key, equals, value = argument.partition("=")
    bare = equals and not argument.startswith("-") and not any(mark in value for mark in ",[]{}()'\"$")
    return f"{key}={quote(value)}" if bare and not value.isascii() else argument


def to_overrides(name: str, arguments: Sequence[str]) -> list[str]:
    """Turn a verb's plain arguments into overrides; Hydra's own flags and overrides pass as they are.

    Raises
    ------
    UsageError
        For an argument that means nothing here.
    """
    verb = find_verb(name)
    result: list[str] = []
    plain: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        flag, _, attached = argument.partition("=")
        if flag in verb.flags:
            if not attached and not waiting:
                raise UsageError(f"{flag}: it needs a value; type {flag} VALUE.")
            result.append(f"{verb.flags[flag]}={quote(attached or waiting.pop(0))}")
        elif argument in verb.switches:
            result.append(f"{verb.switches[argument]}=true")
        elif argument in _HYDRA_VALUE_FLAGS and waiting:
            result += [argument, waiting.pop(0)]
        elif argument.startswith("-") or "=" in argument or argument.startswith("~"):
            result.append(_quote_foreign(argument))
        elif verb.positional and (verb.many or not plain):
            plain.append(quote(argument))
        else:
            raise UsageError(
                f"{argument}: this is neither KEY=VALUE nor a known flag; type `wellai-exp {name} --help`."
            )
    if plain:
        result.insert(0, f"{verb.positional}=[{','.join(plain)}]" if verb.many else f"{verb.positional}={plain[0]}")
    return result
