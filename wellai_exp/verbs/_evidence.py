"""What a model's predictions are worth, as it is kept in MLflow."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import DictConfig

from wellai_exp.data import ImageReader
from wellai_exp.errors import SettingError
from wellai_exp.evaluation import (
    Evaluation,
    confused_pairs,
    confused_pairs_sheet,
    explained_rows,
    explanations_figure,
    likely_mislabelled,
    likely_mislabelled_sheet,
    perturbations_sheet,
    pr_table,
    robustness,
    robustness_figure,
    thresholds_table,
    worst_mistakes_sheet,
)
from wellai_exp.ledger import spent
from wellai_exp.metrics import Interval, bootstrap, bootstrap_per_class, fit_temperature
from wellai_exp.models import grad_cam
from wellai_exp.report import CardFacts, Extras, Report, Section, model_card, render
from wellai_exp.seeding import generator
from wellai_exp.tracking import Run
from wellai_exp.training import traced
from wellai_exp.verbs._evaluated import log_evaluation
from wellai_exp.verbs._numbers import whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT = "report.html"
# With the part after it: the SHA-256 of the model that the page is about.
REPORTED_TAG = "wellai.reported"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """A model at hand, and how it is fed.

    Parameters
    ----------
    model : keras.Model
        Pixels [N, size, size, 3], 0 to 255, to probabilities [N, C].
    size : int
        Side of its input, in pixels.
    resize : str
        How an image is brought to a square.
    """

    model: Any
    size: int
    resize: str

    @cached_property
    def _forward(self) -> Callable[[npt.NDArray[np.uint8]], Any]:
        """The model, traced: layer by layer, one of hundreds of operations takes several times as long."""
        return traced(self.model)

    @spent("extract")
    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Give the probabilities [N, C] of pixels [N, size, size, 3]."""
        return np.asarray(self._forward(images), np.float32)

    def images(self, evaluation: Evaluation, batch_size: int = 32) -> ImageReader:
        """Read the images of an evaluation's rows."""
        paths = [Path(evaluation.root) / path for path in evaluation.paths]
        return ImageReader(paths, self.size, self.resize, batch_size=batch_size)


@dataclass(frozen=True)
class EvidenceSettings:
    """How much evidence is gathered: the config's ``evidence``.

    Parameters
    ----------
    resamples : int
        Of the bootstrap, at least 100.
    precision : float
        What each class's threshold reaches, in (0, 1].
    robustness : int
        Test images that are perturbed; 0 for none.
    explanations : int
        Test images with Grad-CAM; 0 for none.
    """

    resamples: int
    precision: float
    robustness: int
    explanations: int

    @classmethod
    def of(cls, cfg: DictConfig) -> EvidenceSettings:
        """Read them.

        Raises
        ------
        SettingError
            Where one cannot be.
        """
        try:
            precision = float(str(cfg.precision))
        except ValueError:
            precision = math.nan
        if not 0 < precision <= 1:
            raise SettingError(
                "evidence.precision", cfg.precision, "it must be above 0 and at most 1", "set evidence.precision=0.9"
            )
        return cls(
            whole_number("evidence.resamples", cfg.resamples, "set evidence.resamples=1000", least=100),
            precision,
            whole_number("evidence.robustness", cfg.robustness, "set evidence.robustness=200, or 0", least=0),
            whole_number("evidence.explanations", cfg.explanations, "set evidence.explanations=12, or 0", least=0),
        )


