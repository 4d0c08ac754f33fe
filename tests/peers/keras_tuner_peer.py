"""KerasTuner, Bayesian or Hyperband, on frozen backbones, from pixels, with early stopping."""

from __future__ import annotations

import tempfile
from typing import Any

import keras
import keras_tuner
from common import Contest
from networks import BACKBONES, BATCH, EPOCHS, Offering, classifier, one_vs_rest_auc_pr


def main() -> None:
    """Search until stopped."""
    contest = Contest()
    train, validation, test = (contest.read(part) for part in ("train", "validation", "test"))
    targets = [keras.utils.to_categorical(part.labels, contest.n_classes) for part in (train, validation)]

    def build(choose: Any) -> Any:
        model = classifier(
            choose.Choice("backbone", list(BACKBONES)), contest.n_classes, choose.Float("dropout", 0.0, 0.5), 0
        )
        rate = choose.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        smoothing = choose.Choice("label_smoothing", [0.0, 0.1])
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
        metrics = [one_vs_rest_auc_pr(contest.n_classes)]
        # XLA, which Keras would take, is several times slower than oneDNN for such networks on a CPU.
        model.compile(keras.optimizers.Adam(rate), loss, metrics=metrics, jit_compile=False)
        return model

    objective = keras_tuner.Objective("val_auc_pr", "max")
    shared: dict[str, Any] = {"objective": objective, "seed": contest.seed, "directory": tempfile.mkdtemp()}
    tuner = (
        keras_tuner.Hyperband(build, max_epochs=EPOCHS, hyperband_iterations=100, **shared)
        if contest.kind == "hyperband"
        else keras_tuner.BayesianOptimization(build, max_trials=10_000, **shared)
    )
    stop = keras.callbacks.EarlyStopping("val_auc_pr", mode="max", patience=2)
    tuner.search(
        train.images,
        targets[0],
        validation_data=(validation.images, targets[1]),
        epochs=EPOCHS,
        batch_size=BATCH,
        callbacks=[stop, Offering(contest, test)],
        verbose=0,
    )


if __name__ == "__main__":
    main()
