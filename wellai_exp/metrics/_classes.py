"""Classes in parts: by how many images they were trained on, and by their parents."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import FloatArray, IntArray, check_labels

PARTS = ("head", "mid", "tail")


def parts_of(train_support: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Say of each class whether it belongs to the head, the middle or the tail of a long-tailed training set.

    Thirds of the classes by their training images, because fixed counts (more than 100, fewer than 20: Liu et al.,
    CVPR 2019) fit data sets of one size. Classes with as many images stay together, in the larger part, so that
    evenly filled classes are all of them the head: such data have no tail.

    Parameters
    ----------
    train_support : array_like of int, shape [C]
        Training images of each class.

    Returns
    -------
    ndarray of str, shape [C]
        ``head``, ``mid`` or ``tail``.

    Raises
    ------
    ArrayError
        Where it is empty or holds anything but counts.
    """
    support = check_labels(train_support, name="train_support")
    # The share of classes that have more images.
    larger = (support[None, :] > support[:, None]).sum(axis=1)
    part: npt.NDArray[np.str_] = np.array(PARTS)[np.minimum(3 * larger // len(support), 2)]
    return part


def lineage_heights(parents: Mapping[str, IntArray], labels: IntArray, predictions: IntArray) -> FloatArray:
    """Give how high the lowest common ancestor of true and predicted class lies, for each row [N].

    0 where they are the same class, 1 where they share a parent at the finest level, one more than there are levels
    where they share none (Deng et al., "What does classifying more than 10,000 image categories tell us?", ECCV 2010).

    Parameters
    ----------
    parents : mapping of str to ndarray of int, shape [C]
        The parent of each class at each level, coarse first.
    labels, predictions : ndarray of int, shape [N]
        Class indices.
    """
    heights = np.full(len(labels), len(parents) + 1.0)
    for height, groups in zip(range(len(parents), 0, -1), parents.values(), strict=True):
        heights[groups[labels] == groups[predictions]] = height
    heights[labels == predictions] = 0
    return heights
