"""What a comparison is given: text that names models or whole sweeps, and what the store holds of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from wellai_exp.errors import DataError, SettingError, StoreError, WellaiError
from wellai_exp.evaluation import Evaluation, pair_evaluations, same_images
from wellai_exp.promotion import Source, kept_predictions, sources_of
from wellai_exp.tracking import Registry, RunRecord, Tracker

_SWEEP = {"wellai.kind": "sweep"}


@dataclass(frozen=True)
class SweepSubject:
    """A whole sweep.

    Parameters
    ----------
    name : str
        As it was typed.
    run : RunRecord
        The sweep's run.
    """

    name: str
    run: RunRecord


@dataclass(frozen=True)
class ModelSubject:
    """A model, or a run that evaluated one.

    Parameters
    ----------
    name : str
        As it was typed.
    sources : tuple of Source
        Runs that hold predictions of it; the run that made it first, then evaluations of the same file, newest first.
    """

    name: str
    sources: tuple[Source, ...]

    def evaluations(self, tracker: Tracker) -> list[Evaluation]:
        """Read the predictions that were kept.

        Raises
        ------
        StoreError
            Where there are none.
        """
        found, problem = kept_predictions(tracker, self.sources)
        if not found:
            raise StoreError(
                f"models={self.name}: no predictions of it are kept; type wellai-exp evaluate {self.name} with the "
                "data to compare on, e.g. experiment=NAME."
            ) from problem
        return [evaluation for _, evaluation in found]


def find_subjects(tracker: Tracker, names: Sequence[str]) -> list[SweepSubject] | list[ModelSubject]:
    """Find what the names stand for: sweeps, or models.

    A run's id is that run. Another name is that of an experiment and stands for its newest sweep, or it is a model's,
    as `wellai_exp.tracking.Registry.resolve` takes it.

    Raises
    ------
    SettingError
        Where there are too few, one is named twice, or sweeps and models are mixed.
    WellaiError
        Where one does not exist.
    """
    for name in names:
        if names.count(name) > 1:
            raise SettingError("models", name, "it is named twice", "name different ones")
    found = [_find(tracker, name) for name in names]
    sweeps = [each for each in found if isinstance(each, SweepSubject)]
    models = [each for each in found if isinstance(each, ModelSubject)]
    if sweeps and models:
        raise SettingError(
            "models",
            ",".join(names),
            f"{sweeps[0].name} is a sweep and {models[0].name} a model",
            "name sweeps or models alone; what a sweep registered is NAME@challenger",
        )
    if not sweeps and len(models) < 2:
        raise SettingError(
            "models",
            ",".join(names) or "[]",
            "a comparison needs two models, or one sweep",
            "type wellai-exp compare demo@champion demo@challenger",
        )
    return sweeps or models


def paired(tracker: Tracker, subjects: Sequence[ModelSubject]) -> list[Evaluation]:
    """Give one evaluation of each model, all of the same images in the same order.

    Of several sets of images the first is taken that the first model was evaluated on and every other was too.

    Raises
    ------
    StoreError
        Where no predictions of a model are kept.
    DataError
        Where there is no such set.
    """
    kept = [subject.evaluations(tracker) for subject in subjects]
    for reference in kept[0]:
        others = [next((each for each in more if same_images(reference, each)), None) for more in kept[1:]]
        matching = [each for each in others if each is not None]
        if len(matching) == len(others):
            return [reference, *(pair_evaluations(reference, each) for each in matching)]
    shown = " and ".join(str(len(each[0].labels)) for each in kept)
    raise DataError(
        f"models={','.join(subject.name for subject in subjects)}: they were not evaluated on the same images ({shown} "
        "of them); type wellai-exp evaluate for each, with the same data, e.g. experiment=NAME."
    )


def _find(tracker: Tracker, name: str) -> SweepSubject | ModelSubject:
    registry = Registry(tracker.tracking)
    if re.fullmatch(r"[0-9a-f]{32}", name):
        run = tracker.get(name)
        if run.tags.get("wellai.kind") == _SWEEP["wellai.kind"]:
            return SweepSubject(name, run)
        made: list[Source] = []
        with suppress(WellaiError):
            made = list(sources_of(tracker, registry.resolve(name)))
        return ModelSubject(name, (Source(name), *(each for each in made if each.run_id != name)))
    for experiment, title in tracker.experiments().items():
        if title == name and (sweep := tracker.within(experiment).find_run(_SWEEP)):
            return SweepSubject(name, tracker.get(sweep))
    return ModelSubject(name, tuple(sources_of(tracker, registry.resolve(name))))
