"""Labels that are probably wrong, by what a classifier that has not seen them says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class LabelQuality(NamedTuple):
    """What a classifier says of labels that it has not seen.

    Parameters
    ----------
    quality : array of float64, shape (n,)
        The normalised margin, 0 to 1: half of one plus the label's probability minus the greatest of the others'.
    doubted : array of bool, shape (n,)
        Whether confident learning takes the label for a mistake.
    likely : array of int64, shape (n,)
        The most probable class of those that have a row.
    """

    quality: npt.NDArray[np.float64]
    doubted: npt.NDArray[np.bool_]
    likely: npt.NDArray[np.int64]


def label_quality(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> LabelQuality:
    """Say how likely each label is right, and which labels confident learning doubts.

    Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021) as cleanlab has it: a class's threshold is the mean
    probability that it is given by the rows labelled so; a row that another class than its label claims by reaching its
    threshold, and by being the most probable, is doubted.

    Parameters
    ----------
    labels : array of int64, shape (n,)
        Class indices.
    probabilities : array of float64, shape (n, C)
        Of a classifier that was not trained on these rows; they sum to 1.

    Returns
    -------
    LabelQuality
        Classes without a row are left out.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    present, own = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return LabelQuality(np.ones(len(labels)), np.zeros(len(labels), bool), labels)
    # cleanlab wants every class to have a row.
    claimed = probabilities[:, present]
    claimed = claimed / np.maximum(claimed.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    quality = get_label_quality_scores(own, claimed, method="normalized_margin")
    doubted = find_label_issues(own, claimed, filter_by="confident_learning", n_jobs=1)
    return LabelQuality(np.asarray(quality, np.float64), np.asarray(doubted, bool), present[claimed.argmax(axis=1)])
