"""Train a backbone from nothing, so that the classifier can be searched on its features.

Decoupled training (Kang et al. 2020, arXiv 1910.09217): the representation learns from plain, instance-balanced
batches; whatever is done about the imbalance is done to the classifier afterwards.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import Policy
from wellai_exp.data import ImageReader, Manifest
from wellai_exp.errors import SettingError
from wellai_exp.models import Backbone
from wellai_exp.paths import sha256_of, write_whole
from wellai_exp.seeding import derive_seed
from wellai_exp.training._progress import epoch_progress

Rows = npt.NDArray[np.int64]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Representation:
    """How a backbone without weights is trained first.

    Parameters
    ----------
    augmentation : Policy
        What its training images go through; independent of the searched policy.
    epochs : int
        Passes over the training part.
    batch_size : int
        Images a step.
    learning_rate : float
        AdamW's peak, decayed by a cosine to zero after a tenth of warm-up.
    weight_decay : float
        AdamW's decay.
    label_smoothing : float
        Share of the target spread over all classes.
    memory_gb : float
        The most that the decoded training images may take in memory.
    """

    augmentation: Policy
    epochs: int = 12
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    memory_gb: float = 4.0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("learning_rate", 1e-9), ("memory_gb", 1e-3)):
            if getattr(self, name) < least:
                raise SettingError(
                    f"regime.representation.{name}",
                    getattr(self, name),
                    f"it must be at least {least}",
                    f"leave regime.representation.{name} out to have the default",
                )
        self.augmentation.check_regime("representation")


@dataclass(frozen=True)
class TrainedBackbone(Backbone):
    """A backbone with weights that were trained here.

    Parameters
    ----------
    plain : Backbone
        The architecture.
    weights_path : Path
        Its weights.
    sha256 : str
        Of that file; checked whenever it is loaded.
    """

    plain: Backbone
    weights_path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The architecture's name."""
        return self.plain.name

    @property
    def size(self) -> int:
        """The architecture's input size, in pixels."""
        return self.plain.size

    @property
    def pretrained(self) -> bool:
        """Weights are there."""
        return True

    def weights_digest(self) -> str:
        """Give the weights' hash."""
        return self.sha256

    def feature_settings(self) -> dict[str, object]:
        """Give the architecture's settings."""
        return self.plain.feature_settings()

    def build(self) -> Any:
        """Build the frozen model."""
        model = self.plain.build()
        model.load_weights(self.weights_path)
        model.trainable = False
        return model


@dataclass(frozen=True)
class TrainingImages:
    """What a representation learns from.

    Parameters
    ----------
    manifest : Manifest
        The data.
    rows : numpy.ndarray
        int [n], the training rows.
    resize : str
        How images are brought to the square input.
    """

    manifest: Manifest
    rows: Rows
    resize: str

    @property
    def digest(self) -> str:
        """Hash of the images and labels, in an order of its own."""
        frame = self.manifest.frame.iloc[self.rows]
        pairs = sorted(zip(frame["sha256"].astype(str), frame["label"].astype(str), strict=True))
        return hashlib.sha256(json.dumps([pairs, self.resize]).encode()).hexdigest()

    def load(self, size: int, memory_gb: float) -> npt.NDArray[np.uint8]:
        """Decode all into one array [n, size, size, 3]."""
        need = len(self.rows) * size * size * 3 / 2**30
        if need > memory_gb:
            raise SettingError(
                "regime.representation.memory_gb",
                memory_gb,
                f"the {len(self.rows)} training images take {need:.1f} GB at {size} px",
                "raise it, or set a smaller backbone.size",
            )
        paths = [self.manifest.root / str(path) for path in self.manifest.frame["path"].iloc[self.rows]]
        return np.concatenate(list(ImageReader(paths, size, self.resize)))


def train_representation(
    recipe: Representation, backbone: Backbone, images: TrainingImages, seed: int, folder: Path, title: str
) -> TrainedBackbone:
    """Train `backbone` on `images`, or give it back as it was trained on the same before.

    Parameters
    ----------
    recipe : Representation
        How.
    backbone : Backbone
        Without weights.
    images : TrainingImages
        On what; nothing else is seen, so features of other images are honest.
    seed : int
        Of the start, the order and the augmentation.
    folder : Path
        Where trained weights are kept, by the hash of all the above.
    title : str
        What the progress bar says.

    Returns
    -------
    TrainedBackbone

    Raises
    ------
    TrialFailed
        Where the loss is no longer a number.
    """
    settings = [backbone.feature_key(), repr(recipe), images.digest, str(seed)]
    key = hashlib.sha256("|".join(settings).encode()).hexdigest()[:24]
    weights, card = folder / f"{key}.weights.h5", folder / f"{key}.json"
    if weights.exists() and card.exists():
        known = json.loads(card.read_text(encoding="utf-8"))
        if sha256_of(weights) == known["sha256"]:
            return TrainedBackbone(backbone, weights, known["sha256"])
        # A flipped byte in a weights file loads without complaint; only its hash can tell.
        logger.warning("%s is damaged; it is trained again.", weights)
    model = _train(recipe, backbone, images, derive_seed(seed, "representation"), title)
    with write_whole(weights) as path:
        model.save_weights(path)
    digest = sha256_of(weights)
    with write_whole(card) as path:
        path.write_text(json.dumps({"sha256": digest, "settings": settings}, indent=1), encoding="utf-8")
    return TrainedBackbone(backbone, weights, digest)


def _train(recipe: Representation, backbone: Backbone, images: TrainingImages, seed: int, title: str) -> Any:
    """Train with a linear classifier on top, which is thrown away."""
    import keras

    keras.utils.set_random_seed(seed)
    labels = images.manifest.labels[images.rows]
    model = backbone.build()
    logits = keras.layers.Dense(len(images.manifest.classes), name="logits")(model.outputs[0])
    classifier = keras.Model(model.inputs[0], logits)
    steps = -(-len(labels) // recipe.batch_size) * recipe.epochs
    warm_up = max(steps // 10, 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warm_up, 1), warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,  # XLA is several times slower than oneDNN for such convolutions on a CPU
    )
    batches = _batches(recipe, images.load(backbone.size, recipe.memory_gb), labels, seed, len(images.manifest.classes))
    with epoch_progress(title, recipe.epochs) as progress:
        classifier.fit(
            batches,
            epochs=recipe.epochs,
            steps_per_epoch=steps // recipe.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[progress],
        )
    return model


def _batches(recipe: Representation, pixels: Any, labels: Rows, seed: int, n_classes: int) -> Any:
    """Give shuffled, augmented batches; augmentation happens here and never in the model's graph."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((pixels, np.eye(n_classes, dtype=np.float32)[labels]))
    # Counted over all epochs, so that an image meets another augmentation each time.
    data = data.shuffle(len(labels), seed=seed).batch(recipe.batch_size).repeat(recipe.epochs).enumerate()
    augment = recipe.augmentation.augment

    def augmented(step: Any, batch: Any) -> Any:
        images, targets = batch
        return augment(images, tf.stack([tf.constant(seed, tf.int64), step])), targets

    return data.map(augmented, num_parallel_calls=2, deterministic=True).prefetch(2)