@dataclass(frozen=True)
class Evidence:
    """Everything that a winner's and an evaluated model's run carries beyond the plain evaluation.

    Parameters
    ----------
    settings : EvidenceSettings
        How much of it.
    evaluation : Evaluation
        Predictions of the test part.
    subject : Subject or None
        What made them; None where the predictions are all there is, and then nothing is perturbed or explained.
    seed : int
        Of the bootstrap and of what is drawn.
    say : callable
        Shows what goes on.
    """

    settings: EvidenceSettings
    evaluation: Evaluation
    subject: Subject | None
    seed: int
    say: Say = field(default=lambda text: None)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % bootstrap interval of each aggregate."""
        self.say("bootstrap")
        scores, rows = self.evaluation.scorer.weighted_scores, self.evaluation
        # The root is one level above the coarsest that is named.
        top = float(len(rows.levels) + 1)
        ranges = {"hierarchical_distance": (0.0, top), "mistake_severity": (1.0, top)} if rows.levels else None
        return bootstrap(
            scores, rows.labels, rows.groups, n_resamples=self.settings.resamples, seed=self.seed, ranges=ranges
        )

    def _class_intervals(self) -> list[Interval]:
        auc_pr, rows = self.evaluation.scorer.weighted_auc_pr, self.evaluation
        return bootstrap_per_class(
            auc_pr, rows.labels, rows.groups, n_resamples=self.settings.resamples, seed=self.seed
        )

    @cached_property
    def temperature(self) -> float:
        """What would calibrate these very predictions."""
        return fit_temperature(self.evaluation.labels, self.evaluation.probabilities)

    @cached_property
    def robustness(self) -> pd.DataFrame | None:
        """Scores under perturbations of some test images, drawn once; None where none are asked for."""
        asked, subject = self.settings.robustness, self.subject
        if not asked or subject is None:
            return None
        rows = np.arange(len(self.evaluation.labels))
        if asked < len(rows):
            rows = np.sort(generator(self.seed, "robustness").permutation(rows)[:asked])
        some = self.evaluation.take(rows)

        def progress(done: int, total: int) -> None:
            self.say(f"perturbed images {done}/{total}")

        return robustness(subject.predict, subject.images(some), some, seed=self.seed, progress=progress)

    @cached_property
    def robustness_curves(self) -> Figure | None:
        """The same, drawn."""
        return None if self.robustness is None else robustness_figure(self.robustness)

    @cached_property
    def extras(self) -> Extras:
        """What is drawn and measured beyond the predictions."""
        return Extras(
            **self._explorers(),
            temperature=self.temperature,
            sheets=self.sheets,
            robustness=self.robustness,
            robustness_figure=self.robustness_curves,
            explanations=self.explanations,
        )

    def log(self, run: Run, part: str) -> None:
        """Log the evaluation, its intervals, curves, mistakes, robustness and explanations.

        Parameters
        ----------
        run : Run
            Where to.
        part : str
            Folder of the artifacts and first part of the metrics' names.
        """
        log_evaluation(run, self.evaluation, part)
        self._log_tables(run, part)
        self._log_extras(run, part)

    def log_report(self, run: Run, part: str, facts: CardFacts, sha256: str, more: Sequence[Section] = ()) -> None:
        """Log one page with all of it, a model card first.

        Parameters
        ----------
        run : Run
            Where to.
        part : str
            Folder of the artifact.
        facts : CardFacts
            What is known of the model beside its predictions.
        sha256 : str
            Of the model's file; it becomes a tag, because a sweep that goes on puts its new winner's page here.
        more : sequence of Section
            What follows the card.
        """
        self.say("report")
        title = f"{facts.name} {facts.version}".strip()
        sections = [*model_card(facts, self.evaluation, self.intervals, self.extras), *more]
        run.log_text(render(Report(title, f"Measured on {facts.evaluated_on}", sections)), f"{part}/{REPORT}")
        run.set_tags({f"{REPORTED_TAG}.{part}": sha256})

    def _log_tables(self, run: Run, part: str) -> None:
        rows = [{"metric": name, **vars(interval)} for name, interval in self.intervals.items()]
        run.log_table(pd.DataFrame(rows), f"{part}/intervals.csv")
        for end in ("low", "high"):
            ends = {name: getattr(interval, end) for name, interval in self.intervals.items()}
            run.log_metrics({f"{part}_{end}/{name}": value for name, value in ends.items()})
        run.log_metrics({f"{part}/temperature": self.temperature})
        run.log_queryable(pr_table(self.evaluation), f"{part}/pr_curves.json")
        thresholds = thresholds_table(self.evaluation, self.settings.precision)
        run.log_table(thresholds, f"{part}/thresholds.csv")
        run.log_queryable(thresholds, f"{part}/thresholds.json")
        run.log_table(confused_pairs(self.evaluation, 30), f"{part}/confused_pairs.csv")
        run.log_table(likely_mislabelled(self.evaluation), f"{part}/likely_mislabelled.csv")

    def _explorers(self) -> dict[str, Any]:
        from wellai_exp.evaluation.interactive import (
            confusion_explorer,
            per_class_plot,
            pr_explorer,
            reliability_plot,
        )

        return {
            "pr_explorer": pr_explorer(self.evaluation),
            "confusion_explorer": confusion_explorer(self.evaluation),
            "per_class_plot": per_class_plot(self.evaluation, self._class_intervals()),
            "reliability_plot": reliability_plot(self.evaluation),
        }

    @cached_property
    def sheets(self) -> Mapping[str, Figure]:
        """Sheets of photographs, by caption."""
        self.say("contact sheets")
        return {
            "The most confused pairs": confused_pairs_sheet(self.evaluation),
            "The worst mistakes": worst_mistakes_sheet(self.evaluation),
            "Labels that may be wrong": likely_mislabelled_sheet(self.evaluation),
        }

    @cached_property
    def explanations(self) -> Figure | None:
        """What decided in some test images; None where none are asked for."""
        asked, subject = self.settings.explanations, self.subject
        if not asked or subject is None:
            return None
        self.say("Grad-CAM")
        rows = explained_rows(self.evaluation, asked, self.seed)
        images = np.concatenate(list(subject.images(self.evaluation.take(rows))))
        heat_maps = grad_cam(subject.model, images.astype(np.float32), self.evaluation.predictions[rows])
        return explanations_figure(self.evaluation, rows, images, heat_maps)

    def _log_extras(self, run: Run, part: str) -> None:
        from wellai_exp.evaluation.interactive import write_interactive

        extras = self.extras
        explorers = {
            "Precision and recall": extras.pr_explorer,
            "Confusion": extras.confusion_explorer,
            "Classes": extras.per_class_plot,
            "Reliability": extras.reliability_plot,
        }
        with tempfile.TemporaryDirectory(prefix="wellai-") as folder:
            page = Path(folder) / "explore.html"
            title = f"{self.evaluation.n_classes} classes, {len(self.evaluation.labels):,} images"
            write_interactive(explorers, page, title)
            run.log_file(page, part)
        for caption, sheet in self.sheets.items():
            run.log_figure(sheet, f"{part}/{caption.lower().replace(' ', '_')}.png")
        if self.robustness is not None and self.robustness_curves is not None and self.subject is not None:
            run.log_table(self.robustness, f"{part}/robustness.csv")
            run.log_figure(self.robustness_curves, f"{part}/robustness.png")
            first = next(iter(self.subject.images(self.evaluation.take([0]))))[0]
            run.log_figure(perturbations_sheet(first, self.seed), f"{part}/perturbations.png")
        if self.explanations is not None:
            run.log_figure(self.explanations, f"{part}/explanations.png")
