"""Predictions of a manifest's test part as an evaluation, and what of it every run keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.data import Manifest
from wellai_exp.errors import DataError
from wellai_exp.evaluation import (
    Evaluation,
    confusion_figure,
    per_class_figure,
    pr_curves_figure,
    reliability_figure,
)
from wellai_exp.ledger import spent
from wellai_exp.promotion import keep_predictions
from wellai_exp.tracking import Run


@spent("evaluate")
def evaluation_of(
    manifest: Manifest,
    probabilities: npt.NDArray[Any],
    class_names: Sequence[str] | None = None,
    train_support: npt.ArrayLike | None = None,
    leaked: npt.NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Join predictions of a manifest's test part with what the manifest knows of its rows and classes.

    Parameters
    ----------
    manifest : Manifest
        The data.
    probabilities : ndarray, shape [test rows, C]
        Predicted in the order of ``manifest.test``.
    class_names : sequence of str, optional
        The model's classes, where they are not the manifest's.
    train_support : array_like of int, shape [C], optional
        Images of each class that the model was trained on; by default the manifest's training part.
    leaked : array of bool, shape [test rows], optional
        Which test rows have a near-duplicate among the images that the model was trained on; by default, for a model of
        the manifest's own classes, those with one in its training part.

    Raises
    ------
    DataError
        Where the data have a class that the model does not know.
    """
    names = tuple(manifest.classes if class_names is None else class_names)
    place = {name: index for index, name in enumerate(names)}
    test = manifest.frame.iloc[manifest.test]
    if strange := sorted(set(test["label"]) - set(place)):
        raise DataError(
            f"data={manifest.name}: the model knows no class {strange[0]!r} ({len(strange)} such); "
            "evaluate it on data with its own classes."
        )
    if class_names is None:
        train_support = manifest.counts["train"].to_numpy() if train_support is None else train_support
        leaked = manifest.leaked if leaked is None else leaked
    return Evaluation(
        np.array([place[label] for label in test["label"]], np.int64),
        probabilities,
        names,
        groups=test["group"].to_numpy(np.int64),
        paths=tuple(test["path"]),
        sha256=tuple(test["sha256"]),
        root=str(manifest.root),
        train_support=None if train_support is None else np.asarray(train_support, np.int64),
        levels=_levels(manifest, names),
        leaked=leaked,
    )


def _levels(manifest: Manifest, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Give the parents of the model's classes, where the data know one for each of them."""
    if set(names) - set(manifest.classes):
        return {}
    places = [manifest.classes.index(name) for name in names]
    return {level: tuple(str(parent) for parent in ids[places]) for level, ids in manifest.hierarchy.items()}


def log_evaluation(run: Run, evaluation: Evaluation, part: str) -> None:
    """Log aggregates as ``<part>/<name>``, the per-class table, the report, the pictures and the predictions.

    Where test images are leaked, the aggregates without them are ``<part>_without_leaked/<name>``.
    """
    run.log_metrics({f"{part}/{name}": value for name, value in evaluation.aggregates.items()})
    if evaluation.leaked is not None:
        run.log_metrics({f"{part}/leaked_images": int(evaluation.leaked.sum())})
    if (honest := evaluation.without_leaked) is not None:
        run.log_metrics({f"{part}_without_leaked/{name}": value for name, value in honest.aggregates.items()})
    run.log_table(evaluation.per_class, f"{part}/per_class.csv")
    run.log_text(evaluation.report, f"{part}/classification_report.txt")
    run.log_figure(confusion_figure(evaluation), f"{part}/confusion_matrix.png")
    run.log_figure(pr_curves_figure(evaluation), f"{part}/pr_curves.png")
    run.log_figure(per_class_figure(evaluation), f"{part}/per_class_auc_pr.png")
    run.log_figure(reliability_figure(evaluation), f"{part}/reliability.png")
    keep_predictions(run, evaluation, part)
