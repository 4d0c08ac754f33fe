"""What a classifier says of each picture that it has not seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import NoAugmentation
from wellai_exp.imbalance import NoStrategy
from wellai_exp.models import Head, Scaler
from wellai_exp.seeding import derive_seed
from wellai_exp.training._fold_rows import FoldData
from wellai_exp.training._solver import fit_heads

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def out_of_fold(head: Head, features: Array, labels: Labels, folds: int, seed: int) -> Array:
    """Predict each row by a head that was fitted without it.

    Parameters
    ----------
    head : Head
        Fitted once for each fold.
    features : array of float32, shape (n, D)
        Of pictures that are no copies of each other, or a copy in another fold gives the label away.
    labels : array of int64, shape (n,)
        Class indices 0 to C - 1; each class has at least `folds` rows.
    folds : int
        At least 2; stratified by class.
    seed : int
        Decides the folds and the head's start.

    Returns
    -------
    array of float32, shape (n, C)
        Probabilities.

    Raises
    ------
    TrialFailed
        Where the loss is no longer a number.
    """
    from sklearn.model_selection import StratifiedKFold

    n_classes = int(labels.max()) + 1
    splitter = StratifiedKFold(folds, shuffle=True, random_state=derive_seed(seed, "out of fold"))
    parts = list(splitter.split(features, labels))
    data = []
    for train, _ in parts:
        scaler = Scaler.fit(head.scaling, features[train])
        data.append(FoldData(scaler(features[train]), labels[train], scaler))
    fitted = fit_heads(head, NoStrategy(), NoAugmentation(), data, n_classes, derive_seed(seed, "out of fold head"))
    probabilities = np.empty((len(labels), n_classes), np.float32)
    for one, (_, held_out) in zip(fitted, parts, strict=True):
        probabilities[held_out] = one.probabilities(features[held_out])
    return probabilities
