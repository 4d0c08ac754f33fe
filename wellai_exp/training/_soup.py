"""Several trainings of one configuration as one network: the average of their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.models import Backbone, FittedHead
from wellai_exp.paths import sha256_of, write_whole
from wellai_exp.training._network import Array
from wellai_exp.training._results import Choices, Fitted
from wellai_exp.training._trained import TrainedBackbone


def check_soup(choices: Choices, batch_norm_frozen: bool = True) -> None:
    """Refuse configurations whose trainings end in weights that mean different things.

    Parameters
    ----------
    choices : Choices
        The configuration.
    batch_norm_frozen : bool
        Whether batch normalisation keeps the statistics that it came with.

    Raises
    ------
    SettingError
        Naming ``final.soup``.
    """
    problem = None
    if not choices.backbone.pretrained:
        problem = "backbone", f"{choices.backbone.name} starts from other random weights with each seed"
    elif choices.head.has_hidden:
        problem = "head", f"hidden layers of head={choices.head.name} start from other random weights with each seed"
    elif not (batch_norm_frozen or choices.backbone.batch_norm_folded):
        problem = "regime.freeze_batch_norm", "each training has batch normalisation learn statistics of its own"
    if problem:
        raise SettingError(
            "final.soup",
            True,
            f"{problem[1]}, so an average of the weights is no network",
            f"set final.soup=false, or another {problem[0]}",
        )


def average_weights(members: Sequence[Fitted], store: Path) -> tuple[FittedHead, Backbone]:
    """Give the uniform soup of several trainings (Wortsman et al., ICML 2022, arXiv 2203.05482, section 2).

    Trainings that start from the same pretrained weights mostly end in one basin of the loss, where the average of
    their weights errs less than each, as their ensemble does, at the price of one network.

    Parameters
    ----------
    members : sequence of Fitted
        At least one; of one configuration, with different seeds.
    store : Path
        Where the averaged backbone is written, below ``soups``, named by its members.

    Returns
    -------
    tuple of (FittedHead, Backbone)
        Head and backbone; backbones that never learnt are one already.
    """
    first = members[0]
    heads = [member.head for member in members]

    def mean(values: Sequence[Array]) -> Array:
        return np.asarray(np.mean(np.asarray(values, np.float64), axis=0), np.float32)

    weights = tuple(mean(same) for same in zip(*(head.weights for head in heads), strict=True))
    kernel, bias = mean([head.kernel for head in heads]), mean([head.bias for head in heads])
    head = FittedHead(first.head.head, first.head.scaler, weights, kernel, bias)
    backbones = [member.backbone for member in members]
    trained = [backbone for backbone in backbones if isinstance(backbone, TrainedBackbone)]
    return head, _averaged(trained, store) if trained else first.backbone


def _averaged(backbones: Sequence[TrainedBackbone], store: Path) -> TrainedBackbone:
    """Write the mean of the backbones' weights to a file of their own, anew each time: it is made in seconds."""
    models = [backbone.build() for backbone in backbones]
    key = hashlib.sha256(" ".join(backbone.sha256 for backbone in backbones).encode()).hexdigest()[:24]
    for variable, *others in zip(*(model.variables for model in models), strict=True):
        total = sum((other.numpy().astype(np.float64) for other in others), variable.numpy().astype(np.float64))
        variable.assign((total / len(models)).astype(variable.dtype))
    weights = store / "soups" / key / "trunk.weights.h5"
    with write_whole(weights) as path:
        models[0].save_weights(path)
    return TrainedBackbone(backbones[0].plain, weights, sha256_of(weights))
