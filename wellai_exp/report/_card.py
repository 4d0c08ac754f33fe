"""A model card: what a model is, what it is for, how it was measured and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.report._blocks import Block, Facts, Points, Section, Table, Text
from wellai_exp.report._evaluation_sections import Extras, evaluation_sections
from wellai_exp.report._limits import limits
from wellai_exp.report._values import Code, number

if TYPE_CHECKING:
    from wellai_exp.evaluation import Evaluation
    from wellai_exp.metrics import Interval


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What is known of a model beside its predictions. An empty text, None or an empty mapping means unknown.

    Parameters
    ----------
    name : str
        The registered name.
    version : str
        The registered version.
    run_id : str
        The MLflow run that trained it.
    created : str
        When, as it shall be read.
    backbone : str
        The network under the classifier.
    size : int, optional
        Pixels on a side of the square that an image is brought to.
    parameters : int, optional
        Numbers that training could set, and those it could not.
    file_mb : float, optional
        Megabytes of the model's file.
    latency_ms : mapping of str to float
        Where it was measured -> milliseconds for one image.
    data_name, data_digest : str
        The data set that it was trained on, and the digest of its manifest.
    data_counts : mapping of str to int
        Part of the data -> its images.
    evaluated_on : str
        The data set of the test images.
    seed : int, optional
        Of the training.
    commit : str
        Of the code; ``+changes`` at its end where files differed from it.
    versions : mapping of str to str
        Library -> version.
    params : mapping of str to object
        Setting -> value.
    reproduce : str
        The line that trains it again.
    intended_use, out_of_scope, owner, licence : str
        As its owner puts them.
    """

    name: str
    version: str = ""
    run_id: str = ""
    created: str = ""
    backbone: str = ""
    size: int | None = None
    parameters: int | None = None
    file_mb: float | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    data_name: str = ""
    data_digest: str = ""
    data_counts: Mapping[str, int] = field(default_factory=dict)
    evaluated_on: str = ""
    seed: int | None = None
    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    reproduce: str = ""
    intended_use: str = ""
    out_of_scope: str = ""
    owner: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise DataError("A model card needs the model's name.")
        below = [f"{part}={count}" for part, count in self.data_counts.items() if count < 0]
        if below:
            raise DataError(f"The images of a part of the data cannot be fewer than 0, but {below[0]}.")


def model_card(
    facts: CardFacts,
    evaluation: Evaluation,
    intervals: Mapping[str, Interval] | None = None,
    extras: Extras | None = None,
) -> list[Section]:
    """Assemble a model card (Mitchell et al., "Model Cards for Model Reporting", FAT* 2019).

    It claims nothing beyond what it is given: what is not among the facts is said to be unknown, and the limits are
    derived from the figures.

    Parameters
    ----------
    facts : CardFacts
        What is known of the model.
    evaluation : Evaluation
        Its predictions on test images.
    intervals : mapping of str to Interval, optional
        Metric -> its 95 % interval.
    extras : Extras, optional
        Interactive figures, photographs and further measurements.

    Returns
    -------
    list of Section
        In brief; model, intended use, data and training; the evaluation's other sections; limits, and how to
        reproduce it.
    """
    extras = extras or Extras()
    brief, *measured = evaluation_sections(evaluation, intervals, extras)
    known = [*limits(evaluation, extras.robustness), _elsewhere(facts)]
    return [
        brief,
        _model(facts),
        _use(facts, evaluation),
        _data(facts, evaluation),
        _training(facts),
        *measured,
        Section("Limits", [Points(known)], _DERIVED),
        _reproduce(facts),
    ]


_DERIVED = "Derived from the figures above, and from nothing else."


def _code(text: str) -> Code | None:
    return Code(text) if text else None


def _count(value: int | None, unit: str = "") -> str:
    return "" if value is None else f"{value:,}{unit}"


def _model(facts: CardFacts) -> Section:
    latency = ", ".join(f"{number(value)} ms ({where})" for where, value in facts.latency_ms.items())
    rows = {
        "Name": facts.name,
        "Version": facts.version,
        "Made": facts.created,
        "Owner": facts.owner,
        "Licence": facts.licence,
        "Backbone": facts.backbone,
        "Input": f"{facts.size} × {facts.size} pixels, RGB" if facts.size else "",
        "Parameters": _count(facts.parameters),
        "File": f"{number(facts.file_mb)} MB" if facts.file_mb is not None else "",
        "Latency": latency,
        "MLflow run": _code(facts.run_id),
    }
    return Section("Model", [Facts(rows)])


def _use(facts: CardFacts, evaluation: Evaluation) -> Section:
    rows = {
        "What it does": f"Gives an image a probability for each of {evaluation.n_classes} classes; they sum to 1.",
        "Intended use": facts.intended_use or "Not stated by the model's owner.",
        "Out of scope": facts.out_of_scope or "Not stated by the model's owner.",
    }
    return Section("Intended use", [Facts(rows)])


def _data(facts: CardFacts, evaluation: Evaluation) -> Section:
    rows: dict[str, object] = {"Trained on": facts.data_name, "Digest": _code(facts.data_digest)}
    rows["Images"] = ", ".join(f"{count:,} {part}" for part, count in facts.data_counts.items())
    rows["Measured on"] = facts.evaluated_on
    support = evaluation.train_support
    rows["Images of a class in training"] = "" if support is None else _spread(support)
    rows["Images of a class in the test"] = _spread(evaluation.support)
    for level, parents in evaluation.levels.items():
        rows[f"Parents at {level}"] = f"{len(set(parents))}"
    return Section("Data", [Facts(rows)])


def _spread(support: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> str:
    low, high = int(support.min()), int(support.max())
    sentence = f"{low:,} to {high:,}, median {number(float(np.median(support)), 0)}"
    return f"{sentence}; imbalance ratio {high / low:,.1f}" if low else sentence


def _training(facts: CardFacts) -> Section:
    dirty = facts.commit.endswith("+changes")
    blocks: list[Block] = [
        Facts({"Seed": _count(facts.seed), "Commit of the code": _code(facts.commit.removesuffix("+changes"))})
    ]
    if dirty:
        blocks.append(
            Text("Files differed from that commit when the model was trained, so it alone does not give the code.")
        )
    for title, values in (("Setting", facts.params), ("Library", facts.versions)):
        if values:
            frame = pd.DataFrame({title: list(values), "Value": [str(value) for value in values.values()]})
            blocks.append(Table(frame, "The configuration." if title == "Setting" else "What it was trained with."))
        else:
            blocks.append(Text(f"{'The configuration is' if title == 'Setting' else 'The libraries are'} unknown."))
    return Section("Training", blocks)


def _elsewhere(facts: CardFacts) -> str:
    if facts.data_name and facts.evaluated_on == facts.data_name:
        return (
            f"Training and test images come from the same data set ({facts.data_name}); how the model does on images "
            "from elsewhere was not measured."
        )
    if facts.data_name and facts.evaluated_on:
        return f"It was trained on {facts.data_name} and measured on {facts.evaluated_on}, and nowhere else."
    return "Which data set the test images come from is unknown, so the figures cannot be said to hold for any other."


def _reproduce(facts: CardFacts) -> Section:
    if not facts.reproduce:
        return Section("How to reproduce", [Text("The command that trained this model is unknown.")])
    return Section(
        "How to reproduce", [Code(facts.reproduce)], "Typed beside the same data, this line trains it again."
    )
