"""The networks that peers train, from the same files of weights as this sweep's, and how they offer them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
from common import SIZE, Contest, Split

EPOCHS = 10
BATCH = 32
# The constructor in keras.applications, its width, and its file below WELLAI_ASSETS/weights.
BACKBONES = {
    "mobilenet_v1_075": ("MobileNet", 0.75, "mobilenet_v1_0.75_224_no_top.weights.h5"),
    "mobilenet_v2_035": ("MobileNetV2", 0.35, "mobilenet_v2_0.35_224_no_top.weights.h5"),
}


def backbone(name: str) -> keras.Model:
    """Build one of the two networks with its weights."""
    constructor, alpha, file = BACKBONES[name]
    trunk = getattr(keras.applications, constructor)(
        input_shape=(SIZE, SIZE, 3), alpha=alpha, include_top=False, weights=None, pooling="avg"
    )
    trunk.load_weights(Path(os.environ["WELLAI_ASSETS"]) / "weights" / file)
    return trunk


def classifier(name: str, n_classes: int, dropout: float, trainable_layers: int) -> keras.Model:
    """Give the model that the Keras guide to transfer learning builds, its last layers unfrozen where asked for."""
    trunk = backbone(name)
    trunk.trainable = trainable_layers > 0
    for layer in trunk.layers[: len(trunk.layers) - trainable_layers]:
        layer.trainable = False
    image = keras.Input((SIZE, SIZE, 3))
    seen = keras.layers.RandomRotation(0.03)(keras.layers.RandomFlip("horizontal")(image))
    seen = keras.layers.Rescaling(1 / 127.5, -1.0)(seen)
    features = keras.layers.Dropout(dropout)(trunk(seen, training=False))
    return keras.Model(image, keras.layers.Dense(n_classes, activation="softmax")(features))


def one_vs_rest_auc_pr(n_classes: int) -> keras.metrics.Metric:
    """Give Keras' metric of what all contestants are judged by."""
    return keras.metrics.AUC(curve="PR", multi_label=True, num_labels=n_classes, name="auc_pr")


def compile_for(model: keras.Model, n_classes: int, learning_rate: float, label_smoothing: float) -> None:
    """Compile a classifier with Adam."""
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    metrics = [one_vs_rest_auc_pr(n_classes)]
    # XLA, which Keras would take, is several times slower than oneDNN for such networks on a CPU.
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=metrics, jit_compile=False)


def fit_arguments(contest: Contest) -> dict[str, Any]:
    """Read the photographs and give what every peer's training is called with."""
    train, validation = (contest.read(part) for part in ("train", "validation"))
    targets = [keras.utils.to_categorical(part.labels, contest.n_classes) for part in (train, validation)]
    return {
        "x": train.images,
        "y": targets[0],
        "validation_data": (validation.images, targets[1]),
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "verbose": 0,
    }


class Offering(keras.callbacks.Callback):  # type: ignore[misc]
    """Offers each epoch's model: whoever stops a search would hold the best of them."""

    def __init__(self, contest: Contest, test: Split) -> None:
        super().__init__()
        self.contest, self.test = contest, test

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Offer it by its validation score."""
        predict = self.model.predict
        self.contest.offer((logs or {})["val_auc_pr"], lambda: predict(self.test.images, BATCH, verbose=0), self.test)

    def __deepcopy__(self, memo: object) -> Offering:
        """Tuners copy callbacks for each trial, and the record is one."""
        return Offering(self.contest, self.test)
