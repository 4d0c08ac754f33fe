"""The best trial, fitted on the whole training part and measured on the test part that nothing has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from omegaconf import DictConfig

from wellai_exp.data import ImageReader
from wellai_exp.errors import WellaiError
from wellai_exp.evaluation import Evaluation
from wellai_exp.ledger import spent
from wellai_exp.report import Section
from wellai_exp.tracking import Registry, Run
from wellai_exp.training import Choices, Fitted, Nobody, Teacher, Watcher
from wellai_exp.verbs._card import card_facts
from wellai_exp.verbs._evaluated import evaluation_of
from wellai_exp.verbs._evidence import Evidence, EvidenceSettings, Say, Subject
from wellai_exp.verbs._provenance import git_commit, versions
from wellai_exp.verbs._workbench import Workbench, make_choices, trial_params

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
    members : int
        Of how many trainings its weights are the average.
    """

    cfg: DictConfig
    choices: Choices
    fitted: Fitted
    evaluation: Evaluation
    members: int = 1

    @property
    def test(self) -> dict[str, float]:
        """The aggregates on the test part."""
        return self.evaluation.aggregates


@spent("fit")
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
    return Winner(cfg, choices, fitted, evaluation_of(bench.manifest, fitted.probabilities))


@dataclass(frozen=True)
class Kept:
    """A winner's model in MLflow.

    Parameters
    ----------
    uri : str
        Its address for the registry.
    model : keras.Model
        The model.
    evidence : Evidence
        What it is worth.
    """

    uri: str
    model: Any
    evidence: Evidence


@spent("evaluate")
def log_winner(bench: Workbench, run: Run, winner: Winner, reproduce: str, say: Say, part: str = "test") -> Kept:
    """Log all evidence, as `part`, and the model."""
    model = winner.fitted.model()
    check_parity(bench, model, winner)
    subject = Subject(model, winner.choices.backbone.size, resize_of(winner.cfg))
    evidence = Evidence(EvidenceSettings.of(winner.cfg.evidence), winner.evaluation, subject, int(winner.cfg.seed), say)
    evidence.log(run, part)
    uri = _log(bench, run, winner.cfg, winner.choices, model, reproduce, part, winner.members)
    return Kept(uri, model, evidence)


@spent("plot")
def log_report(
    bench: Workbench,
    run: Run,
    kept: Kept,
    version: int | None,
    *,
    name: str | None = None,
    more: Sequence[Section] = (),
    part: str = "test",
) -> None:
    """Log the page that tells all of it, once the version's number is known."""
    registered = str(name or bench.cfg.tracking.registered_name)
    # The version's own file: a command that was stopped may have registered it already, and this one made it again.
    ref = Registry(bench.tracker.tracking).resolve(f"{registered}/{version}" if version else kept.uri)
    known = registered if version else str(bench.cfg.name)
    facts = card_facts(bench.cfg.card, ref, kept.model, bench.manifest.name, known, version)
    kept.evidence.log_report(run, part, facts, ref.sha256, more)


def log_model(bench: Workbench, run: Run, cfg: DictConfig, choices: Choices, fitted: Fitted, reproduce: str) -> str:
    """Log a trial's model; gives its address."""
    return _log(bench, run, cfg, choices, fitted.model(), reproduce, "")


def _log(
    bench: Workbench,
    run: Run,
    cfg: DictConfig,
    choices: Choices,
    model: Any,
    reproduce: str,
    part: str,
    members: int = 1,
) -> str:
    manifest = bench.manifest
    metadata = {
        "size": choices.backbone.size,
        "resize": resize_of(cfg),
        "data": manifest.name,
        "data_digest": manifest.digest,
        "data_counts": {"training": len(manifest.train), "test": len(manifest.test)},
        "train_support": manifest.counts["train"].tolist(),
        "backbone": choices.backbone.name,
        # Under which name its run holds its predictions: a sweep's run may hold a student's too.
        "part": part,
        "reproduce": reproduce,
        "settings": trial_params(cfg),
        # Of how many trainings the weights are the average.
        "members": members,
        "seed": int(cfg.seed),
        "commit": git_commit(),
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return bench.tracker.log_model(
        run, model, class_names=manifest.classes, size=choices.backbone.size, metadata=metadata
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
    bench: Workbench,
    run: Run,
    uri: str,
    winner: Winner,
    tags: dict[str, str],
    name: str | None = None,
    noted: str | None = None,
) -> int | None:
    """Register the model as the challenger, under the experiment's name unless another is given.

    Gives the version's number, None where the tracking server is away; the run's tag `noted` says it too.
    """
    said = [winner.choices.backbone.name, winner.choices.strategy.name, winner.choices.policy.name]
    if winner.members > 1:
        said.append(f"average of {winner.members} trainings")
    return Registry(bench.tracker.tracking).register(
        uri,
        run_id=run.id,
        tags={**tags, **{f"test/{name}": f"{value:.6f}" for name, value in winner.test.items()}},
        name=name,
        noted=noted,
        description=", ".join(said),
    )
