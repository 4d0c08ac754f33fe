"""The probe regime: classifiers on frozen features, compared by cross-validation in a second or two each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import HorizontalFlip, NoAugmentation, Policy
from wellai_exp.errors import SettingError
from wellai_exp.imbalance import NoStrategy
from wellai_exp.metrics import fold_summary
from wellai_exp.models import Backbone, FittedHead, LinearHead, Scaler
from wellai_exp.seeding import derive_seed
from wellai_exp.training._features import BackboneFeatures
from wellai_exp.training._finetune import NOBODY, Decoupled, FineTune
from wellai_exp.training._fold_rows import FoldData, SharedRows, crossed_bytes, may_share
from wellai_exp.training._loop import Training
from wellai_exp.training._network import Teacher
from wellai_exp.training._optimizers import Optimizer
from wellai_exp.training._progress import epoch_progress
from wellai_exp.training._results import NO_ROWS, Choices, CrossValidation, Fitted, Rows, Watcher
from wellai_exp.training._shared import Shared
from wellai_exp.training._solver import fit_heads
from wellai_exp.training._soup import average_weights, check_soup

Array = npt.NDArray[np.float32]

# Small folds are fitted together, because one alone leaves cores idle; large ones do not, and would fill the memory.
STACKED_BYTES = 256 * 2**20
# Rows that folds share are fitted together longer: they lie there once for all folds.
SHARED_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class _Judged:
    """The rows that a fold is judged by, and the features of each of their views [n, D]."""

    rows: Rows
    views: list[Array]


@dataclass(frozen=True)
class Representation:
    """How a backbone without weights is trained before classifiers are compared on its features.

    Decoupled training (Kang et al. 2020, arXiv 1910.09217): the representation learns from plain, instance-balanced
    batches with a linear head; whatever is done about the imbalance is done to the classifier afterwards.

    Parameters
    ----------
    training : FineTune
        Epochs, batches, label smoothing.
    optimizer : Optimizer
        The rate and its schedule.
    augmentation : Policy
        What its training images go through; the searched policy is another.
    """

    training: FineTune
    optimizer: Optimizer
    augmentation: Policy

    def choices(self, backbone: Backbone) -> Choices:
        """Give what is trained."""
        return Choices(backbone, self.augmentation, NoStrategy(), LinearHead(), self.optimizer)


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
    rungs : sequence of int
        Numbers of folds after which the search's pruner may end a trial (successive halving over folds, after Jamieson
        and Talwalkar 2016, arXiv 1502.07943); empty to fit all folds at once, which costs less for a trial that stays.
    """

    representation: Representation
    resize: str = "stretch"
    memory_gb: float = 4.0
    rungs: Sequence[int] = ()
    name: ClassVar[str] = "probe"

    def __post_init__(self) -> None:
        if self.resize not in ("stretch", "crop", "pad"):
            raise SettingError("regime.resize", self.resize, "there is no such rule", "set it to stretch, crop or pad")
        if self.memory_gb <= 0:
            raise SettingError("regime.memory_gb", self.memory_gb, "it must be above 0", "set regime.memory_gb=4")
        object.__setattr__(self, "rungs", tuple(self.rungs or ()))
        whole = all(isinstance(rung, int) and rung >= 1 for rung in self.rungs)
        if not whole or sorted(set(self.rungs)) != list(self.rungs):
            raise SettingError(
                "regime.rungs", list(self.rungs), "they must be rising numbers of folds", "set regime.rungs=[1,2]"
            )

    def check(self, choices: Choices) -> None:
        """Refuse choices that cannot work in this regime."""
        choices.strategy.check_regime(self.name)
        choices.policy.check_regime(self.name)

    def task(self, shared: Shared) -> ProbeTask:
        """Give what fits trials in this regime."""
        return ProbeTask(shared, self)


