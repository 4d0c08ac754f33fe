"""Two evaluations of the same images: by how much they differ, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp import metrics
from wellai_exp.errors import DataError
from wellai_exp.evaluation._evaluation import Evaluation
from wellai_exp.metrics import McNemar

# At which the table's corrected p-values must be able to find a class.
_ALPHA = 0.05
FALLING = frozenset(["log_loss", "expected_calibration_error", "hierarchical_distance", "mistake_severity"])


def same_images(one: Evaluation, other: Evaluation) -> bool:
    """Say whether two evaluations are of the same images, each as often, by the hashes of their content."""
    return bool(one.sha256) and sorted(one.sha256) == sorted(other.sha256)


def pair_evaluations(reference: Evaluation, other: Evaluation) -> Evaluation:
    """Bring an evaluation's rows and classes into the order of another's, so that they can be compared row by row.

    Rows are paired by the hash of their image. Training support, levels and groups are taken from the reference: the
    same classes must be the tail in both, and the same rows near-duplicates.

    Parameters
    ----------
    reference, other : Evaluation
        Of the same images, with hashes, and of the same classes in any order.

    Returns
    -------
    Evaluation
        `other`, ordered as `reference`.

    Raises
    ------
    DataError
        Where images or classes are not the same, or an image has another label.
    """
    if not same_images(reference, other):
        shared = len(set(reference.sha256) & set(other.sha256))
        raise DataError(
            f"Two evaluations of {len(reference.labels)} and {len(other.labels)} images share {shared}; only those of "
            "the same images can be compared: evaluate both models on the same data."
        )
    strange = sorted(set(reference.class_names) ^ set(other.class_names))
    if strange:
        raise DataError(
            f"Only models of the same classes can be compared, but {strange[0]!r} is known to one alone "
            f"({len(strange)} such); train both on the same classes."
        )
    columns = np.array([other.class_names.index(name) for name in reference.class_names])
    rows = np.empty(len(other.labels), np.int64)
    rows[_by_content(reference)] = _by_content(other)
    labels = np.argsort(columns)[other.labels[rows]]
    differing = np.flatnonzero(labels != reference.labels)
    if len(differing):
        first = differing[0]
        names = [reference.class_names[each[first]] for each in (reference.labels, labels)]
        raise DataError(
            f"{len(differing)} images have one label in one evaluation and another in the other, e.g. {names[0]!r} and "
            f"{names[1]!r}; evaluate both models on the same data."
        )
    return replace(
        reference, probabilities=other.probabilities[rows][:, columns], paths=reference.paths, sha256=reference.sha256
    )


def _by_content(evaluation: Evaluation) -> npt.NDArray[np.int64]:
    """Order rows by their image's hash; copies of one image by label, since a copy may be filed under another."""
    names = np.array(evaluation.class_names)[evaluation.labels]
    return np.lexsort((names, np.array(evaluation.sha256)))


