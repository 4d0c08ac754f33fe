"""How often cleaning is right: wrong labels, strangers and empty scenes are mixed into data, and checks must find them.

The data's own mistakes count against the checks, so precision is at least what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from wellai_exp.cleaning import (
    SET_ASIDE,
    Evidence,
    Limits,
    LookStore,
    Mislabelled,
    NoPerson,
    Outlier,
    decide,
)
from wellai_exp.config import build
from wellai_exp.data import fit
from wellai_exp.errors import SettingError
from wellai_exp.evaluation import threshold_figure
from wellai_exp.metrics import label_quality
from wellai_exp.models import PersonModel
from wellai_exp.paths import ensure_dir
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.seeding import generator
from wellai_exp.tracking import Run
from wellai_exp.training import traced
from wellai_exp.verbs._benchmark_evidence import logged_benchmark
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._person_free import person_free
from wellai_exp.verbs._picture_models import ModelSettings, PictureModels
from wellai_exp.verbs._screen import Speaker
from wellai_exp.verbs.clean import checks_of, gather, gather_evidence

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Clean:
    """What is left of the data before checks that go by content.

    Parameters
    ----------
    models : PictureModels
        Answer about the files.
    evidence : Evidence
        Of all files.
    rows : array of int64, shape (n,)
        Files that are readable, sharp, and no copies.
    """

    models: PictureModels
    evidence: Evidence
    rows: npt.NDArray[np.int64]

    @property
    def labels(self) -> npt.NDArray[np.object_]:
        """Their classes, shape (n,)."""
        return self.evidence.frame["label"].to_numpy()[self.rows]


def clean_benchmark(cfg: DictConfig) -> None:
    """Mix in what is known to be wrong, and show precision and recall at each threshold."""
    noise = _share(cfg.noise)
    strangers = person_free(whole_number("strangers", cfg.strangers, "set strangers=220", least=10), int(cfg.seed))
    checks = {type(check): check for check in checks_of(cfg)}
    console, settings = Console(), ModelSettings.of(cfg)
    if not settings.backbone.pretrained:
        remedy = "choose one that has, e.g. backbone=mobilenet_v2"
        raise SettingError("backbone", settings.backbone.name, "it has no pretrained weights", remedy)
    with logged_benchmark(cfg, "clean") as run:
        with Speaker(console).line("cleaning") as speaker:
            clean = _prepared(cfg, settings)
            speaker.say("exchanging labels")
            tables = {}
            if isinstance(check := checks.get(Mislabelled), Mislabelled):
                tables[check.name] = (_mislabelled(clean, noise, settings.seed), check.least)
            speaker.say("mixing in strangers")
            if isinstance(outlier := checks.get(Outlier), Outlier):
                tables[outlier.name] = (_outliers(clean, outlier, strangers), outlier.most)
            if isinstance(person := checks.get(NoPerson), NoPerson) and person.model is not None:
                tables[person.name] = (_persons(clean, person, strangers), person.least)
        for name, (table, threshold) in tables.items():
            _report(run, console, name, table, threshold)
    console.print(f"{len(clean.rows):,} pictures; figures and tables are in run {run.id}", highlight=False)


def _share(noise: object) -> float:
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 < noise <= 0.5:
        raise SettingError("noise", noise, "it must be above 0 and at most 0.5", "set noise=0.03")
    return float(noise)


def _prepared(cfg: DictConfig, settings: ModelSettings) -> _Clean:
    """Look at the files, and leave out what checks other than those of content set aside."""
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    files = gather(build(cfg, "data"), cfg.also)
    looks = LookStore(store / "cleaning").look_at(files, Limits())
    frame = looks.frame.assign(path=files.names, label=files.labels)
    models = PictureModels(looks, files.labels, store, settings)
    checks = [check for check in checks_of(cfg) if not isinstance(check, (Mislabelled, Outlier, NoPerson))]
    evidence = gather_evidence(models, frame, np.zeros(len(files), bool), checks)
    verdicts = decide(evidence, checks, {}).table["verdict"]
    return _Clean(models, evidence, np.flatnonzero((verdicts != SET_ASIDE).to_numpy()).astype(np.int64))


def _mislabelled(clean: _Clean, noise: float, seed: int) -> pd.DataFrame:
    """Give a share of the pictures another class, and see which labels are doubted."""
    names, labels = np.unique(clean.labels.astype(str), return_inverse=True)
    enough = np.bincount(labels) >= 2 * clean.models.settings.folds
    kept = np.flatnonzero(enough[labels])
    names, labels = np.unique(labels[kept], return_inverse=True)
    rng = generator(seed, "benchmark", "clean")
    wrong = np.zeros(len(kept), bool)
    wrong[rng.permutation(len(kept))[: max(1, round(noise * len(kept)))]] = True
    given = np.where(wrong, (labels + rng.integers(1, len(names), len(kept))) % len(names), labels).astype(np.int64)
    probabilities = clean.models.out_of_fold(clean.models.features(clean.rows[kept]), given)
    quality, doubted, _ = label_quality(given, probabilities.astype(np.float64))
    thresholds = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
    return _curve(np.where(doubted, quality, np.inf), wrong, thresholds)


def _outliers(clean: _Clean, check: Outlier, strangers: Sequence[npt.NDArray[np.uint8]]) -> pd.DataFrame:
    """Put pictures without anybody into the classes, few into each, and see which lie far away."""
    settings = clean.models.settings
    prepare_tensorflow()
    parts = []
    for member in settings.backbone.members:
        pictures = np.stack([fit(picture, member.size, settings.resize) for picture in strangers])
        forward = traced(member.build())
        parts.append(
            np.concatenate([np.asarray(forward(pictures[at : at + 64])) for at in range(0, len(pictures), 64)])
        )
    own, foreign = clean.models.features(clean.rows), np.concatenate(parts, axis=1)
    features = np.concatenate([own, foreign])
    places = np.sort(clean.labels.astype(str))[np.linspace(0, len(own) - 1, len(foreign)).astype(int)]
    frame = pd.DataFrame({"label": [*clean.labels, *places]})
    n = len(frame)
    evidence = Evidence(frame, np.zeros((n, 8), np.uint64), np.zeros(n, bool), features=lambda rows: features[rows])
    values = check.judge(evidence, np.arange(n, dtype=np.int64)).values
    strange = np.arange(n) >= len(own)
    return _curve(-np.nan_to_num(values, nan=-np.inf), strange, [-most for most in (2, 3, 4, 5, 6, 8, 10, 15)])


def _persons(clean: _Clean, check: NoPerson, strangers: Sequence[npt.NDArray[np.uint8]]) -> pd.DataFrame:
    """Score all pictures, and those without anybody."""
    path = Path(str(check.model))
    model = PersonModel(path, f"cleaning.{check.name}.model")
    own = clean.models.person_scores(model, path, clean.rows)
    foreign = [model.score(fit(picture, model.size, "pad")) for picture in strangers]
    scores = np.concatenate([own, np.array(foreign)]).astype(np.float64)
    strange = np.arange(len(scores)) >= len(own)
    return _curve(scores, strange, (0.1, 0.15, 0.2, 0.25, 0.28, 0.3, 0.35, 0.4, 0.5, 0.6))


def _curve(values: FloatArray, wrong: BoolArray, thresholds: Sequence[float]) -> pd.DataFrame:
    """Say what falls below each threshold, in the check's own terms: a negative threshold is a ceiling."""
    rows = []
    for threshold in thresholds:
        flagged = values < threshold
        hits = int((flagged & wrong).sum())
        rows.append(
            {
                "threshold": abs(threshold),
                "flagged": int(flagged.sum()),
                "precision": hits / flagged.sum() if flagged.any() else np.nan,
                "recall": hits / wrong.sum(),
                "false_alarms": float((flagged & ~wrong).sum() / (~wrong).sum()),
            }
        )
    return pd.DataFrame(rows)


_TITLES: Mapping[str, str] = {
    "mislabelled": "Exchanged labels that are found",
    "outlier": "Strangers that are found among the classes",
    "no_person": "Pictures without anybody that are found",
}


def _report(run: Run, console: Console, name: str, table: pd.DataFrame, threshold: float) -> None:
    title = _TITLES.get(name, name)
    shown = Table(title=f"{title} ({name}, set to {threshold:g})", title_justify="left")
    for heading in ("threshold", "flagged", "precision (%)", "recall (%)", "false alarms (%)"):
        shown.add_column(heading, justify="right")
    for row in table.to_dict("records"):
        shares = (f"{100 * row[column]:.1f}" for column in ("precision", "recall", "false_alarms"))
        shown.add_row(f"{row['threshold']:g}", f"{row['flagged']:,}", *shares)
    console.print(shown)
    run.log_table(table, f"{name}.csv")
    names = {"precision": "precision", "recall": "recall"}
    run.log_figure(threshold_figure(table, title, threshold, names), f"{name}.png")