class ProbeTask:
    """Fits trials on frozen features.

    Parameters
    ----------
    shared : Shared
        Data and caches.
    regime : Probe or Decoupled
        The settings.
    """

    def __init__(self, shared: Shared, regime: Probe | Decoupled) -> None:
        self.shared = shared
        self.regime = regime
        self.manifest = shared.manifest
        self.n_folds = self.manifest.n_folds

    @property
    def mirrored(self) -> bool:
        """Whether the answers for an image and its mirror image are averaged; a probe asks once."""
        return False

    @property
    def _rungs(self) -> Sequence[int]:
        """After how many folds the watcher hears of them."""
        return self.regime.rungs if isinstance(self.regime, Probe) else ()

    @property
    def features(self) -> BackboneFeatures:
        """The features of all images."""
        return self.shared.features(self.regime.resize, self.regime.memory_gb)

    def cross_validate(
        self, choices: Choices, watcher: Watcher = NOBODY, *, seed: int | None = None
    ) -> CrossValidation:
        """Fit every fold and score its validation rows; there are no epochs for the watcher to hear of, but folds.

        Raises
        ------
        TrialFailed
            Where a strategy or the fit cannot give a value.
        """
        choices = self._prepared(choices)
        own = self.shared.seed if seed is None else seed
        if (shared := self._shared_rows(choices)) is not None:
            scope, held_by = self.manifest.train, range(self.n_folds)
            # Taken one by one: together they are as many as all features.
            each = (self._judged(choices.backbone, self.manifest.fold_rows(fold)[1], scope) for fold in held_by)
            scored = self._scored(choices, shared, each, own)
            return CrossValidation(fold_summary(scored), tuple(scored))
        folds: list[dict[str, float]] = []
        notes: list[str] = []
        waiting: list[FoldData] = []
        judged = []
        for fold in range(self.n_folds):
            train, held_out = self.manifest.fold_rows(fold)
            backbone = self._with_weights(choices, train, held_out, own, f"fold {fold + 1} of {self.n_folds}")
            data, said = self._fold_data(choices, backbone, train, fold)
            notes += [f"fold {fold + 1}: {note}" for note in said]
            waiting.append(data)
            judged.append(self._judged(backbone, held_out, self.manifest.train))
            with_another = data.features.nbytes + sum(each.features.nbytes for each in waiting)
            done = fold + 1
            ends = done == self.n_folds or done in self._rungs
            if ends or with_another > STACKED_BYTES:
                folds += self._scored(choices, waiting, judged, own)
                waiting, judged = [], []
                if self._rungs and ends:
                    watcher.folds(done, self.n_folds, CrossValidation(fold_summary(folds), tuple(folds)).means)
        return CrossValidation(fold_summary(folds), tuple(folds), tuple(notes))

    def _scored(
        self, choices: Choices, rows: Sequence[FoldData] | SharedRows, judged: Iterable[_Judged], seed: int
    ) -> list[dict[str, float]]:
        fitted = fit_heads(choices.head, choices.strategy, choices.policy, rows, self.shared.n_classes, seed)
        return [
            self.shared.scores(each.rows, _mean_answer(head, each.views))
            for head, each in zip(fitted, judged, strict=True)
        ]

    def fit(
        self,
        choices: Choices,
        watcher: Watcher = NOBODY,
        *,
        seed: int | None = None,
        epochs: int | None = None,
        teacher: Teacher | None = None,
    ) -> Fitted:
        """Fit on the whole training part and predict the test part; parameters as `FineTuneTask.fit` has them."""
        if teacher is not None:
            raise SettingError(
                "distill", self.regime.name, "a student learns by fine-tuning", "add regime=finetune to distill"
            )
        choices = self._prepared(choices)
        own = self.shared.seed if seed is None else seed
        train = self.manifest.train
        backbone = self._with_weights(choices, train, NO_ROWS, own, "whole training part", watcher)
        data, notes = self._fold_data(choices, backbone, train, "all")
        head = fit_heads(choices.head, choices.strategy, choices.policy, [data], self.shared.n_classes, own)[0]
        return Fitted(head, backbone, self._answers(head, backbone), notes, self.mirrored)

    def check_soup(self, choices: Choices) -> None:
        """Refuse choices whose trainings cannot be averaged, as `wellai_exp.training.check_soup` does."""
        check_soup(choices, not isinstance(self.regime, Decoupled) or self.regime.freeze_batch_norm)

    def soup(self, members: Sequence[Fitted]) -> Fitted:
        """Average the weights of several fits of one configuration and predict the test part."""
        head, backbone = average_weights(members, self.shared.store)
        return Fitted(head, backbone, self._answers(head, backbone), members[0].notes, self.mirrored)

    def _answers(self, head: FittedHead, backbone: Backbone) -> npt.NDArray[np.float64]:
        """Give the probabilities [n, C] of the test part."""
        test = self.manifest.test
        return _mean_answer(head, self._judged(backbone, test, test).views)

    def _prepared(self, choices: Choices) -> Choices:
        """Check the choices against the regime and bind the head to the data."""
        self.regime.check(choices)
        return replace(choices, head=choices.head.bound(self.manifest.levels))

    def _with_weights(
        self, choices: Choices, rows: Rows, held_out: Rows, seed: int, title: str, watcher: Watcher = NOBODY
    ) -> Backbone:
        """Give the backbone itself, or trained on these rows where it has no weights.

        A fold gets a representation of its own: one that had seen the fold's validation images, with their labels,
        would flatter every classifier on top of it.
        """
        backbone = choices.backbone
        if backbone.pretrained or not isinstance(self.regime, Probe):
            return backbone
        recipe = self.regime.representation
        training = Training(self.shared, recipe.training, recipe.choices(backbone), rows, NO_ROWS, seed)
        with epoch_progress(f"{backbone.name}, {title}", recipe.training.epochs, watcher) as progress:
            return training.run(progress).backbone

    def _judged(self, backbone: Backbone, rows: Rows, scope: Rows) -> _Judged:
        """Give the features of rows as they are, and of their mirror images where those count too."""
        views = [self.features.rows(backbone, NoAugmentation(), 0, rows, scope)]
        if self.mirrored:
            views.append(self.features.rows(backbone, HorizontalFlip(), 1, rows, scope))
        return _Judged(rows, views)

    def _views(self, policy: Policy, backbone: Backbone, rows: Rows) -> tuple[Array, Rows]:
        """Give the features of all views of training rows, one view after another, and the row of each."""
        views = [self.features.rows(backbone, policy, view, rows, self.manifest.train) for view in range(policy.views)]
        return np.concatenate(views) if len(views) > 1 else views[0], np.tile(rows, len(views))

    def _shared_rows(self, choices: Choices) -> SharedRows | None:
        """Give the training rows of all folds, where these differ in nothing but what each holds out.

        None too where they are too many to be held together, or where folds are judged by and by.
        """
        own_backbones = not (choices.backbone.pretrained and isinstance(self.regime, Probe))
        if self._rungs or own_backbones or not may_share(choices.head, choices.strategy, choices.policy):
            return None
        train = self.manifest.train
        dim = self.features.rows(choices.backbone, choices.policy, 0, train[:1], train).shape[1]
        seen = len(train) * choices.policy.views
        if crossed_bytes(seen, dim, self.n_folds, self.shared.n_classes) > SHARED_BYTES:
            return None
        features, rows = self._views(choices.policy, choices.backbone, train)
        # A strategy that keeps its rows still looks whether they are sound.
        checked = choices.strategy.resample(features, self.manifest.labels[rows], self.shared.n_classes, 0)
        held_by = self.manifest.frame["fold"].to_numpy()[rows]
        return SharedRows.of(choices.head.scaling, checked.features, checked.labels, held_by)

    def _fold_data(
        self, choices: Choices, backbone: Backbone, rows: Rows, fold: object
    ) -> tuple[FoldData, tuple[str, ...]]:
        """Put the views of the training rows together, scale and resample them; nothing else is looked at."""
        features, origin = self._views(choices.policy, backbone, rows)
        labels = self.manifest.labels[origin]
        scaler = Scaler.fit(choices.head.scaling, features)
        seed = derive_seed(self.shared.seed, "resample", fold)
        resampled = choices.strategy.resample(scaler(features), labels, self.shared.n_classes, seed)
        return FoldData(resampled.features, resampled.labels, scaler), resampled.notes


