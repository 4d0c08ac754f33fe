"""Help that is ready at once: read from the folder of options, without composing anything."""

from __future__ import annotations

import textwrap
from pathlib import Path

from wellai_exp import __version__
from wellai_exp.cli._verbs import VERBS, Verb
from wellai_exp.paths import shipped_dir

_GROUPS = {
    "The question": ("experiment",),
    "What a trial is made of": (
        "data",
        "split",
        "backbone",
        "augmentation",
        "imbalance",
        "head",
        "optimizer",
        "regime",
    ),
    "How it is searched and kept": ("search", "ranking", "runtime", "tracking"),
    "What a version must pass": ("promotion",),
    "What a file must pass": ("cleaning",),
    "What a model is exported as": ("target", "parity"),
}
# Verbs that have a few groups of their own, or none.
_GROUPS_OF: dict[str, tuple[str, ...]] = {
    "clean": ("data", "backbone", "cleaning", "tracking"),
    "collect": ("data",),
    "compare": (),
    "export": ("target", "parity", "tracking"),
    "predict": ("runtime", "tracking"),
    "promote": ("promotion", "runtime"),
    "report": (),
    "rollback": (),
    "serve": (),
    "ui": (),
}
_OF_ONE_VERB = ("cleaning", "parity", "promotion", "target")
_HYDRA = (
    ("--cfg job", "print the composed config and stop"),
    ("--info defaults", "print where each part of it comes from"),
    ("--multirun, -m", "run once for each combination of comma-separated values"),
    ("-cd FOLDER", "look for options in FOLDER first; ./conf and ./experiments come first by themselves"),
    ("-sc install=bash", 'completion: eval "$(wellai-exp -sc install=bash)"'),
)


def _options(group: str) -> list[str]:
    """List a group's options, the current folder's own first."""
    names: list[str] = []
    for root in (Path.cwd(), None):
        if group == "experiment":
            folder = root / "experiments" if root else shipped_dir("experiments")
        else:
            folder = root / "conf" / group if root else shipped_dir("conf") / group
        names += [file.stem for file in sorted(folder.glob("*.yaml")) if file.stem not in (*names, "defaults")]
    return names


def _columns(rows: list[tuple[str, str]], indent: int = 2) -> list[str]:
    width = max(len(left) for left, _ in rows) + 2
    lines = []
    for left, right in rows:
        body = textwrap.wrap(right, 100 - indent - width) or [""]
        lines.append(" " * indent + left.ljust(width) + body[0])
        lines += [" " * (indent + width) + more for more in body[1:]]
    return lines


def overview() -> str:
    """Give the help of ``wellai-exp --help``."""
    lines = [
        f"wellai-exp {__version__}: experiment-tracking AutoML for long-tailed image classification",
        "",
        "usage: wellai-exp VERB [KEY=VALUE ...]",
        "",
    ]
    for name, verb in VERBS.items():
        lines += [*_columns([(name, verb.summary)]), f"{'':12}$ {verb.examples[0]}"]
    lines += ["", "wellai-exp VERB --help lists what can be set; everything Hydra offers works behind a verb."]
    return "\n".join(lines)


def _applies(group: str, name: str, verb: Verb) -> bool:
    """Tell whether a verb has a group of options that is worth listing."""
    if name in _GROUPS_OF:
        return group in _GROUPS_OF[name]
    return group not in _OF_ONE_VERB and (verb.trains or group in ("data", "split", "tracking"))


def verb_help(name: str, verb: Verb) -> str:
    """Give the help of one verb."""
    argument = f" {verb.positional.upper()}" if verb.positional else ""
    argument += "..." if verb.many else ""
    argument += f" {verb.rest.upper()}..." if verb.rest else ""
    flags = "".join(f" [{flag} VALUE]" for flag in verb.flags) + "".join(f" [{flag}]" for flag in verb.switches)
    lines = [f"wellai-exp {name}: {verb.summary}", "", f"usage: wellai-exp {name}{argument}{flags} [KEY=VALUE ...]"]
    lines += ["", "Examples", *(f"  $ {example}" for example in verb.examples)]
    for title, groups in _GROUPS.items():
        rows = [(f"{group}=", ", ".join(_options(group))) for group in groups if _applies(group, name, verb)]
        if rows:
            lines += ["", title, *_columns(rows)]
    lines += ["", "Single settings, e.g. search.n_trials=100 or imbalance.k_neighbors=3: type"]
    lines += [f"  $ wellai-exp {name} --cfg job", "", "Hydra", *_columns(list(_HYDRA))]
    return "\n".join(lines)
