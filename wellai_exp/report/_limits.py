"""What a model cannot do, as far as its figures tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.evaluation import confused_pairs
from wellai_exp.report._leaks import leaks_sentence
from wellai_exp.report._robustness import worst_change

if TYPE_CHECKING:
    from wellai_exp.evaluation import Evaluation

# With fewer test images than this, one of them moves a class's recall by more than ten points.
_FEW = 10
_NAMED = 5
# A mean probability nearer to the accuracy than this is called as sure as right.
_NEAR = 0.01

_ALWAYS_ONE = (
    "Every image is given one of the {classes} classes, also one that shows none of them; only a low probability can "
    "tell, and how well it does was not measured."
)
_LEAKS_UNKNOWN = "Whether test images have near-duplicates among those that it was trained on is not known."
_NOT_CHANGED = "How the scores change with light, blur, rotation or compression was not measured."


def limits(evaluation: Evaluation, robustness: pd.DataFrame | None = None) -> list[str]:
    """Derive sentences on a model's limits from what was measured, and from nothing else.

    Parameters
    ----------
    evaluation : Evaluation
        Its predictions on test images.
    robustness : DataFrame, optional
        From `wellai_exp.evaluation.robustness`.
    """
    sentences = [
        leaks_sentence(evaluation) or (_LEAKS_UNKNOWN if evaluation.leaked is None else ""),
        weakest(evaluation),
        _thinly_tested(evaluation),
        _unmeasured(evaluation),
        tail(evaluation),
        _far_confusions(evaluation),
        confidence(evaluation),
        _NOT_CHANGED if robustness is None else worst_change(robustness),
        _ALWAYS_ONE.format(classes=evaluation.n_classes),
    ]
    return [sentence for sentence in sentences if sentence]


def weakest(evaluation: Evaluation) -> str:
    """Name the classes of the least AUC-PR."""
    measured = np.flatnonzero(evaluation.support)
    worst = measured[np.argsort(evaluation.auc_pr[measured], kind="stable")][:_NAMED]
    named = ", ".join(f"“{evaluation.class_names[index]}” ({evaluation.auc_pr[index]:.2f})" for index in worst)
    return f"Weakest classes by AUC-PR: {named}."


def tail(evaluation: Evaluation) -> str:
    """Say what a long tail costs; nothing where it costs nothing or the training images are unknown."""
    scores = evaluation.aggregates
    most, fewest = scores.get("recall_head", np.nan), scores.get("recall_tail", np.nan)
    if not most > fewest:
        return ""
    return (
        f"Classes with few training images are found less often: mean recall {fewest:.3f} in the tail, {most:.3f} in "
        "the head."
    )


def confidence(evaluation: Evaluation) -> str:
    """Say whether the model is surer of itself than it is right."""
    sure, right = float(evaluation.probabilities.max(axis=1).mean()), evaluation.aggregates["accuracy"]
    if abs(sure - right) < _NEAR:
        verdict = "on the whole it is as sure as it is right"
    else:
        verdict = f"it is {'surer' if sure > right else 'less sure'} than it is right"
    return f"The model's answers have a mean probability of {sure:.3f}, and {right:.3f} of them are right: {verdict}."


def _thinly_tested(evaluation: Evaluation) -> str:
    few = np.flatnonzero((evaluation.support > 0) & (evaluation.support < _FEW))
    if not len(few):
        return ""
    few = few[np.argsort(evaluation.support[few], kind="stable")]
    named = _names([f"“{evaluation.class_names[index]}” ({evaluation.support[index]})" for index in few])
    return f"Measured on fewer than {_FEW} images, so that their own numbers say little: {named}."


def _unmeasured(evaluation: Evaluation) -> str:
    absent = [f"“{evaluation.class_names[index]}”" for index in np.flatnonzero(evaluation.support == 0)]
    return f"Not measured, for want of test images: {_names(absent)}." if absent else ""


def _names(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _far_confusions(evaluation: Evaluation) -> str:
    """Name the confusions of classes that are no siblings."""
    pairs = confused_pairs(evaluation, evaluation.n_classes**2)
    if "cross_parent" not in pairs.columns or not pairs["cross_parent"].any():
        return ""
    crossing, level = pairs[pairs["cross_parent"]], list(evaluation.levels)[-1]
    named = "; ".join(f"“{row.true}” taken for “{row.predicted}” ({row.rows})" for row in crossing.head(3).itertuples())
    return (
        f"{crossing['rows'].sum():,} of {pairs['rows'].sum():,} mistakes leave the parent class ({level}), most often: "
        f"{named}."
    )
