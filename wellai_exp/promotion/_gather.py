"""Bring together what the registry, the runs and the store know of two versions."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wellai_exp.data import Manifest
from wellai_exp.errors import DataError, StoreError
from wellai_exp.evaluation import PREDICTIONS, Evaluation, load_evaluation, same_images
from wellai_exp.promotion._evidence import Contender, Evidence
from wellai_exp.tracking import ModelRef, Registry, Tracker

# Overrides of the line that trained a model which say on what data.
_DATA_KEYS = ("experiment", "data", "split", "seed", "paths")
_REGISTERED = ("accuracy", "auc_pr_macro", "log_loss")
# Version tags hold six decimals.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class _Source:
    """A run that may hold predictions of a model, and the part under which."""

    run_id: str
    part: str
    registered: Mapping[str, str]
    """Metrics that the predictions must have, as version tags."""


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
    mine = _evaluations(tracker, model, tags[version], _data_overrides(model))
    manifest, problem = _manifest(manifests, str(model.metadata.get("data_digest", "")))
    if rival is None or champion is None:
        challenger, standing = Contender(model, mine[0][1], tags[version], mine[0][0]), None
    else:
        theirs = _evaluations(tracker, rival, tags[champion], _data_overrides(model))
        (run, own), (rival_run, other) = _paired(model, rival, mine, theirs)
        challenger = Contender(model, own, tags[version], run)
        standing = Contender(rival, other, tags[champion], rival_run)
    measure = None if latency_ms is None else lambda: latency_ms(model)
    return Evidence(challenger, standing, manifest, problem, runtime, measure)


_Found = list[tuple[str, Evaluation]]


def _evaluations(tracker: Tracker, model: ModelRef, tags: Mapping[str, str], overrides: str) -> _Found:
    """Give what is kept of a model's predictions, with the runs that hold it; its own run's first."""
    found: _Found = []
    problem: StoreError | None = None
    for source in _sources(tracker, model, tags):
        try:
            evaluation = load_evaluation(tracker.fetch(source.run_id, f"{source.part}/{PREDICTIONS}"))
            _check_registered(evaluation, source)
            found.append((source.run_id, evaluation))
        except StoreError as error:
            problem = problem or error
    if not found:
        raise StoreError(
            f"{_title(model)} has no predictions to judge it by; type `{_evaluate(model, overrides)}`."
        ) from problem
    return found


def _sources(tracker: Tracker, model: ModelRef, tags: Mapping[str, str]) -> Iterator[_Source]:
    if model.run_id is not None:
        yield _Source(model.run_id, str(model.metadata.get("part", "test")), tags)
    for run in tracker.evaluations_of(model.sha256):
        yield _Source(run.id, "test", {})


def _check_registered(evaluation: Evaluation, source: _Source) -> None:
    """Refuse predictions that are not those whose metrics the version was registered with.

    Models are pinned by their hash, artifacts of a run are not.
    """
    for metric in _REGISTERED:
        text = source.registered.get(f"test/{metric}")
        if text is None:
            continue
        value, expected = evaluation.aggregates[metric], float(text)
        if not math.isclose(value, expected, rel_tol=0, abs_tol=_ROUNDING):
            raise StoreError(
                f"The predictions kept in the run {source.run_id} have {metric} {value:.6f} and not {text}, "
                "with which their model was registered; evaluate it again."
            )


def _paired(
    model: ModelRef, rival: ModelRef, mine: _Found, theirs: _Found
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
        return Manifest.load(folder / digest), ""
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
