"""What each metric is called and says, and the table of them with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from wellai_exp.metrics import PARTS
from wellai_exp.report._blocks import Table
from wellai_exp.report._values import NOTHING, Term, Whisker, number

if TYPE_CHECKING:
    from wellai_exp.metrics import Interval

_DIGITS = 3


class Measure(NamedTuple):
    """A metric in words.

    Parameters
    ----------
    title : str
        What it is called.
    meaning : str
        One sentence; empty where nothing is known of it.
    is_error : bool
        Whether less is better.
    """

    title: str
    meaning: str
    is_error: bool = False


_MEASURES = {
    "accuracy": Measure("Accuracy", "Share of the images whose most probable class is the right one."),
    "balanced_accuracy": Measure(
        "Balanced accuracy", "Share of a class's images that are recognised, mean over the classes: each counts alike."
    ),
    "top5_accuracy": Measure("Top-5 accuracy", "Share of the images whose class is among the five most probable."),
    "auc_pr_macro": Measure(
        "AUC-PR, macro", "Area under the precision-recall curve of a class against the rest, mean over the classes."
    ),
    "auc_pr_micro": Measure("AUC-PR, micro", "The same area for the decisions about all classes in one list."),
    "auc_pr_weighted": Measure("AUC-PR, weighted", "Mean over the classes, each counted by its images."),
    "auc_pr_worst": Measure("AUC-PR, worst class", "That of the class that has the least."),
    "f1_macro": Measure("F1, macro", "Harmonic mean of precision and recall, mean over the classes."),
    "f1_micro": Measure("F1, micro", "Equal to the accuracy where an image has one class."),
    "f1_weighted": Measure("F1, weighted", "Mean over the classes, each counted by its images."),
    "cohen_kappa": Measure("Cohen's κ", "Agreement with the labels beyond chance: 0 is chance, 1 is all."),
    "matthews_corrcoef": Measure("Matthews' correlation", "Of predicted and true classes: 0 is chance, 1 is all."),
    "expected_calibration_error": Measure(
        "Expected calibration error",
        "How far, on average, the stated probability lies from the share that is right.",
        True,
    ),
    "log_loss": Measure("Log loss", "Mean of −ln of the probability given to the right class, in nats.", True),
    "hierarchical_distance": Measure(
        "Hierarchical distance",
        "Levels up to the first common ancestor of true and predicted class, mean over the images.",
        True,
    ),
    "mistake_severity": Measure("Severity of mistakes", "The same, mean over the images that are wrong.", True),
}
_PART_WORDS = {"head": "the most", "mid": "a middling number of", "tail": "the fewest"}


def measure_of(name: str) -> Measure:
    """Say what a metric of `wellai_exp.metrics.Scorer` is; one that is not known keeps its name and no meaning."""
    if name in _MEASURES:
        return _MEASURES[name]
    stem, _, last = name.rpartition("_")
    if last in PARTS and stem in {"auc_pr", "recall"}:
        what = "AUC-PR" if stem == "auc_pr" else "Recall"
        return Measure(f"{what}, {last}", f"Mean over the classes with {_PART_WORDS[last]} training images.")
    if name.startswith("accuracy_"):
        level = name.removeprefix("accuracy_").replace("_", " ")
        return Measure(
            f"Accuracy at {level}", f"Share of the images whose predicted class has the right parent at {level}."
        )
    return Measure(name, "")


def metrics_table(
    scores: Mapping[str, float], intervals: Mapping[str, Interval] | None = None, *, caption: str, chart: bool = True
) -> Table:
    """Tabulate metrics with what they mean, their intervals as text, and dots with whiskers on one scale.

    Parameters
    ----------
    scores : mapping of str to float
        Metric -> value, in the order of the rows; NaN where it could not be measured.
    intervals : mapping of str to Interval, optional
        Metric -> its 95 % interval; a metric without one has a dot alone. Without any the column is left out.
    caption : str
        What the table holds.
    chart : bool
        Whether the dots are drawn: values in different units have no common scale.
    """
    intervals = intervals or {}
    rows = []
    for name, value in scores.items():
        measure, interval = measure_of(name), intervals.get(name)
        low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
        rows.append((Term(measure.title, measure.meaning), value, range_text(interval), Whisker(value, low, high)))
    frame = pd.DataFrame(rows, columns=["Metric", "Value", "95 % interval", "On one scale"])
    unused = ([] if any(name in intervals for name in scores) else ["95 % interval"]) + (
        [] if chart else ["On one scale"]
    )
    return Table(frame.drop(columns=unused), caption, digits={"Value": _DIGITS})


def range_text(interval: Interval | None) -> str:
    """Write an interval as text; empty where there is none."""
    if interval is None:
        return ""
    ends = [number(end, _DIGITS) if math.isfinite(end) else NOTHING for end in (interval.low, interval.high)]
    return "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}".join(ends)