# Generated equality would compare arrays with ==, which has no single truth value.
@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found of one evaluation against a reference.

    Parameters
    ----------
    reference, candidate : Evaluation
        The same images in the same order.
    metrics : DataFrame
        One row a metric that both have: ``metric``, ``reference``, ``candidate``, ``delta`` (candidate minus
        reference), ``low`` and ``high`` (its paired 95 % interval), ``p`` (of no difference) and ``p_holm``, corrected
        for the number of candidates, not for that of metrics. NaN where a metric cannot be measured.
    classes : DataFrame
        One row a class, in index order: ``class``, ``support`` (rows), AUC-PR of ``reference`` and ``candidate``,
        ``delta``, ``low``, ``high``, ``p``, and ``p_holm``, corrected for the number of classes. NaN for a class that
        cannot be measured.
    mcnemar : McNemar
        Whether one has more rows right than the other; A is the reference.
    """

    reference: Evaluation
    candidate: Evaluation
    metrics: pd.DataFrame
    classes: pd.DataFrame
    mcnemar: McNemar

    @property
    def confusions(self) -> pd.DataFrame:
        """One row for each pair of classes whose number of rows differs, the most changed first.

        Columns: ``true``, ``predicted``, ``rows`` of the true class, how many of them the ``reference`` and the
        ``candidate`` gave to the predicted class, and the ``change``.
        """
        change = self.candidate.confusion - self.reference.confusion
        true, predicted = np.nonzero(change)
        names = np.array(self.reference.class_names, dtype=object)
        table = pd.DataFrame(
            {
                "true": names[true],
                "predicted": names[predicted],
                "rows": self.reference.support[true],
                "reference": self.reference.confusion[true, predicted],
                "candidate": self.candidate.confusion[true, predicted],
                "change": change[true, predicted],
            }
        )
        return table.sort_values("change", key=abs, ascending=False, kind="stable", ignore_index=True)


def compare(
    reference: Evaluation, candidates: Mapping[str, Evaluation], *, n_resamples: int = 1000, seed: int = 0
) -> dict[str, Comparison]:
    """Compare evaluations of the same images with a reference: metrics, classes and right answers.

    Rows are resampled by near-duplicate group, the same rows of all models (see
    `wellai_exp.metrics.paired_bootstrap`), so that what makes an image hard for both leaves their difference.

    Parameters
    ----------
    reference : Evaluation
        What the others are compared with.
    candidates : mapping of str to Evaluation
        By name; rows and classes may be in another order.
    n_resamples : int
        Resamples behind each interval and p-value.
    seed : int
        Of the resamples.

    Returns
    -------
    dict of str to Comparison
        In the order of `candidates`.

    Raises
    ------
    DataError
        Where images, labels or classes differ, see `pair_evaluations`; or resamples are too few.
    """
    of_reference = _Resampled.of(reference, n_resamples, seed)
    paired = {name: pair_evaluations(reference, candidate) for name, candidate in candidates.items()}
    resampled = [_Resampled.of(candidate, n_resamples, seed) for candidate in paired.values()]
    tables = _metric_deltas(of_reference.scores, [each.scores for each in resampled])
    return {
        name: Comparison(
            reference,
            candidate,
            table,
            _class_deltas(reference, candidate, of_reference.classes, each.classes, seed),
            metrics.mcnemar(reference.labels, reference.predictions, candidate.predictions, reference.groups),
        )
        for (name, candidate), table, each in zip(paired.items(), tables, resampled, strict=True)
    }


class _Resampled(NamedTuple):
    """Scores of an evaluation on the resamples that every evaluation of the same rows is scored on."""

    scores: metrics.Resamples
    classes: metrics.Resamples

    @classmethod
    def of(cls, evaluation: Evaluation, n_resamples: int, seed: int) -> _Resampled:
        scorer, labels, groups = evaluation.scorer, evaluation.labels, evaluation.groups
        return cls(
            metrics.resample(scorer.weighted_scores, labels, groups, n_resamples=n_resamples, seed=seed),
            metrics.resample_per_class(scorer.weighted_auc_pr, labels, groups, n_resamples=n_resamples, seed=seed),
        )


def _metric_deltas(reference: metrics.Resamples, candidates: list[metrics.Resamples]) -> list[pd.DataFrame]:
    """Give the table of each candidate, with p-values corrected for their number."""
    tables = [_deltas(reference, candidate) for candidate in candidates]
    corrected = [metrics.holm(p_values) for p_values in zip(*(table["p"] for table in tables), strict=True)]
    for table, p_values in zip(tables, np.transpose(corrected), strict=True):
        table.insert(0, "metric", reference.names)
        table["p_holm"] = p_values
    return tables


def _class_deltas(
    of: Evaluation, other: Evaluation, reference: metrics.Resamples, candidate: metrics.Resamples, seed: int
) -> pd.DataFrame:
    """Give the table of the classes, whose p-values come of swaps; see `wellai_exp.metrics.paired_per_class`."""
    table = _deltas(reference, candidate)
    table.insert(0, "class", of.class_names)
    table.insert(1, "support", of.support)
    swaps = metrics.swaps_enough(of.n_classes, _ALPHA)
    p_values = metrics.swap_test(of.labels, of.probabilities, other.probabilities, of.groups, n_swaps=swaps, seed=seed)
    return table.assign(p=p_values, p_holm=metrics.holm(p_values))


def _deltas(reference: metrics.Resamples, candidate: metrics.Resamples) -> pd.DataFrame:
    found = metrics.differences(reference, candidate).values()
    return pd.DataFrame(
        {
            "reference": reference.estimates,
            "candidate": candidate.estimates,
            "delta": [each.estimate for each in found],
            "low": [each.low for each in found],
            "high": [each.high for each in found],
            "p": [each.p_value for each in found],
        }
    )
