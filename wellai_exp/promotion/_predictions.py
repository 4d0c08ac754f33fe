"""The predictions of a model that are kept, and whether they are still its own."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wellai_exp.errors import StoreError
from wellai_exp.evaluation import PREDICTIONS, Evaluation, load_evaluation, save_evaluation
from wellai_exp.paths import sha256_of
from wellai_exp.tracking import ModelRef, Registry, Run, Tracker

_REGISTERED = ("accuracy", "auc_pr_macro", "log_loss")
# Version tags hold six decimals.
_ROUNDING = 1e-6

# Tag of a run, before the name of a part: the SHA-256 of the predictions that it kept.
_PIN = "wellai.predictions_sha256"

Kept = list[tuple[str, Evaluation]]


@dataclass(frozen=True)
class Source:
    """A run that may hold predictions of a model.

    Parameters
    ----------
    run_id : str
        The run.
    part : str
        Under which name.
    registered : mapping of str to str
        Tags of the version that the predictions must agree with: a sweep that went on has put its new winner's in
        their place.
    """

    run_id: str
    part: str = "test"
    registered: Mapping[str, str] = field(default_factory=dict)


def sources_of(tracker: Tracker, model: ModelRef) -> Iterator[Source]:
    """Give the runs that may hold a model's predictions: the one that made it, then evaluations of it, newest first."""
    if model.run_id is not None:
        yield Source(model.run_id, part_of(model), _version_tags(tracker, model))
    for run in tracker.evaluations_of(model.sha256):
        yield Source(run.id)


def part_of(model: ModelRef) -> str:
    """Give the name under which the run that made a model holds what the model is worth."""
    return str(model.metadata.get("part") or "test")


def kept_predictions(tracker: Tracker, sources: Iterable[Source]) -> tuple[Kept, StoreError | None]:
    """Read predictions.

    Parameters
    ----------
    tracker : Tracker
        Reads the runs.
    sources : iterable of Source
        Where to look.

    Returns
    -------
    list of (str, Evaluation)
        With the runs that hold them, in the order of the sources.
    StoreError or None
        Why the first that could not be read could not.
    """
    found: Kept = []
    problem: StoreError | None = None
    for source in sources:
        try:
            evaluation = _pinned(tracker, source)
            _check_registered(evaluation, source)
            found.append((source.run_id, evaluation))
        except StoreError as error:
            problem = problem or error
    return found, problem


def keep_predictions(run: Run, evaluation: Evaluation, part: str) -> None:
    """Keep predictions in a run, and their hash in the database, so that no other file passes for them."""
    with tempfile.TemporaryDirectory(prefix="wellai-") as folder:
        kept = Path(folder) / PREDICTIONS
        save_evaluation(evaluation, kept)
        run.log_file(kept, part)
        run.set_tags({f"{_PIN}.{part}": sha256_of(kept)})


def _pinned(tracker: Tracker, source: Source) -> Evaluation:
    file = tracker.fetch(source.run_id, f"{source.part}/{PREDICTIONS}")
    if sha256_of(file) != tracker.get(source.run_id).tags.get(f"{_PIN}.{source.part}"):
        raise StoreError(
            f"The predictions {file} are not those that the run {source.run_id} kept; evaluate its model again."
        )
    return load_evaluation(file)


def _version_tags(tracker: Tracker, model: ModelRef) -> Mapping[str, str]:
    if model.version is None:
        return {}
    record = Registry(tracker.tracking).describe(model.name)
    return next(each.tags for each in record.versions if each.version == model.version)


def _check_registered(evaluation: Evaluation, source: Source) -> None:
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
