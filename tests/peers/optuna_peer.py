"""Optuna, Keras and MLflow as a good engineer would join them: TPE, median pruning, each trial a run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import mlflow
import optuna
from common import Contest, Split
from networks import BACKBONES, Offering, classifier, compile_for, fit_arguments


class Reporting(Offering):
    """Logs each epoch, offers its model, and ends trials that the pruner gives up."""

    def __init__(self, contest: Contest, test: Split, trial: optuna.Trial) -> None:
        super().__init__(contest, test)
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report one epoch."""
        logs = logs or {}
        mlflow.log_metrics(logs, step=epoch)
        super().on_epoch_end(epoch, logs)
        self.trial.report(logs["val_auc_pr"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def main() -> None:
    """Search until stopped."""
    contest = Contest()
    folder = Path(tempfile.mkdtemp())
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment("peer")
    arguments, test = fit_arguments(contest), contest.read("test")

    def objective(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("backbone", list(BACKBONES))
        unfrozen = trial.suggest_categorical("unfrozen_layers", [0, 20])
        model = classifier(name, contest.n_classes, trial.suggest_float("dropout", 0.0, 0.5), unfrozen)
        # Weights that are to be kept in large part bear smaller rates.
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True) * (0.1 if unfrozen else 1.0)
        compile_for(model, contest.n_classes, rate, trial.suggest_categorical("smoothing", [0.0, 0.1]))
        stop = keras.callbacks.EarlyStopping("val_auc_pr", mode="max", patience=2)
        with mlflow.start_run(run_name=f"trial {trial.number}"):
            mlflow.log_params(trial.params)
            history = model.fit(
                **arguments,
                callbacks=[stop, Reporting(contest, test, trial)],
            )
        return float(max(history.history["val_auc_pr"]))

    sampler = optuna.samplers.TPESampler(seed=contest.seed)
    optuna.create_study(direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner(4, 2)).optimize(
        objective, n_trials=10_000
    )


if __name__ == "__main__":
    main()