def _mean_answer(head: FittedHead, views: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """Give the mean of the probabilities [n, C] over views of the same rows."""
    return np.asarray(np.mean([head.probabilities(view) for view in views], axis=0), np.float64)


class DecoupledTask(ProbeTask):
    """Fits classifiers on the features of backbones that were fine-tuned plainly.

    Parameters
    ----------
    shared : Shared
        Data and caches.
    regime : Decoupled
        The settings.
    """

    def __init__(self, shared: Shared, regime: Decoupled) -> None:
        super().__init__(shared, regime)
        self._decoupled = regime
        self.n_folds = min(regime.folds, self.manifest.n_folds)

    @property
    def mirrored(self) -> bool:
        """Whether the answers for an image and its mirror image are averaged, as in the fine-tuning before."""
        return self._decoupled.mirror

    def _with_weights(
        self, choices: Choices, rows: Rows, held_out: Rows, seed: int, title: str, watcher: Watcher = NOBODY
    ) -> Backbone:
        """Give the backbone as it was fine-tuned on these rows alone."""
        with epoch_progress(f"{choices.backbone.name}, {title}", self._decoupled.epochs, watcher) as progress:
            return self._decoupled.representation(self.shared, choices, rows, held_out, seed, progress).backbone

    def _fold_data(
        self, choices: Choices, backbone: Backbone, rows: Rows, fold: object
    ) -> tuple[FoldData, tuple[str, ...]]:
        # The searched policy belongs to the images of the fine-tuning; the classifier has views of its own.
        return super()._fold_data(replace(choices, policy=self._decoupled.views), backbone, rows, fold)
