"""What test images that the model has as good as seen do to its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from wellai_exp.report._blocks import Section, Table, Text
from wellai_exp.report._measures import measure_of
from wellai_exp.report._values import Term

if TYPE_CHECKING:
    from wellai_exp.evaluation import Evaluation

_ALL = (
    "Each of the {rows:,} test images has a near-duplicate among those that the model was trained on: nothing here "
    "says how it does on others."
)
_SOME = (
    "{leaked:,} of the {rows:,} test images have a near-duplicate among those that the model was trained on: accuracy "
    "{accuracy:.3f} and macro AUC-PR {auc_pr:.3f} with them, {honest_accuracy:.3f} and {honest_auc_pr:.3f} without."
)


def leaks_sentence(evaluation: Evaluation) -> str:
    """Say how many test images are leaked, and what is left of the scores without them; nothing where none is."""
    if evaluation.leaked is None or not evaluation.leaked.any():
        return ""
    rows, honest = len(evaluation.labels), evaluation.without_leaked
    if honest is None:
        return _ALL.format(rows=rows)
    inflated, left = evaluation.aggregates, honest.aggregates
    return _SOME.format(
        leaked=int(evaluation.leaked.sum()),
        rows=rows,
        accuracy=inflated["accuracy"],
        auc_pr=inflated["auc_pr_macro"],
        honest_accuracy=left["accuracy"],
        honest_auc_pr=left["auc_pr_macro"],
    )


def leaks_section(evaluation: Evaluation) -> Section | None:
    """Tabulate every score with and without the leaked images; None where none is leaked."""
    sentence = leaks_sentence(evaluation)
    if not sentence:
        return None
    honest = evaluation.without_leaked
    if honest is None:
        return Section("Leaked images", [Text(sentence)])
    left = honest.aggregates
    rows = [
        (Term(measure_of(name).title, measure_of(name).meaning), value, left[name], value - left[name])
        for name, value in evaluation.aggregates.items()
        if name in left
    ]
    frame = pd.DataFrame(rows, columns=["Metric", "All test images", "Without the leaked", "Difference"])
    digits = dict.fromkeys(frame.columns[1:], 3)
    table = Table(frame, "Each score on all test images, and on those that have no twin in training.", digits=digits)
    return Section("Leaked images", [Text(sentence), table], "Believe the column without them.")
