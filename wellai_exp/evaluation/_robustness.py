"""How much of a classifier's quality is left when its photographs are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.evaluation._perturbations import PERTURBATIONS, Perturbation
from wellai_exp.metrics import ArrayError

if TYPE_CHECKING:
    from wellai_exp.evaluation._evaluation import Evaluation

Image = npt.NDArray[np.uint8]
CLEAN = "clean"
"""The name of the row of unchanged images."""


def robustness(
    predict: Callable[[Image], npt.NDArray[Any]],
    batches: Iterable[Image],
    evaluation: Evaluation,
    *,
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Score a classifier on perturbed images, beside the same images unchanged.

    The images are gone through once, and each batch is predicted clean and at every strength: beside one batch only
    the probabilities are held, V · N · C numbers for V variants.

    Parameters
    ----------
    predict : callable
        From images uint8 [B, S, S, 3] (RGB) to probabilities [B, C].
    batches : iterable of ndarray
        The images of the evaluation's rows in their order, uint8 [B, S, S, 3], such as `wellai_exp.data.ImageReader`.
    evaluation : Evaluation
        Labels, classes, training images and parents of N rows; its probabilities are not used, since another way to the
        same predictions (a size, a runtime) would show as an effect of the perturbations.
    perturbations : sequence of Perturbation
        What is done to the images.
    seed : int
        With a perturbation's name and a row it decides what is drawn.
    progress : callable, optional
        Told after each batch and variant how many images of how many were predicted.

    Returns
    -------
    DataFrame
        One row a variant, the clean one first: ``perturbation``, ``strength`` (0 for clean, then 1 upwards), ``value``
        in its ``unit`` (NaN and "" for clean), ``images`` (N), each of `Evaluation.aggregates`, and
        ``<aggregate>_delta``, its difference to clean.

    Raises
    ------
    ArrayError
        Where the batches hold more or fewer images than the evaluation has rows, or a prediction is unsound.
    """
    variants = [(None, 0, np.nan)] + [
        (kind, number, value) for kind in perturbations for number, value in enumerate(kind.strengths, 1)
    ]
    predicted: list[list[npt.NDArray[Any]]] = [[] for _ in variants]
    rows, seen, done = len(evaluation.labels), 0, 0
    for batch in batches:
        for answers, (kind, _, value) in zip(predicted, variants, strict=True):
            answers.append(np.asarray(predict(batch if kind is None else kind(batch, value, seed, seen))))
            done += len(batch)
            if progress is not None:
                progress(done, rows * len(variants))
        seen += len(batch)
    if seen != rows:
        raise ArrayError(f"There are {rows} rows but the batches hold {seen} images; they must be as many.")
    records = [
        {
            "perturbation": CLEAN if kind is None else kind.name,
            "strength": number,
            "value": value,
            "unit": "" if kind is None else kind.unit,
            "images": rows,
            **replace(evaluation, probabilities=np.concatenate(answers)).aggregates,
        }
        for answers, (kind, number, value) in zip(predicted, variants, strict=True)
    ]
    table = pd.DataFrame(records)
    scores = table.iloc[:, 5:]
    return pd.concat([table, (scores - scores.iloc[0]).add_suffix("_delta")], axis=1)
