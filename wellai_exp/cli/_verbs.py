"""What can be typed: the verbs, their plain arguments, and the keys those stand for."""

from __future__ import annotations

import difflib
import re
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
    rest : str or None
        The key of a list that the plain arguments after the first stand for: files, so that a name may begin with a
        dash after ``--``, hold ``=`` behind a slash, and be ``-`` alone.
    flags : mapping
        Flag -> the key it stands for; each takes a value.
    switches : mapping
        Flag -> the key that it sets to true; none takes a value.
    groups : tuple of str
        The config groups of which it takes options, for the help.
    """

    summary: str
    examples: tuple[str, ...]
    positional: str | None = None
    many: bool = False
    rest: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


_DATA = ("data", "split", "tracking")
_TRIAL = (
    *("experiment", "data", "split", "backbone", "head", "imbalance", "augmentation", "optimizer", "regime"),
    *("search", "ranking", "runtime", "tracking"),
)

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
        groups=_DATA,
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
        groups=("data", "backbone", "cleaning", "tracking"),
    ),
    "sweep": Verb(
        "search an experiment, evaluate the best on the test split, register it",
        (
            "wellai-exp sweep experiment=demo",
            "wellai-exp sweep experiment=demo search.n_trials=100 imbalance=smote",
            "wellai-exp sweep --multirun experiment=demo search=tpe,random",
        ),
        groups=(*_TRIAL, "compute"),
    ),
    "train": Verb(
        "run one configuration: cross-validate, fit, evaluate on the test split",
        (
            "wellai-exp train experiment=demo imbalance=balanced_softmax",
            "wellai-exp train data=folder data.root=photos backbone=mobilenet_v2 register=true",
        ),
        groups=_TRIAL,
    ),
    "evaluate": Verb(
        "evaluate a registered model, a run or a .keras file on a data set's test split",
        (
            "wellai-exp evaluate demo@challenger experiment=demo",
            "wellai-exp evaluate demo data=folder data.root=photos",
        ),
        positional="model",
        groups=_DATA,
    ),
    "predict": Verb(
        "name what is in photographs and videos, with a registered model, a .keras file or an exported bundle",
        (
            "wellai-exp predict demo photos/ holiday.mp4",
            "wellai-exp predict mlruns/bundles/demo-1 photo.jpg top=5 artifact=tflite_int8",
            "find photos -name '*.jpg' | wellai-exp predict demo@challenger - format=csv > poses.csv",
        ),
        positional="model",
        rest="images",
        switches={"-0": "zero_ended", "--null": "zero_ended"},
        groups=("runtime", "tracking"),
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
        groups=("data",),
    ),
    "benchmark": Verb(
        "measure a bundle before a camera in every runtime, or how fast backbones classify one frame on this machine",
        (
            "wellai-exp benchmark mlruns/bundles/demo-1 fps=30",
            "wellai-exp benchmark mlruns/bundles/demo-1 fps=60 video=poses.mp4 'runtimes=[litert]' threads=2",
            "wellai-exp benchmark backbone=small_conv",
            "wellai-exp benchmark 'backbones=[mobilenet_v2,mobilenet_v3_small]' 'sizes=[160,224]' runtime=keras",
        ),
        positional="bundle",
        groups=(*_TRIAL, "compute"),
    ),
    "export": Verb(
        "write a model in every format as one folder, each run in its own runtime and compared with Keras",
        (
            "wellai-exp export models:/demo@champion",
            "wellai-exp export demo/3 'targets=[tflite,onnx]' 'sizes=[160,224]' out=for_the_app",
        ),
        positional="model",
        groups=("target", "parity", "tracking"),
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
        groups=("promotion", "runtime"),
    ),
    "rollback": Verb(
        "give the champion's place back to the version before it",
        ("wellai-exp rollback demo --reason 'slower in the browser'",),
        positional="model",
        flags={"--reason": "reason"},
    ),
    "serve": Verb(
        "serve a bundle's live page to a browser on this machine: webcam, pictures and videos, nothing leaves it",
        ("wellai-exp serve mlruns/bundles/demo-3", "wellai-exp serve mlruns/bundles/demo-3 --port 8001"),
        positional="bundle",
        flags={"--port": "port"},
    ),
    "sync": Verb(
        "bring to the tracking server what was kept on disk while it was away",
        ("wellai-exp sync", "wellai-exp sync paths.store=elsewhere tracking.uri=http://tracking:5000"),
        groups=("tracking",),
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
    # OmegaConf would look for a key behind the dollar; a backslash before it would escape the escape.
    value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    # Hydra reads a backslash as such but before a quote.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), value) + "'"


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
        if verb.rest and argument == "--":
            plain += waiting
            break
        if verb.rest and (argument == "-" or _is_file(argument)):
            plain.append(argument)
        elif flag in verb.flags:
            if not attached and not waiting:
                raise UsageError(f"{flag}: it needs a value; type {flag} VALUE.")
            result.append(f"{verb.flags[flag]}={quote(attached or waiting.pop(0))}")
        elif argument in verb.switches:
            result.append(f"{verb.switches[argument]}=true")
        elif flag == "--experimental-rerun":
            raise UsageError(f"{flag}: a pickled job could run any code; type the command again instead.")
        elif argument in _HYDRA_VALUE_FLAGS and waiting:
            result += [argument, waiting.pop(0)]
        elif argument.startswith("-") or "=" in argument or argument.startswith("~"):
            result.append(_quote_foreign(argument))
        elif verb.positional and (verb.many or verb.rest or not plain):
            plain.append(argument)
        else:
            raise UsageError(
                f"{argument}: this is neither KEY=VALUE nor a known flag; type `wellai-exp {name} --help`."
            )
    return _plain(verb, plain) + result


def _is_file(argument: str) -> bool:
    """Tell a path that holds ``=`` from an override: before it stands a slash, which no key of ours has."""
    key, equals, _ = argument.partition("=")
    return bool(equals) and "/" in key and not key.startswith(("-", "hydra/", "+hydra/", "~"))


def _plain(verb: Verb, arguments: Sequence[str]) -> list[str]:
    """Give the overrides that plain arguments stand for."""
    if not arguments:
        return []
    quoted = [quote(argument) for argument in arguments]
    if verb.many:
        return [f"{verb.positional}=[{','.join(quoted)}]"]
    rest = [f"{verb.rest}=[{','.join(quoted[1:])}]"] if quoted[1:] else []
    return [f"{verb.positional}={quoted[0]}", *rest]
