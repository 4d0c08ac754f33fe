"""The fine-tuning regimes: backbone and classifier learn together, or the classifier once more on what was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import HorizontalFlip, Policy
from wellai_exp.errors import SettingError
from wellai_exp.imbalance import NoStrategy
from wellai_exp.metrics import fold_summary
from wellai_exp.models import Backbone, FittedHead, LinearHead
from wellai_exp.seeding import derive_seed
from wellai_exp.training._contrastive import ContrastiveWarmUp
from wellai_exp.training._loop import Trained, Training
from wellai_exp.training._network import Recipe, Teacher
from wellai_exp.training._results import NO_ROWS, Choices, CrossValidation, Fitted, Nobody, Rows, Watcher
from wellai_exp.training._shared import Shared
from wellai_exp.training._soup import average_weights, check_soup
from wellai_exp.training._warm_up import BATCH

NOBODY = Nobody()


@dataclass(frozen=True)
class FineTune:
    """Settings of the fine-tuning regime.

    Parameters
    ----------
    epochs : int
        Passes over the training rows; the rate's schedule spans them.
    batch_size : int
        Images a step.
    unfrozen : int or None
        Blocks of the backbone that learn, counted from its output; None for all.
    freeze_batch_norm : bool
        Whether batch normalisation stays as it came: batches of 32 estimate worse statistics than ImageNet did. A
        backbone without weights trains its own in any case.
    head_warm_up : bool
        Whether the head is first fitted on the frozen features (linear probing then fine-tuning, Kumar et al. 2022,
        arXiv 2202.10054). Without weights there is nothing to fit it on.
    label_smoothing : float
        Share of the target spread over the classes (Szegedy et al. 2016, arXiv 1512.00567).
    dropout : float
        Share of the features set to zero while training.
    sizes : sequence of int
        Progressive resizing (Tan and Le 2021, arXiv 2104.00298): image sizes in pixels, each for an equal part of the
        epochs, the last being the backbone's own; empty for that one alone.
    mirror : bool
        Whether the model averages its answers for an image and its mirror image; its price is twice the latency.
    patience : int or None
        Epochs without a better validation AUC-PR (macro) after which training ends with the best epoch's weights; None
        trains all epochs and takes the last, which the schedule ends on.
    folds : int
        How many of the split's folds a trial is trained and validated on.
    contrastive : ContrastiveWarmUp
        Supervised-contrastive epochs before the others.
    precision : {"auto", "float32", "mixed_bfloat16", "mixed_float16"}
        Keras' dtype policy; auto takes bfloat16 on a GPU, whose range needs no loss scaling, and float32 elsewhere.
    xla : {"auto", "on", "off"}
        Whether XLA compiles the step; auto does so on a GPU, but not for networks with max-pooling, whose gradient it
        cannot compute deterministically. On a CPU it is 3 to 20 times slower than oneDNN.
    resize : {"stretch", "crop", "pad"}
        How an image is brought to a square.
    memory_gb : float
        How much of frozen features may be held in memory.
    """

    epochs: int = 16
    batch_size: int = 32
    unfrozen: int | None = None
    freeze_batch_norm: bool = True
    head_warm_up: bool = True
    label_smoothing: float = 0.1
    dropout: float = 0.0
    sizes: Sequence[int] = ()
    mirror: bool = True
    patience: int | None = None
    folds: int = 1
    contrastive: ContrastiveWarmUp = field(default_factory=ContrastiveWarmUp)
    precision: str = "auto"
    xla: str = "auto"
    resize: str = "stretch"
    memory_gb: float = 4.0
    name: ClassVar[str] = "finetune"

    def __post_init__(self) -> None:
        for setting in ("epochs", "batch_size", "folds"):
            self._check(setting, isinstance(getattr(self, setting), int) and getattr(self, setting) >= 1, "at least 1")
        for setting in ("unfrozen", "patience"):
            value = getattr(self, setting)
            self._check(setting, value is None or (isinstance(value, int) and value >= 1), "null, or at least 1")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)")
        self._check("dropout", 0 <= self.dropout < 1, "in [0, 1)")
        self._check("memory_gb", self.memory_gb > 0, "above 0")
        self._check("resize", self.resize in ("stretch", "crop", "pad"), "stretch, crop or pad")
        self._check("xla", self.xla in ("auto", "on", "off"), "auto, on or off")
        policies = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
        self._check("precision", self.precision in policies, f"one of {', '.join(policies)}")
        object.__setattr__(self, "sizes", tuple(self.sizes or ()))
        whole = all(isinstance(size, int) and size >= 32 for size in self.sizes)
        self._check("sizes", whole and len(self.sizes) <= self.epochs, "sizes of at least 32, no more than epochs")

    def _check(self, setting: str, fine: bool, need: str) -> None:
        if not fine:
            default = type(self).__dataclass_fields__[setting].default
            shown = "null" if default is None else "[]" if default == () else default
            raise SettingError(
                f"regime.{setting}", getattr(self, setting), f"it must be {need}", f"set regime.{setting}={shown}"
            )

    def task(self, shared: Shared) -> FineTuneTask:
        """Give what fits trials in this regime."""
        return FineTuneTask(shared, self)

    def check(self, choices: Choices) -> None:
        """Refuse choices that cannot work in this regime."""
        choices.strategy.check_regime("finetune")
        choices.policy.check_regime("finetune")
        self.sizes_of(choices.backbone.size)

    def sizes_of(self, size: int) -> tuple[int, ...]:
        """Give the sizes that a backbone of this size is trained at, in turn."""
        if self.sizes and self.sizes[-1] != size:
            raise SettingError(
                "regime.sizes",
                list(self.sizes),
                f"the last size must be the backbone's own, {size}",
                f"end regime.sizes with {size}, or set backbone.size={self.sizes[-1]}",
            )
        return tuple(self.sizes) or (size,)

    def size_at(self, epoch: int, size: int) -> int:
        """Give the image size of an epoch, counted from 0, for a backbone of this size."""
        sizes = self.sizes_of(size)
        return sizes[min(epoch * len(sizes) // self.epochs, len(sizes) - 1)]

    def recipe(self, choices: Choices) -> Recipe:
        """Give what is traced into a step, with the precision chosen for this machine."""
        import tensorflow as tf

        gpu = bool(tf.config.list_physical_devices("GPU"))
        automatic = "mixed_bfloat16" if gpu else "float32"
        frozen = self.freeze_batch_norm and choices.backbone.pretrained
        return Recipe(
            choices.backbone,
            choices.head,
            choices.strategy,
            choices.optimizer,
            self.unfrozen,
            frozen or choices.backbone.batch_norm_folded,
            self.label_smoothing,
            self.dropout,
            automatic if self.precision == "auto" else self.precision,
            self.xla,
        )


class FineTuneTask:
    """Fits trials by fine-tuning.

    Parameters
    ----------
    shared : Shared
        Data and caches.
    regime : FineTune
        The settings.
    """

    def __init__(self, shared: Shared, regime: FineTune) -> None:
        self.shared = shared
        self.regime = regime

    def cross_validate(
        self, choices: Choices, watcher: Watcher = NOBODY, *, seed: int | None = None
    ) -> CrossValidation:
        """Train on all folds but one and score that one; the watcher hears of the first fold's epochs.

        Raises
        ------
        TrialFailed
            Where the loss is no longer a number.
        """
        scores, epochs = [], []
        for fold in range(self._folds):
            train, held_out = self.shared.manifest.fold_rows(fold)
            training = self._training(choices, train, held_out, self.shared.seed if seed is None else seed)
            trained = training.run(watcher if fold == 0 else NOBODY)
            probabilities = self.predict(trained.head, trained.backbone, held_out)
            scores.append(self.shared.scores(held_out, probabilities))
            epochs.append(trained.epochs)
        return CrossValidation(fold_summary(scores), tuple(scores), epochs=round(float(np.mean(epochs))))

    def fit(
        self,
        choices: Choices,
        watcher: Watcher = NOBODY,
        *,
        seed: int | None = None,
        epochs: int | None = None,
        teacher: Teacher | None = None,
    ) -> Fitted:
        """Train on the whole training part and predict the test part.

        Parameters
        ----------
        choices : Choices
            What to train.
        watcher : Watcher
            Who follows.
        seed : int, optional
            By default the experiment's.
        epochs : int, optional
            The epoch to end with, the schedule being planned for all.
        teacher : Teacher, optional
            For distillation.
        """
        own = self.shared.seed if seed is None else seed
        manifest = self.shared.manifest
        training = self._training(choices, manifest.train, NO_ROWS, own, epochs, teacher)
        trained = training.run(watcher)
        return self._fitted(trained.head, trained.backbone, manifest.test)

    def interim(self, choices: Choices) -> Fitted | None:
        """Give the model of a trial that was ended early, as its last whole epoch left it."""
        train, held_out = self.shared.manifest.fold_rows(0)
        trained = self._training(choices, train, held_out, self.shared.seed).standing_model()
        return None if trained is None else self._fitted(trained.head, trained.backbone, held_out)

    def check_soup(self, choices: Choices) -> None:
        """Refuse choices whose trainings cannot be averaged, as `wellai_exp.training.check_soup` does."""
        check_soup(choices, self.regime.freeze_batch_norm)

    def soup(self, members: Sequence[Fitted]) -> Fitted:
        """Average the weights of several fits of one configuration and predict the test part."""
        head, backbone = average_weights(members, self.shared.store)
        return self._fitted(head, backbone, self.shared.manifest.test)

    def _fitted(self, head: FittedHead, backbone: Backbone, rows: Rows) -> Fitted:
        return Fitted(head, backbone, self.predict(head, backbone, rows), (), self.regime.mirror)

    @property
    def _folds(self) -> int:
        return min(self.regime.folds, self.shared.manifest.n_folds)

    def _training(
        self,
        choices: Choices,
        rows: Rows,
        held_out: Rows,
        seed: int,
        until: int | None = None,
        teacher: Teacher | None = None,
    ) -> Training:
        self.regime.check(choices)
        return Training(self.shared, self.regime, choices, rows, held_out, seed, until=until, teacher=teacher)

    def predict(self, head: FittedHead, backbone: Backbone, rows: Rows) -> npt.NDArray[np.float64]:
        """Give probabilities [n, C] of some rows, averaged with those of their mirror images where asked for."""
        from wellai_exp.training._features import traced

        forward = traced(backbone.build())
        pixels = self.shared.pixels(backbone.size, self.regime.resize)
        parts = []
        for start in range(0, len(rows), BATCH):
            images = pixels.gather(rows[start : start + BATCH])
            views = [images, np.ascontiguousarray(images[:, :, ::-1])] if self.regime.mirror else [images]
            answers = [head.probabilities(np.asarray(forward(view), np.float32)) for view in views]
            parts.append(sum(answers) / len(answers))
        return np.concatenate(parts)


@dataclass(frozen=True)
class Decoupled(FineTune):
    """Train the representation plainly, then the classifier on its features (Kang et al. 2020, arXiv 1910.09217).

    The backbone is fine-tuned with plain batches and a linear head, as a trial of the fine-tuning regime with the same
    settings is, whose weights are used where they are there. Then head and imbalance strategy, of the probe's kind,
    learn on its features.

    Parameters
    ----------
    views : Policy
        Whose fixed views of the images the classifier learns from.
    """

    views: Policy = field(default_factory=HorizontalFlip)
    name: ClassVar[str] = "decoupled"

    def task(self, shared: Shared) -> Any:
        """Give what fits trials in this regime."""
        from wellai_exp.training._probe import DecoupledTask

        return DecoupledTask(shared, self)

    def representation(
        self, shared: Shared, choices: Choices, rows: Rows, held_out: Rows, seed: int, watcher: Watcher = NOBODY
    ) -> Trained:
        """Train the backbone, or give it as an earlier trial left it."""
        plain = replace(choices, strategy=NoStrategy(), head=LinearHead())
        return Training(shared, self.fine_tuning, plain, rows, held_out, seed).run(watcher)

    def check(self, choices: Choices) -> None:
        """Refuse choices that cannot work in this regime."""
        choices.strategy.check_regime("probe")
        choices.policy.check_regime("finetune")
        self.views.check_regime("probe")
        self.sizes_of(choices.backbone.size)

    @property
    def fine_tuning(self) -> FineTune:
        """The settings of the representation's training, equal to those of a fine-tuning trial."""
        own = {each.name: getattr(self, each.name) for each in fields(FineTune)}
        return FineTune(**own)


def member_seed(seed: int, index: int) -> int:
    """Give the seed of the `index`-th of several trainings of one configuration; the first is the experiment's own."""
    return seed if index == 0 else derive_seed(seed, "member", index)
