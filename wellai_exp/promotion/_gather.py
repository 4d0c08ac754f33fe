"""Bring together what the registry, the runs and the store know of two versions."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from wellai_exp.data import Manifest
from wellai_exp.errors import DataError, StoreError
from wellai_exp.evaluation import Evaluation, same_images
from wellai_exp.promotion._evidence import Contender, Evidence
from wellai_exp.promotion._predictions import Kept, kept_predictions, sources_of
from wellai_exp.tracking import ModelRef, Registry, Tracker

# Overrides of the line that trained a model which say on what data.
_DATA_KEYS = ("experiment", "data", "split", "seed", "paths")


def gather(
    tracker: Tracker,
    name: str,
    version: int,
    champion: int | None,
    manifests: Path,
    runtime: str = "",
    latency_ms: Callable[[ModelRef], float] | None = None,
) -> Evidence:
    """Bring together what is known of a challenger and of the champion.

    Predictions are read from the run that made a version, then from evaluations of the same file, newest first. Of
    several sets of images the first is taken that both versions were evaluated on.

    Parameters
    ----------
    tracker : Tracker
        Reads the runs.
    name : str
        Registered model.
    version : int
        The challenger.
    champion : int or None
        The version that it would replace.
    manifests : Path
        Folder of the manifests that are kept, a folder each, named by digest.
    runtime, latency_ms
        As in `Evidence`; here `latency_ms` is given the challenger.

    Raises
    ------
    WellaiError
        Where a version does not exist.
    StoreError
        Where files of a version were changed, or it has no predictions that can be read; the sentence says what to
        type.
    DataError
        Where both were not evaluated on the same images; the sentence says what to type.
    """
    registry = Registry(tracker.tracking)
    tags = {record.version: record.tags for record in registry.describe(name).versions}
    model = registry.resolve(f"{name}/{version}")
    rival = None if champion is None else registry.resolve(f"{name}/{champion}")
    mine = _evaluations(tracker, model, _data_overrides(model))
    manifest, problem = _manifest(manifests, str(model.metadata.get("data_digest", "")))
    if rival is None or champion is None:
        challenger, standing = Contender(model, mine[0][1], tags[version], mine[0][0]), None
    else:
        theirs = _evaluations(tracker, rival, _data_overrides(model))
        (run, own), (rival_run, other) = _paired(model, rival, mine, theirs)
        challenger = Contender(model, own, tags[version], run)
        standing = Contender(rival, other, tags[champion], rival_run)
    measure = None if latency_ms is None else lambda: latency_ms(model)
    return Evidence(challenger, standing, manifest, problem, runtime, measure)


def _evaluations(tracker: Tracker, model: ModelRef, overrides: str) -> Kept:
    """Give what is kept of a model's predictions, with the runs that hold it; its own run's first."""
    found, problem = kept_predictions(tracker, sources_of(tracker, model))
    if not found:
        raise StoreError(
            f"{_title(model)} has no predictions to judge it by; type `{_evaluate(model, overrides)}`."
        ) from problem
    return found


def _paired(
    model: ModelRef, rival: ModelRef, mine: Kept, theirs: Kept
) -> tuple[tuple[str, Evaluation], tuple[str, Evaluation]]:
    for own in mine:
        for other in theirs:
            if same_images(own[1], other[1]):
                return own, other
    first, second = mine[0][1], theirs[0][1]
    shared = len(set(first.sha256) & set(second.sha256))
    overrides = _data_overrides(model)
    raise DataError(
        f"{_title(model)} was evaluated on {len(first.labels)} images and the champion {_title(rival)} on "
        f"{len(second.labels)}, of which {shared} are the same; evaluate both on the same data: type "
        f"`{_evaluate(rival, overrides)}` and `{_evaluate(model, overrides)}`, and this command again."
    )


def _manifest(folder: Path, digest: str) -> tuple[Manifest | None, str]:
    """Read the manifest of a data version; or say why it cannot be read."""
    if not digest:
        return None, "the model does not name its data"
    try:
        return Manifest.load(folder / digest, digest), ""
    except StoreError as error:
        return None, str(error).rstrip(".")


def _title(model: ModelRef) -> str:
    return f"{model.name}/{model.version}"


def _evaluate(model: ModelRef, overrides: str) -> str:
    """Give the command that evaluates a model on the data that overrides name."""
    return f"wellai-exp evaluate {shlex.quote(_title(model))} {overrides}".rstrip()


def _data_overrides(model: ModelRef) -> str:
    """Give the part of the line that trained a model which names its data."""
    words = shlex.split(str(model.metadata.get("reproduce", "")))[2:]
    return shlex.join(word for word in words if word.lstrip("+~").partition("=")[0].split(".")[0] in _DATA_KEYS)
