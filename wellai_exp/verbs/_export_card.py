"""What lies beside the artifacts of a bundle: labels, thresholds, card, licence notes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellai_exp.evaluation import Evaluation, thresholds_table
from wellai_exp.export import Bundle
from wellai_exp.metrics import bootstrap
from wellai_exp.promotion import kept_predictions, sources_of
from wellai_exp.report import Report, Section, export_section, licences_section, model_card, render
from wellai_exp.tracking import ModelRef, Tracker
from wellai_exp.verbs._card import card_facts
from wellai_exp.verbs._export_table import artifact_rows, problems_of, readable_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CARD, LICENCES, LABELS, TABLE, PICTURE = "card.html", "LICENCES.md", "labels.json", "parity.csv", "slimming.png"
_RESAMPLES = 1000


def export_path(part: str) -> str:
    """Give where a run holds the export of the model whose evaluation it holds as `part`: a sweep may have two."""
    return "export" if part == "test" else f"{part}/export"


@dataclass(frozen=True)
class Known:
    """Predictions of a model that are kept in MLflow.

    Parameters
    ----------
    evaluation : Evaluation or None
        The newest of its own classes; None where there is none.
    run_id : str
        The run that holds it.
    """

    evaluation: Evaluation | None = None
    run_id: str = ""

    @classmethod
    def of(cls, tracker: Tracker, ref: ModelRef) -> Known:
        """Look for them."""
        found, _ = kept_predictions(tracker, sources_of(tracker, ref))
        for run_id, evaluation in found:
            if evaluation.class_names == ref.class_names:
                return cls(evaluation, run_id)
        return cls()

    def thresholds(self, n_classes: int, precision: float) -> tuple[tuple[float | None, ...], str]:
        """Give each class's threshold, None where none reaches the precision, and which rows they were chosen on."""
        if self.evaluation is None:
            return (None,) * n_classes, ""
        found = thresholds_table(self.evaluation, precision)["threshold"].tolist()
        rows = (
            f"Each is the least that reaches a precision of {precision:g} on the {len(self.evaluation.labels)} test "
            f"images whose predictions the run {self.run_id} keeps; chosen and judged on the same rows, it is "
            "optimistic."
        )
        return tuple(None if math.isnan(value) else float(value) for value in found), rows


def licence_notes(ref: ModelRef, owner_says: str) -> dict[str, object]:
    """Give what is known of the weights' origin and licence, from what was kept with the model; None is unknown."""
    settings: Mapping[str, Any] = ref.metadata.get("settings", {})
    parts = {key: value for key, value in settings.items() if key.split(".")[0] == "backbone"}
    origin = {
        f"Its {key.removeprefix('backbone.')}": "none, it was trained from nothing" if value is None else value
        for key, value in parts.items()
        if key.rpartition(".")[2] in ("application", "alpha", "weights")
    }
    pins = {f"Its {key.removeprefix('backbone.')}": parts[key] for key in parts if key.endswith(".sha256")}
    if parts and not any(key.endswith(".weights") for key in parts):
        origin["Its weights"] = "none to start from: such a network is trained from nothing"
    begun = any(value is not None for key, value in parts.items() if key.endswith(".weights"))
    return {
        "Licence of the exported weights": owner_says or None,
        "Network": ref.metadata.get("backbone") or None,
        **origin,
        **pins,
        **({"Licence of the weights it started from": None} if begun else {}),
        "Data it was trained on": ref.metadata.get("data") or None,
        "Version of the data": ref.metadata.get("data_digest") or None,
    }


def write_notes(folder: Path, bundle: Bundle, notes: Mapping[str, object]) -> None:
    """Write labels and licence notes."""
    labels = {"class_names": bundle.class_names, "parents": bundle.parents, "thresholds": bundle.thresholds}
    text = json.dumps({**labels, "thresholds_from": bundle.thresholds_from}, indent=1, ensure_ascii=False)
    (folder / LABELS).write_text(text + "\n", encoding="utf-8")
    lines = [
        "# Weights and their licences",
        "",
        "What is unknown was not recorded with the model; nothing was guessed.",
        "",
    ]
    lines += [f"- {term}: {'unknown' if value is None else value}" for term, value in notes.items()]
    (folder / LICENCES).write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class CardMaker:
    """Writes the model card of a bundle.

    Parameters
    ----------
    ref : ModelRef
        The model's verified file.
    model : keras.Model
        The same, loaded.
    known : Known
        Its kept predictions.
    owner : mapping
        The config's ``card``.
    seed : int
        Of the bootstrap.
    """

    ref: ModelRef
    model: Any
    known: Known
    owner: Mapping[str, Any]
    seed: int

    def write(self, folder: Path, bundle: Bundle, images: int, picture: Figure | None) -> None:
        """Write the card and the table of parity; the report's own card first, where predictions are kept."""
        rows = artifact_rows(bundle)
        rows.to_csv(folder / TABLE, index=False)
        sections: list[Section] = []
        if self.known.evaluation is not None:
            evaluation, data = self.known.evaluation, str(self.ref.metadata.get("data", ""))
            facts = card_facts(self.owner, self.ref, self.model, data, bundle.model, self.ref.version)
            intervals = bootstrap(
                evaluation.scorer.weighted_scores,
                evaluation.labels,
                evaluation.groups,
                n_resamples=_RESAMPLES,
                seed=self.seed,
                ranges=_ranges(evaluation),
            )
            sections += model_card(facts, evaluation, intervals)
        problems: Sequence[str] = problems_of(bundle)
        sections.append(export_section(readable_rows(rows), images, problems, picture))
        sections.append(licences_section(licence_notes(self.ref, str(self.owner["licence"] or ""))))
        page = render(Report(bundle.title, "Exported by wellai-exp", sections))
        (folder / CARD).write_text(page, encoding="utf-8")


def _ranges(evaluation: Evaluation) -> dict[str, tuple[float, float]] | None:
    """Give the ranges of the two scores that count levels; the root is one above the coarsest that is named."""
    top = float(len(evaluation.levels) + 1)
    return {"hierarchical_distance": (0.0, top), "mistake_severity": (1.0, top)} if evaluation.levels else None
