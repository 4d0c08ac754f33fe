"""The best trial, fitted on the whole training part and measured on the test part that nothing has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig

from wellai_exp.data import ImageReader
from wellai_exp.errors import WellaiError
from wellai_exp.evaluation import Evaluation, confusion_figure, per_class_figure, pr_curves_figure
from wellai_exp.tracking import Registry, Run
from wellai_exp.training import Choices, Fitted, Nobody, Teacher, Watcher
from wellai_exp.verbs._workbench import Workbench, make_choices

# Features come from a traced batch, the model from one graph: float32 rounding differs, and no more than this.
PARITY_TOLERANCE = 1e-3
PARITY_ROWS = 64


@dataclass(frozen=True)
class Winner:
    """A fitted and evaluated configuration.

    Parameters
    ----------
    cfg : DictConfig
        Its composed config.
    choices : Choices
        What it consists of.
    fitted : Fitted
        The fit on the whole training part.
    evaluation : Evaluation
        On the test part.
    """

    cfg: DictConfig
    choices: Choices
    fitted: Fitted
    evaluation: Evaluation

    @property
    def test(self) -> dict[str, float]:
        """The aggregates on the test part."""
        return self.evaluation.aggregates


def fit_and_evaluate(
    bench: Workbench,
    cfg: DictConfig,
    watcher: Watcher | None = None,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    teacher: Teacher | None = None,
) -> Winner:
    """Fit a configuration on the whole training part and evaluate it on the test part."""
    choices = make_choices(cfg)
    fitted = bench.task(cfg).fit(choices, watcher or Nobody(), seed=seed, epochs=epochs, teacher=teacher)
    manifest = bench.manifest
    evaluation = Evaluation(manifest.labels[manifest.test], fitted.probabilities, manifest.classes)
    return Winner(cfg, choices, fitted, evaluation)


def log_evaluation(run: Run, evaluation: Evaluation, part: str) -> None:
    """Log aggregates as ``<part>/<name>``, the per-class table, the report and the pictures."""
    run.log_metrics({f"{part}/{name}": value for name, value in evaluation.aggregates.items()})
    run.log_table(evaluation.per_class, f"{part}/per_class.csv")
    run.log_text(evaluation.report, f"{part}/classification_report.txt")
    run.log_figure(confusion_figure(evaluation), f"{part}/confusion_matrix.png")
    run.log_figure(pr_curves_figure(evaluation), f"{part}/pr_curves.png")
    run.log_figure(per_class_figure(evaluation), f"{part}/per_class_auc_pr.png")


def log_winner(bench: Workbench, run: Run, winner: Winner, reproduce: str, part: str = "test") -> str:
    """Log evaluation, as `part`, and model; gives the model's address for the registry."""
    log_evaluation(run, winner.evaluation, part)
    model = winner.fitted.model()
    check_parity(bench, model, winner)
    return _log(bench, run, winner.choices, model, resize_of(winner.cfg), reproduce)


def log_model(bench: Workbench, run: Run, choices: Choices, fitted: Fitted, resize: str, reproduce: str) -> str:
    """Log a trial's model; gives its address."""
    return _log(bench, run, choices, fitted.model(), resize, reproduce)


def _log(bench: Workbench, run: Run, choices: Choices, model: Any, resize: str, reproduce: str) -> str:
    metadata = {
        "size": choices.backbone.size,
        "resize": resize,
        "data": bench.manifest.name,
        "data_digest": bench.manifest.digest,
        "backbone": choices.backbone.name,
        "reproduce": reproduce,
    }
    return bench.tracker.log_model(
        run, model, class_names=bench.manifest.classes, size=choices.backbone.size, metadata=metadata
    )


def resize_of(cfg: DictConfig) -> str:
    """Say how a composed trial brings images to a square."""
    return str(cfg.regime.resize)


def check_parity(bench: Workbench, model: Any, winner: Winner) -> None:
    """Make sure that the joined model, fed pixels, says what head and stored features said.

    Raises
    ------
    WellaiError
        Where a probability differs by more than ``PARITY_TOLERANCE``.
    """
    manifest = bench.manifest
    some = np.linspace(0, len(manifest.test) - 1, min(PARITY_ROWS, len(manifest.test))).astype(int)
    paths = [manifest.root / str(path) for path in manifest.frame["path"].iloc[manifest.test[some]]]
    reader = ImageReader(paths, winner.choices.backbone.size, resize_of(winner.cfg))
    answers = np.concatenate([np.asarray(model(images.astype(np.float32), training=False)) for images in reader])
    gap = float(np.abs(answers - winner.fitted.probabilities[some]).max())
    if gap > PARITY_TOLERANCE:
        raise WellaiError(
            f"the joined model differs from the evaluated one by {gap:.2g} in a probability, so it is not registered; "
            "remove the folder features in paths.store and type the same command."
        )


def register(
    bench: Workbench, run: Run, uri: str, winner: Winner, tags: dict[str, str], name: str | None = None
) -> int:
    """Register the model as the challenger, under the experiment's name unless another is given."""
    return Registry(bench.tracker.tracking).register(
        uri,
        run_id=run.id,
        tags={**tags, **{f"test/{name}": f"{value:.6f}" for name, value in winner.test.items()}},
        name=name,
        description=f"{winner.choices.backbone.name}, {winner.choices.strategy.name}, {winner.choices.policy.name}",
    )
