"""What an evaluation says, in the order in which one asks: how good, for which classes, with which mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wellai_exp.evaluation import (
    confused_pairs,
    confusion_figure,
    per_class_figure,
    pr_curves_figure,
    reliability_figure,
)
from wellai_exp.metrics import parts_of
from wellai_exp.metrics import reliability as compare_confidence
from wellai_exp.report._blocks import Block, Highlight, Highlights, Picture, Plot, Section, Table, Text
from wellai_exp.report._leaks import leaks_section
from wellai_exp.report._limits import confidence, tail, weakest
from wellai_exp.report._measures import measure_of, metrics_table, range_text
from wellai_exp.report._robustness import robustness_section
from wellai_exp.report._values import number

if TYPE_CHECKING:
    from wellai_exp.evaluation import Evaluation
    from wellai_exp.metrics import Interval
    from wellai_exp.report._pictures import Image

_HIGHLIGHTED = ("accuracy", "balanced_accuracy", "auc_pr_macro", "auc_pr_worst")
_PAIRS = 15
_APART = " None of them has a near-duplicate among the training images."
_BINS = 10


@dataclass(frozen=True, eq=False)
class Extras:
    """What was drawn or measured beyond the predictions; each is left out of the report where it is None or empty.

    Parameters
    ----------
    pr_explorer, confusion_explorer, per_class_plot, reliability_plot : plotly figure, optional
        Interactive figures; the printed ones of `wellai_exp.evaluation` stand in for the first three on paper, and in
        place of them where they are missing.
    temperature : float, optional
        The temperature that calibrates the probabilities (`wellai_exp.metrics.fit_temperature`).
    sheets : mapping of str to Figure or bytes
        Caption -> sheet of photographs.
    robustness : DataFrame, optional
        From `wellai_exp.evaluation.robustness`.
    robustness_figure : Figure or bytes, optional
        Its picture.
    explanations : Figure or bytes, optional
        Photographs overlaid with the regions that decided (Grad-CAM).
    """

    pr_explorer: Any = None
    confusion_explorer: Any = None
    per_class_plot: Any = None
    reliability_plot: Any = None
    temperature: float | None = None
    sheets: Mapping[str, Image] = field(default_factory=dict)
    robustness: pd.DataFrame | None = None
    robustness_figure: Image | None = None
    explanations: Image | None = None


def evaluation_sections(
    evaluation: Evaluation, intervals: Mapping[str, Interval] | None = None, extras: Extras | None = None
) -> list[Section]:
    """Assemble what is known of a set of predictions.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N images of C classes.
    intervals : mapping of str to Interval, optional
        Metric -> its 95 % interval.
    extras : Extras, optional
        Interactive figures, photographs and further measurements.

    Returns
    -------
    list of Section
        In brief, scores, leaked images where there are any, classes, precision and recall, confusions, calibration;
        then mistakes, robustness and explanations where `extras` has them.
    """
    extras = extras or Extras()
    sections = [
        _brief(evaluation, intervals or {}),
        _scores(evaluation, intervals or {}),
        *([leaks] if (leaks := leaks_section(evaluation)) else []),
        _classes(evaluation, extras),
        _precision_and_recall(evaluation, extras),
        _confusions(evaluation, extras),
        _calibration(evaluation, extras),
    ]
    if extras.sheets:
        sections.append(_mistakes(extras.sheets))
    if extras.robustness is not None:
        sections.append(robustness_section(extras.robustness, extras.robustness_figure))
    if extras.explanations is not None:
        sections.append(_explanations(extras.explanations))
    return sections


def _brief(evaluation: Evaluation, intervals: Mapping[str, Interval]) -> Section:
    scores = evaluation.aggregates
    highlights = Highlights([_highlight(name, scores[name], intervals.get(name)) for name in _HIGHLIGHTED])
    sentences = [sentence for sentence in (weakest(evaluation), tail(evaluation)) if sentence]
    return Section("In brief", [highlights, Text(sentences)], _measured_on(evaluation))


def _scores(evaluation: Evaluation, intervals: Mapping[str, Interval]) -> Section:
    scores = evaluation.aggregates
    good = {name: value for name, value in scores.items() if not measure_of(name).is_error}
    errors = {name: value for name, value in scores.items() if measure_of(name).is_error}
    blocks: list[Block] = [
        metrics_table(good, intervals, caption="Scores: 1 is best."),
        metrics_table(errors, intervals, caption="Errors: 0 is best.", chart=False),
    ]
    if not intervals:
        blocks.append(Text("No intervals were computed, so nothing here says how far chance moves these numbers."))
    return Section("Scores", blocks)


def _highlight(name: str, value: float, interval: Interval | None) -> Highlight:
    known = range_text(interval)
    return Highlight(measure_of(name).title, number(value, 3), f"95 % interval {known}" if known else "")


def _measured_on(evaluation: Evaluation) -> str:
    rows, groups = len(evaluation.labels), len(np.unique(evaluation.groups))
    near_duplicates = f" ({groups:,} groups of near-duplicates)" if groups < rows else ""
    absent = int((evaluation.support == 0).sum())
    unmeasured = f", {absent} of them without an image and so not measured" if absent else ""
    apart = "" if evaluation.leaked is None or evaluation.leaked.any() else _APART
    return f"Measured on {rows:,} images{near_duplicates} of {evaluation.n_classes} classes{unmeasured}.{apart}"


def _classes(evaluation: Evaluation, extras: Extras) -> Section:
    frame = evaluation.per_class
    if evaluation.train_support is not None:
        frame.insert(2, "train", evaluation.train_support)
        frame.insert(3, "part", parts_of(evaluation.train_support))
    headings = {
        "class": "Class",
        "support": "Test images",
        "train": "Training images",
        "part": "Part",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "auc_pr": "AUC-PR",
        "most_confused_with": "Most confused with",
    }
    measured = frame[frame["auc_pr"].notna()]
    best, worst = (measured.iloc[place] for place in measured["auc_pr"].to_numpy().argsort(kind="stable")[[-1, 0]])
    lead = (
        f"From “{best['class']}” (AUC-PR {best['auc_pr']:.3f}) to “{worst['class']}” ({worst['auc_pr']:.3f}). "
        "The fewer test images a class has, the less its numbers say."
    )
    drawn = _drawn(
        extras.per_class_plot, per_class_figure(evaluation), "AUC-PR of each class as a bar, beside its test images"
    )
    table = Table(
        frame,
        "Every class. Precision: share of the images given to it that are its own; recall: share of its own images "
        "that were given to it.",
        headings={name: heading for name, heading in headings.items() if name in frame.columns},
        digits=dict.fromkeys(("precision", "recall", "f1", "auc_pr"), 3),
    )
    return Section("Classes", [drawn, table], lead)


def _drawn(plot: Any, still: Image, alt: str, caption: str = "") -> Plot | Picture:
    """Give a figure as a plot where there is one, else as its printed form."""
    return Picture(still, alt, caption) if plot is None else Plot(plot, alt, caption, still)


def _precision_and_recall(evaluation: Evaluation, extras: Extras) -> Section:
    lead = (
        "A curve shows what accepting less certain answers costs: to the right more of a class's images are found, "
        "downwards more of what is accepted is wrong. The area under it is the class's AUC-PR."
    )
    alt = "Precision against recall, one curve a class"
    return Section("Precision and recall", [_drawn(extras.pr_explorer, pr_curves_figure(evaluation), alt)], lead)


def _confusions(evaluation: Evaluation, extras: Extras) -> Section:
    wrong = int((evaluation.predictions != evaluation.labels).sum())
    alt = "Confusion matrix: true classes in rows, predicted classes in columns"
    blocks: list[Block] = [_drawn(extras.confusion_explorer, confusion_figure(evaluation), alt)]
    pairs = confused_pairs(evaluation, _PAIRS)
    if pairs.empty:
        return Section("Confusions", blocks, "No test image was given to a wrong class.")
    headings = {
        "true": "True class",
        "predicted": "Taken for",
        "rows": "Images",
        "share": "Share of the true class",
        "cross_parent": "Across parents",
    }
    shown = {name: heading for name, heading in headings.items() if name in pairs.columns}
    blocks.append(Table(pairs, "The pairs that take most mistakes.", headings=shown, digits={"share": 2}))
    return Section(
        "Confusions", blocks, f"{wrong:,} of {len(evaluation.labels):,} test images were given to a wrong class."
    )


def _calibration(evaluation: Evaluation, extras: Extras) -> Section:
    error = evaluation.aggregates["expected_calibration_error"]
    alt = "Share of right answers against their stated probability"
    blocks: list[Block] = [
        _drawn(extras.reliability_plot, reliability_figure(evaluation), alt),
        _confidence_table(evaluation),
    ]
    if extras.temperature is not None:
        blocks.append(
            Text(
                f"A temperature of {extras.temperature:.2f} was fitted to these very images: divided by it, the "
                "logarithms of the probabilities state them best, and the predicted classes stay the same."
            )
        )
    return Section("Calibration", blocks, f"{confidence(evaluation)} Expected calibration error {error:.3f}.")


def _confidence_table(evaluation: Evaluation) -> Table:
    binned = compare_confidence(evaluation.labels, evaluation.probabilities, _BINS)
    filled = binned.rows > 0
    edges = [f"{low:.1f} to {high:.1f}" for low, high in pairwise(binned.edges)]
    frame = pd.DataFrame(
        {
            "Stated probability": np.array(edges)[filled],
            "Images": binned.rows[filled].astype(int),
            "Mean stated probability": binned.confidence[filled],
            "Share right": binned.accuracy[filled],
        }
    )
    digits = {"Mean stated probability": 3, "Share right": 3}
    return Table(frame, "Where stated probabilities hold, the last two columns are equal.", digits=digits)


def _mistakes(sheets: Mapping[str, Image]) -> Section:
    pictures = [Picture(sheet, caption, caption, photograph=True) for caption, sheet in sheets.items()]
    return Section("Mistakes in pictures", pictures, "A wrong label looks like a mistake of the model: judge by eye.")


def _explanations(figure: Image) -> Section:
    lead = (
        "Regions whose change would change the answer most (Grad-CAM, Selvaraju et al. 2017). They show where the "
        "model looks, not why, and are no proof that it looks there for a good reason."
    )
    alt = "Photographs overlaid with heat maps"
    return Section("Where the model looks", [Picture(figure, alt, photograph=True)], lead)
