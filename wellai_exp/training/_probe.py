"""The probe regime: classifiers on frozen features, compared by cross-validation in a second or two each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import NoAugmentation, Policy
from wellai_exp.data import FeatureStore, Manifest
from wellai_exp.errors import SettingError
from wellai_exp.imbalance import Strategy
from wellai_exp.metrics import aggregates, fold_summary
from wellai_exp.models import Backbone, FittedHead, Head, Scaler, assemble
from wellai_exp.seeding import derive_seed
from wellai_exp.training._features import BackboneFeatures, Rows
from wellai_exp.training._representation import Representation, TrainingImages, train_representation
from wellai_exp.training._solver import FoldData, fit_heads

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probe:
    """Settings of the probe regime.

    Parameters
    ----------
    representation : Representation
        How a backbone without weights is trained first.
    resize : {"stretch", "crop", "pad"}
        How an image is brought to the backbone's square input.
    memory_gb : float
        How much of the features may be held in memory.
    """

    representation: Representation
    resize: str = "stretch"
    memory_gb: float = 4.0
    name: ClassVar[str] = "probe"

    def __post_init__(self) -> None:
        if self.resize not in ("stretch", "crop", "pad"):
            raise SettingError("regime.resize", self.resize, "there is no such rule", "set it to stretch, crop or pad")
        if self.memory_gb <= 0:
            raise SettingError("regime.memory_gb", self.memory_gb, "it must be above 0", "set regime.memory_gb=4")


@dataclass(frozen=True)
class Choices:
    """What one trial consists of.

    Parameters
    ----------
    backbone, policy, strategy, head
        One member of each family.
    """

    backbone: Backbone
    policy: Policy
    strategy: Strategy
    head: Head


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation says of one trial.

    Parameters
    ----------
    metrics : dict of str to float
        ``<metric>_mean`` and ``<metric>_std`` over the folds.
    folds : tuple of dict
        The metrics of each fold.
    notes : tuple of str
        What a strategy had to do otherwise than asked.
    """

    metrics: dict[str, float]
    folds: tuple[dict[str, float], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """A trial fitted on the whole training part.

    Parameters
    ----------
    head : FittedHead
        The head.
    backbone : Backbone
        With its weights.
    probabilities : numpy.ndarray
        float64 [n_test, C], of the untouched test rows.
    notes : tuple of str
        As in :class:`CrossValidation`.
    """

    head: FittedHead
    backbone: Backbone
    probabilities: npt.NDArray[np.float64]
    notes: tuple[str, ...]

    def model(self) -> Any:
        """Give the inference model: uint8-range RGB images to probabilities."""
        return assemble(self.backbone.build, self.head)


class ProbeTask:
    """Everything that trials on the same data share.

    Parameters
    ----------
    manifest : Manifest
        The data, split.
    regime : Probe
        The settings.
    store : Path
        The folder of the caches.
    seed : int
        The experiment's seed; every trial of a sweep has the same, so that trials differ by their choices alone.
    """

    def __init__(self, manifest: Manifest, regime: Probe, store: Path, seed: int) -> None:
        self.manifest = manifest
        self.regime = regime
        self.seed = seed
        self._store = store
        self.features = BackboneFeatures(manifest, FeatureStore(store / "features"), regime.resize, regime.memory_gb)

    @property
    def n_classes(self) -> int:
        """C."""
        return len(self.manifest.classes)

    def cross_validate(self, choices: Choices) -> CrossValidation:
        """Fit every fold and score its validation rows.

        Raises
        ------
        TrialFailed
            Where a strategy or the fit cannot give a value.
        """
        self._check(choices)
        parts, notes, validation = [], [], []
        for fold in range(self.manifest.n_folds):
            train, held_out = self.manifest.fold_rows(fold)
            backbone = self._with_weights(choices.backbone, train, f"fold {fold + 1} of {self.manifest.n_folds}")
            data, said = self._fold_data(choices, backbone, train, fold)
            parts.append(data)
            notes += [f"fold {fold + 1}: {note}" for note in said]
            scope = self.manifest.train
            validation.append((held_out, self.features.rows(backbone, NoAugmentation(), 0, held_out, scope)))
        fitted = fit_heads(choices.head, choices.strategy, choices.policy, parts, self.n_classes, self.seed)
        folds = tuple(
            aggregates(self.manifest.labels[rows], head.probabilities(features))
            for head, (rows, features) in zip(fitted, validation, strict=True)
        )
        return CrossValidation(fold_summary(list(folds)), folds, tuple(notes))

    def fit(self, choices: Choices) -> Fitted:
        """Fit on the whole training part and predict the test part."""
        self._check(choices)
        train, test = self.manifest.train, self.manifest.test
        backbone = self._with_weights(choices.backbone, train, "whole training part")
        data, notes = self._fold_data(choices, backbone, train, "all")
        head = fit_heads(choices.head, choices.strategy, choices.policy, [data], self.n_classes, self.seed)[0]
        everything = np.sort(np.concatenate([train, test]))
        features = self.features.rows(backbone, NoAugmentation(), 0, test, everything)
        return Fitted(head, backbone, head.probabilities(features), notes)

    def _check(self, choices: Choices) -> None:
        choices.strategy.check_regime(self.regime.name)
        choices.policy.check_regime(self.regime.name)

    def _with_weights(self, backbone: Backbone, rows: Rows, title: str) -> Backbone:
        """Give the backbone itself, or trained on these rows where it has no weights.

        A fold gets a representation of its own: one that had seen the fold's validation images, with their labels,
        would flatter every classifier on top of it.
        """
        if backbone.pretrained:
            return backbone
        images = TrainingImages(self.manifest, rows, self.regime.resize)
        folder = self._store / "representations"
        return train_representation(
            self.regime.representation, backbone, images, self.seed, folder, f"{backbone.name}, {title}"
        )

    def _fold_data(
        self, choices: Choices, backbone: Backbone, rows: Rows, fold: object
    ) -> tuple[FoldData, tuple[str, ...]]:
        """Put the views of the training rows together, scale and resample them; nothing else is looked at."""
        scope = self.manifest.train
        views = [
            self.features.rows(backbone, choices.policy, view, rows, scope) for view in range(choices.policy.views)
        ]
        features = np.concatenate(views) if len(views) > 1 else views[0]
        labels = np.tile(self.manifest.labels[rows], len(views))
        scaler = Scaler.fit(choices.head.scaling, features)
        seed = derive_seed(self.seed, "resample", fold)
        resampled = choices.strategy.resample(scaler(features), labels, self.n_classes, seed)
        return FoldData(resampled.features, resampled.labels, scaler), resampled.notes
