"""The page of a cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wellai_exp.cleaning import Decisions
from wellai_exp.evaluation import embedding_figure, embedding_map
from wellai_exp.report import CleaningFacts, Report, cleaning_sections, render
from wellai_exp.seeding import generator
from wellai_exp.verbs._picture_models import PictureModels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "cleaning.html"
_MOST_DOTS = 1500
# Checks that go by what a picture shows, so that what they set aside has a place among the others.
_BY_LOOKS = ("no_person", "outlier", "mislabelled")
_KEPT = "kept"


def cleaning_page(
    name: str,
    decisions: Decisions,
    frame: pd.DataFrame,
    models: PictureModels,
    left_out: Sequence[str],
) -> str:
    """Give the page as the text of one HTML file."""
    drawn, note = _map(decisions, models) if models.pretrained else (None, "")
    facts = CleaningFacts(decisions, frame, models.looks.thumbnails, left_out, drawn, note)
    subtitle = f"{len(frame):,} files, looked at one by one"
    return render(Report(f"Cleaning {name}", subtitle, cleaning_sections(facts)))


def _map(decisions: Decisions, models: PictureModels) -> tuple[Figure | None, str]:
    kinds = decisions.table["check"].where(decisions.table["check"].isin(_BY_LOOKS), "")
    doubted = np.flatnonzero((kinds != "").to_numpy())
    kept = np.flatnonzero(decisions.usable)
    seed = models.settings.seed
    room = max(0, _MOST_DOTS - len(doubted))
    chosen = np.sort(generator(seed, "embedding map").permutation(kept)[:room])
    rows = np.concatenate([doubted, chosen]).astype(np.int64)
    if len(rows) < 8:
        return None, ""
    places = embedding_map(models.features(rows), seed)
    names = [kinds.iloc[row].replace("_", " ") or _KEPT for row in rows]
    cap = f" {len(chosen):,} of the {len(kept):,} kept pictures are drawn." if len(chosen) < len(kept) else ""
    note = (
        "Each dot is a picture; dots that lie close look alike to the backbone (t-SNE: distances far away mean little)."
    )
    return embedding_figure(places, names, _KEPT), note + cap
