"""KerasTuner, Bayesian or Hyperband, on frozen backbones, from pixels, with early stopping."""

from __future__ import annotations

import tempfile
from typing import Any

import keras
import keras_tuner
from common import Contest
from networks import BACKBONES, EPOCHS, Offering, classifier, compile_for, fit_arguments


def main() -> None:
    """Search until stopped."""
    contest = Contest()
    arguments, test = fit_arguments(contest), contest.read("test")

    def build(choose: Any) -> Any:
        model = classifier(
            choose.Choice("backbone", list(BACKBONES)), contest.n_classes, choose.Float("dropout", 0.0, 0.5), 0
        )
        rate = choose.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        smoothing = choose.Choice("label_smoothing", [0.0, 0.1])
        compile_for(model, contest.n_classes, rate, smoothing)
        return model

    objective = keras_tuner.Objective("val_auc_pr", "max")
    # It takes a seed of 0 for none.
    shared: dict[str, Any] = {"objective": objective, "seed": contest.seed + 1, "directory": tempfile.mkdtemp()}
    tuner = (
        keras_tuner.Hyperband(build, max_epochs=EPOCHS, hyperband_iterations=100, **shared)
        if contest.kind == "hyperband"
        else keras_tuner.BayesianOptimization(build, max_trials=10_000, **shared)
    )
    stop = keras.callbacks.EarlyStopping("val_auc_pr", mode="max", patience=2)
    tuner.search(
        **arguments,
        callbacks=[stop, Offering(contest, test)],
    )


if __name__ == "__main__":
    main()
