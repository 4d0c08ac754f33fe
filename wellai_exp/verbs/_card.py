"""What is known of a model beside its predictions, from what was kept with its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wellai_exp.report import CardFacts
from wellai_exp.tracking import ModelRef


def card_facts(
    card: Mapping[str, Any], ref: ModelRef, model: Any, evaluated_on: str, name: str, version: int | None
) -> CardFacts:
    """Give the facts of a model card.

    Parameters
    ----------
    card : mapping
        The config's ``card``: what the owner says of the model.
    ref : ModelRef
        The model's verified file and what was kept with it; what was not stays unknown.
    model : keras.Model
        The same model, loaded.
    evaluated_on : str
        Name of the data that it was evaluated on.
    name : str
        What the model is called.
    version : int or None
        Its registered version.
    """
    known: Mapping[str, Any] = ref.metadata
    return CardFacts(
        name=name,
        version="" if version is None else str(version),
        run_id=ref.run_id or "",
        created=str(known.get("created", "")),
        backbone=str(known.get("backbone", "")),
        size=ref.size,
        parameters=int(model.count_params()),
        file_mb=ref.path.stat().st_size / 1e6,
        data_name=str(known.get("data", "")),
        data_digest=str(known.get("data_digest", "")),
        data_counts=known.get("data_counts", {}),
        evaluated_on=evaluated_on,
        seed=known.get("seed"),
        commit=str(known.get("commit", "")),
        versions=dict(each.rsplit(" ", 1) for each in str(known.get("versions", "")).split(", ") if " " in each),
        params=known.get("settings", {}),
        reproduce=str(known.get("reproduce", "")),
        intended_use=str(card["intended_use"] or ""),
        out_of_scope=str(card["out_of_scope"] or ""),
        owner=str(card["owner"] or ""),
        licence=str(card["licence"] or ""),
    )
