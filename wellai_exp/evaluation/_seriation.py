"""Classes in an order that puts those next to each other that are taken for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from wellai_exp.evaluation._evaluation import Evaluation


def order_by_confusion(evaluation: Evaluation) -> npt.NDArray[np.int64]:
    """Order the classes so that neighbours are often confused.

    Average-linkage clustering, where two classes are as near as the mean of the shares of their rows that are given
    to each other, its leaves ordered for the least sum of distances between neighbours (Bar-Joseph, Gifford and
    Jaakkola, "Fast optimal leaf ordering for hierarchical clustering", Bioinformatics 2001).

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of C classes.

    Returns
    -------
    ndarray of int64, shape [C]
        Class indices.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if evaluation.n_classes < 3:
        return np.arange(evaluation.n_classes)
    shares = evaluation.confusion / np.maximum(evaluation.support, 1)[:, None]
    distances = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distances, 0)
    pairs = squareform(distances)
    order: npt.NDArray[np.int64] = leaves_list(optimal_leaf_ordering(linkage(pairs, "average"), pairs)).astype(np.int64)
    # An order and its reverse are as good; one of them must always come.
    return order if order[0] < order[-1] else order[::-1]
