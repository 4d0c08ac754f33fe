"""The fixed set of numbers that describe predictions, for any weighting of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._average_precision import Ranking, one_hot
from wellai_exp.metrics._calibration import ConfidenceBins
from wellai_exp.metrics._checks import (
    ArrayError,
    FloatArray,
    IntArray,
    check_labels,
    check_probabilities,
    check_weights,
)
from wellai_exp.metrics._classes import PARTS, lineage_heights, parts_of
from wellai_exp.metrics._decisions import cohen_kappa, matthews_corrcoef, scores_of_confusion

_TOP_K = 5


class Scorer:
    """Every aggregate score of one set of predictions, equal to scikit-learn's.

    What costs time (sorting) is done once, so that a bootstrap, which asks for the scores of a thousand weightings of
    the same rows, costs a few sums for each, and fewer where many are asked for together.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; rows sum to 1 within 1e-3. The predicted label is the first of the most probable.
    train_support : array_like of int, shape [C], optional
        Training images of each class; with them, scores of head, middle and tail are given apart (see `parts_of`).
    parents : mapping of str to array_like of int, shape [C], optional
        The parent of each class at each level of a hierarchy, coarse first; with them, scores of each level are given.

    Raises
    ------
    ArrayError
        Where arrays are unsound or do not fit each other.
    """

    def __init__(
        self,
        labels: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        *,
        train_support: npt.ArrayLike | None = None,
        parents: Mapping[str, npt.ArrayLike] | None = None,
    ) -> None:
        self.labels, self.probabilities = check_probabilities(labels, probabilities)
        self.n_classes = self.probabilities.shape[1]
        self.predictions: IntArray = self.probabilities.argmax(axis=1)
        self._parts = None if train_support is None else parts_of(self._of_classes(train_support, "train_support"))
        self._parents = {level: self._of_classes(groups, level) for level, groups in (parents or {}).items()}

    def _of_classes(self, values: npt.ArrayLike, name: str) -> IntArray:
        array = check_labels(values, name=name)
        if len(array) != self.n_classes:
            raise ArrayError(f"There are {self.n_classes} classes but {name} has {len(array)}; they must be as many.")
        return array

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking.of_classes(one_hot(self.labels, self.n_classes), self.probabilities)

    @cached_property
    def _decisions(self) -> Ranking:
        return Ranking.of_decisions(one_hot(self.labels, self.n_classes), self.probabilities)

    @cached_property
    def _bins(self) -> ConfidenceBins:
        return ConfidenceBins(self.labels, self.probabilities)

    @cached_property
    def _means(self) -> dict[str, FloatArray]:
        """What is a mean over the rows: its value in each row [N]."""
        means = {"log_loss": _row_losses(self.labels, self.probabilities)}
        if self.n_classes > _TOP_K:
            means["top5_accuracy"] = _among_first(self.labels, self.probabilities, _TOP_K)
        for level, groups in self._parents.items():
            means[f"accuracy_{level}"] = (groups[self.labels] == groups[self.predictions]).astype(np.float64)
        if self._parents:
            means["hierarchical_distance"] = lineage_heights(self._parents, self.labels, self.predictions)
        return means

    def auc_pr(self, weights: npt.ArrayLike | None = None) -> FloatArray:
        """Give the AUC-PR of each class against the rest [C]; NaN for a class without a row.

        Parameters
        ----------
        weights : array_like of float, shape [N], optional
            How often each row counts, at least 0; by default once. As scikit-learn's ``sample_weight``.

        Raises
        ------
        ArrayError
            Where the weights do not fit the rows, one is negative or not finite, or all are 0.
        """
        if weights is None:
            return self._ranking.average_precision()
        return np.asarray(self.weighted_auc_pr([weights])[0], np.float64)

    def weighted_auc_pr(self, weights: Sequence[npt.ArrayLike] | FloatArray) -> FloatArray:
        """Give the AUC-PR of each class against the rest, as `auc_pr`, for R weightings [R, N]: float64 [R, C]."""
        return self._ranking.weighted(self._each_checked(weights))

    def scores(self, weights: npt.ArrayLike | None = None) -> dict[str, float]:
        """Give every aggregate.

        Parameters
        ----------
        weights : array_like of float, shape [N], optional
            As in `auc_pr`; a class whose rows all weigh 0 has no row.

        Returns
        -------
        dict of str to float
            ``accuracy``, ``balanced_accuracy``, ``auc_pr_macro``, ``auc_pr_micro``, ``auc_pr_weighted``,
            ``auc_pr_worst`` (of the worst class), ``f1_macro``, ``f1_micro`` (with one label a row, the accuracy),
            ``f1_weighted``, ``cohen_kappa``, ``matthews_corrcoef``, ``expected_calibration_error`` (15 bins),
            ``log_loss`` (nats, probabilities clipped to the epsilon of their type) and, where C > 5,
            ``top5_accuracy``. Macro means and the worst class leave out classes without a row.

            With `train_support`, ``auc_pr_head`` … and ``recall_head`` … are means over the classes of each part that
            have a row (NaN where none has); a part without classes is left out.

            With `parents`, ``accuracy_<level>`` counts a row as right where the parents agree;
            ``hierarchical_distance`` is the mean over all rows, and ``mistake_severity`` that over the wrong ones
            (NaN without any), of the height of the lowest common ancestor of true and predicted class (Bertinetto et
            al., "Making better mistakes", CVPR 2020).

            ``cohen_kappa`` is NaN and ``matthews_corrcoef`` 0 where true and predicted labels are all of one class.

        Raises
        ------
        ArrayError
            As in `auc_pr`.
        """
        if weights is not None:
            return {name: float(values[0]) for name, values in self.weighted_scores([weights]).items()}
        auc_pr, micro = (each.average_precision() for each in (self._ranking, self._decisions))
        return self._scores(None, auc_pr, micro[0])

    def weighted_scores(self, weights: Sequence[npt.ArrayLike] | FloatArray) -> dict[str, FloatArray]:
        """Give every aggregate, as `scores`, for R weightings [R, N]: float64 [R] each."""
        each = self._each_checked(weights)
        ranked = self._ranking.weighted(each), self._decisions.weighted(each)[:, 0]
        rows = [self._scores(*given) for given in zip(each, *ranked, strict=True)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _each_checked(self, weights: Sequence[npt.ArrayLike] | FloatArray) -> FloatArray:
        return np.stack([check_weights(each, len(self.labels)) for each in weights])

    def _scores(self, weights: FloatArray | None, auc_pr: FloatArray, auc_pr_micro: float) -> dict[str, float]:
        confusion = self._confusion(weights)
        support, total = confusion.sum(axis=1), confusion.sum()
        present = support > 0
        _, recall, f1 = scores_of_confusion(confusion)
        accuracy = float(np.trace(confusion) / total)
        return {
            "accuracy": accuracy,
            "balanced_accuracy": float(recall[present].mean()),
            "auc_pr_macro": float(auc_pr[present].mean()),
            "auc_pr_micro": float(auc_pr_micro),
            "auc_pr_weighted": float(np.average(auc_pr[present], weights=support[present])),
            "auc_pr_worst": float(auc_pr[present].min()),
            "f1_macro": float(f1[present].mean()),
            "f1_micro": accuracy,
            "f1_weighted": float(np.average(f1, weights=support)),
            "cohen_kappa": cohen_kappa(confusion),
            "matthews_corrcoef": matthews_corrcoef(confusion),
            "expected_calibration_error": self._bins.error(weights),
            **{name: float(np.average(values, weights=weights)) for name, values in self._means.items()},
            **self._severity(weights),
            **self._of_parts(present, {"auc_pr": auc_pr, "recall": recall}),
        }

    def _confusion(self, weights: FloatArray | None) -> FloatArray:
        cells = self.n_classes * self.n_classes
        counts = np.bincount(self.labels * self.n_classes + self.predictions, weights, cells)
        return counts.astype(np.float64).reshape(self.n_classes, self.n_classes)

    def _severity(self, weights: FloatArray | None) -> dict[str, float]:
        if not self._parents:
            return {}
        heights = self._means["hierarchical_distance"]
        wrong = (heights > 0) * (np.ones(len(heights)) if weights is None else weights)
        return {"mistake_severity": float(np.average(heights, weights=wrong)) if wrong.any() else float("nan")}

    def _of_parts(self, present: npt.NDArray[np.bool_], per_class: Mapping[str, FloatArray]) -> dict[str, float]:
        if self._parts is None:
            return {}
        scores = {}
        for part in PARTS:
            members = self._parts == part
            rows = members & present
            if members.any():
                for name, values in per_class.items():
                    scores[f"{name}_{part}"] = float(values[rows].mean()) if rows.any() else float("nan")
        return scores


def _row_losses(labels: IntArray, probabilities: npt.NDArray[Any]) -> FloatArray:
    """Give the negative log-likelihood of each row [N], in nats.

    Clipped to [eps, 1 - eps] with the machine epsilon of their type, as in scikit-learn, so that one confident mistake
    costs at most 15.9 nats in float32 and 36.0 in float64.
    """
    eps = np.finfo(probabilities.dtype).eps
    of_truth = probabilities[np.arange(len(labels)), labels].clip(eps, 1 - eps)
    losses: FloatArray = -np.log(of_truth.astype(np.float64))
    return losses


def _among_first(labels: IntArray, probabilities: npt.NDArray[Any], k: int) -> FloatArray:
    """Say of each row [N] whether its class is among the `k` most probable.

    Among equal ones the higher class index comes first, as in scikit-learn's ``top_k_accuracy_score``.
    """
    of_truth = probabilities[np.arange(len(labels)), labels][:, None]
    tied_above = (probabilities == of_truth) & (np.arange(probabilities.shape[1]) > labels[:, None])
    rank = ((probabilities > of_truth) | tied_above).sum(axis=1)
    return np.asarray(rank < k, dtype=np.float64)
