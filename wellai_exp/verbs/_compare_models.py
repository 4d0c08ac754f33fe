"""Models side by side: each against the first, on the same test images."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wellai_exp.evaluation import (
    FALLING,
    Comparison,
    class_deltas_figure,
    compare,
    confusion_difference_figure,
    metric_deltas_figure,
)
from wellai_exp.tracking import Run, Tracker
from wellai_exp.verbs._subjects import ModelSubject, paired

_SHOWN = (
    "auc_pr_macro",
    "balanced_accuracy",
    "accuracy",
    "f1_macro",
    "auc_pr_head",
    "auc_pr_mid",
    "auc_pr_tail",
    "expected_calibration_error",
    "log_loss",
)
_CLASSES_SHOWN = 12


@dataclass(frozen=True)
class ModelComparison:
    """Models compared with the first of them.

    Parameters
    ----------
    experiment : str
        MLflow's id of the experiment of the first.
    reference : str
        Its name, as it was typed.
    comparisons : mapping of str to Comparison
        The others, by their names.
    """

    experiment: str
    reference: str
    comparisons: Mapping[str, Comparison]

    @classmethod
    def of(cls, tracker: Tracker, models: Sequence[ModelSubject], *, n_resamples: int, seed: int) -> ModelComparison:
        """Read the predictions of all and pair them.

        Raises
        ------
        WellaiError
            Where a model has no predictions, or they are not of the same images and classes.
        """
        first, *others = paired(tracker, models)
        experiment = tracker.get(models[0].sources[0].run_id).experiment
        names = [model.name for model in models]
        compared = compare(first, dict(zip(names[1:], others, strict=True)), n_resamples=n_resamples, seed=seed)
        return cls(experiment, names[0], compared)

    @property
    def metrics(self) -> dict[str, pd.DataFrame]:
        """The table of metrics of each model."""
        return {name: comparison.metrics for name, comparison in self.comparisons.items()}

    def log(self, run: Run) -> None:
        """Log what all share at the top, and what is of one model in a folder of its own."""
        first = next(iter(self.comparisons.values()))
        run.log_params({"reference": self.reference, "images": len(first.reference.labels)})
        whole = pd.concat([table.assign(model=name) for name, table in self.metrics.items()], ignore_index=True)
        run.log_table(whole, "metrics.csv")
        run.log_table(self.mcnemar, "mcnemar.csv")
        reference = _short(self.reference)
        by_short = {_short(name): table for name, table in self.metrics.items()}
        run.log_figure(metric_deltas_figure(by_short, reference), "metric_deltas.png")
        for place, (name, comparison) in enumerate(self.comparisons.items(), 2):
            folder = f"{place}_{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
            deltas = comparison.metrics.set_index("metric")["delta"]
            run.log_metrics({f"{folder}/delta_{metric}": float(delta) for metric, delta in deltas.items()})
            run.log_table(comparison.classes, f"{folder}/classes.csv")
            run.log_table(comparison.confusions, f"{folder}/confusions.csv")
            figure = class_deltas_figure(comparison.classes, reference, _short(name))
            run.log_figure(figure, f"{folder}/class_deltas.png")
            figure = confusion_difference_figure(comparison.reference, comparison.candidate, (reference, _short(name)))
            run.log_figure(figure, f"{folder}/confusion_difference.png")

    @property
    def mcnemar(self) -> pd.DataFrame:
        """One line a model: rows that both, only one or neither of reference and model had right, and McNemar's p."""
        return pd.DataFrame(
            [
                {"model": name, **_rights(comparison), "p": comparison.mcnemar.p_value}
                for name, comparison in self.comparisons.items()
            ]
        )

    def show(self, console: Console) -> None:
        """Print a table of metrics for each model, and the classes that surely differ."""
        for name, comparison in self.comparisons.items():
            console.print(_metrics_screen(comparison, self.reference, name))
            console.print(_told_apart(comparison, self.reference, name))


def _metrics_screen(comparison: Comparison, reference: str, name: str) -> Table:
    title = f"{escape(name)} against {escape(reference)} on {len(comparison.reference.labels):,} images"
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "Coloured where the interval leaves out 0; p corrected by Holm for the number of models."
    for heading in ("metric", _short(reference), _short(name), "difference", "95 % interval", "p"):
        table.add_column(escape(heading), justify="left" if heading == "metric" else "right")
    rows = {str(row["metric"]): row for _, row in comparison.metrics.iterrows()}
    for metric in _SHOWN:
        if metric in rows:
            table.add_row(metric, *_cells(rows[metric], falling=metric in FALLING))
    return table


def _short(name: str) -> str:
    """Give a run's id by its first digits, as MLflow's pages do; a name as it is."""
    return f"{name[:8]}…" if re.fullmatch(r"[0-9a-f]{32}", name) else name


def _cells(row: pd.Series, *, falling: bool) -> list[str]:
    first, second, delta, low, high, p = (
        float(row[name]) for name in ("reference", "candidate", "delta", "low", "high", "p_holm")
    )
    if math.isnan(delta):
        return [f"{first:.4f}", f"{second:.4f}", "–", "–", "–"]
    colour = "" if low <= 0 <= high else "green" if (delta < 0) == falling else "red"
    shown = f"{delta:+.4f}"
    return [
        f"{first:.4f}",
        f"{second:.4f}",
        f"[{colour}]{shown}[/{colour}]" if colour else shown,
        f"{low:+.4f} to {high:+.4f}",
        f"{p:.3f}" if p >= 0.001 else "< 0.001",
    ]


def _rights(comparison: Comparison) -> dict[str, int]:
    """Give how many rows which of the two had right."""
    (neither, only_candidate), (only_reference, both) = comparison.mcnemar.counts.tolist()
    return {
        "both": both,
        "only_reference": only_reference,
        "only_model": only_candidate,
        "neither": neither,
    }


def _told_apart(comparison: Comparison, reference: str, name: str) -> str:
    """Say in words what McNemar's test and the classes came to."""
    rights = _rights(comparison)
    first = (
        f"{escape(_short(name))} alone is right on {rights['only_model']} images, {escape(_short(reference))} alone on "
        f"{rights['only_reference']} (McNemar's p = {comparison.mcnemar.p_value:.3g})."
    )
    sure = comparison.classes[comparison.classes["p_holm"] < 0.05]
    if sure.empty:
        return f"{first}\nNo class's AUC-PR differs surely (5 %, corrected by Holm for their number)."
    ranked = sure.sort_values("delta", key=abs, ascending=False, kind="stable").head(_CLASSES_SHOWN)
    shown = ", ".join(f"{escape(str(row['class']))} {100 * row['delta']:+.1f}" for _, row in ranked.iterrows())
    more = f" and {len(sure) - len(ranked)} more" if len(sure) > len(ranked) else ""
    return f"{first}\nClasses that surely differ, in points of AUC-PR (5 %, corrected by Holm): {shown}{more}."
