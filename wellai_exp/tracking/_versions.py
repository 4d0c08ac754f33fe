"""A new version of a registered model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from wellai_exp import milestones
from wellai_exp.tracking._catalogue import Catalogue

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

REPRODUCE_TAG = "wellai.reproduce"
MODEL_TAG = "model_id"  # MLflow's SQL store does not keep a version's model id.


def add_version(
    client: MlflowClient,
    model: str,
    keyed: Mapping[str, str],
    *,
    name: str,
    alias: str,
    run: str | None,
    tags: Mapping[str, str],
    description: str,
) -> tuple[int, str]:
    """Make a version of a registered model and give it an alias.

    A version that the same run has made of the same configuration, by a command that was stopped before it knew, is
    taken for the new one.

    Parameters
    ----------
    client : MlflowClient
        Bound to the store, which this process has locked.
    model : str
        MLflow's id of the logged model.
    keyed : mapping
        A tag of which no two versions share the value: a version that has it already was made by an earlier attempt.
        Empty where there can be none.
    name, alias : str
        Registered model and alias.
    run : str or None
        The run that made it; None means the run it was logged by.
    tags : mapping
        Tags of the version.
    description : str
        Markdown.

    Returns
    -------
    int
        The version's number, from 1.
    str
        MLflow's id of its model: of a version that was there already, another one than `model`.
    """
    catalogue = Catalogue(client)
    logged = client.get_logged_model(model)
    if name not in catalogue.names():
        client.create_registered_model(name)
    run = run or logged.source_run_id
    made = _made(client, catalogue, name, keyed) or _begun(client, name, run, tags)
    if made is None:
        pins = {key: value for key, value in logged.tags.items() if not key.startswith(("mlflow.", *keyed))}
        made = client.create_model_version(
            name,
            # Not a `models:/` address: MLflow would look that up in its global store, which is not ours.
            source=logged.artifact_location,
            run_id=run,
            tags={**tags, **pins, MODEL_TAG: model, **keyed},
            description=description or None,
            model_id=model,
        )
    milestones.passed(milestones.REGISTERING)
    own = str(made.tags[MODEL_TAG])
    _link(client, client.get_logged_model(own), name, int(made.version))
    client.set_registered_model_alias(name, alias, str(made.version))
    return int(made.version), own


def _made(client: MlflowClient, catalogue: Catalogue, name: str, keyed: Mapping[str, str]) -> ModelVersion | None:
    """Give what an earlier attempt has made; of several, which a late answer may leave, the first stays."""
    if not keyed:
        return None
    records = catalogue.versions(client.get_registered_model(name))
    found = sorted(record.version for record in records if keyed.items() <= record.tags.items())
    for twin in found[1:]:
        client.delete_model_version(name, str(twin))
    return client.get_model_version(name, str(found[0])) if found else None


def _begun(client: MlflowClient, name: str, run: str | None, tags: Mapping[str, str]) -> ModelVersion | None:
    """Give the version that a stopped command had registered already; none of a model that no run has made."""
    reproduce = tags.get(REPRODUCE_TAG)
    if run is None or reproduce is None:
        return None
    mine = [
        version
        for version in client.search_model_versions(f"run_id = '{run}'")
        if version.name == name and version.tags.get(REPRODUCE_TAG) == reproduce
    ]
    return max(mine, key=lambda version: int(version.version), default=None)


def _link(client: MlflowClient, logged: LoggedModel, name: str, version: int) -> None:
    """Let MLflow's page of the logged model lead to its registered versions."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    known = json.loads(logged.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    link = {"name": name, "version": str(version)}
    if link not in known:
        client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, link])})
