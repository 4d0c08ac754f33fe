"""A trained Keras model, kept with its labels and checksums."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata as installed
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import WellaiError
from wellai_exp.paths import sealed, sha256_of
from wellai_exp.tracking._failures import unreachable

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

MODEL_FILE = "data/model.keras"
LABELS_FILE = "labels.json"
SHA_TAG = "sha256"
LABELS_SHA_TAG = "labels_sha256"


def save_model(
    folder: Path, model: keras.Model, class_names: tuple[str, ...], size: int, metadata: Mapping[str, object]
) -> dict[str, str]:
    """Save `model` in MLflow's Keras flavour.

    Parameters
    ----------
    folder : Path
        Where; it does not exist yet.
    model : keras.Model
        float32 ``[batch, size, size, 3]`` to float32 ``[batch, classes]``.
    class_names : tuple of str
        Label of each output.
    size : int
        Side of the input in pixels.
    metadata : mapping
        Plain values that whoever loads the model needs.

    Returns
    -------
    dict
        The tags that pin its files by SHA-256 in the database.
    """
    _check_shapes(model, class_names, size)
    _save(folder, model, class_names, size, metadata)
    return {SHA_TAG: sha256_of(folder / MODEL_FILE), LABELS_SHA_TAG: sha256_of(folder / LABELS_FILE)}


def upload_model(
    client: MlflowClient, experiment: str, run: str, folder: Path, tags: Mapping[str, str], keyed: Mapping[str, str]
) -> str:
    """Bring a saved model to the store, as an output of its run.

    It follows ``mlflow.models.Model.log`` with a client, because that function works on MLflow's global state,
    and because the checksum is only known once the file is written.

    Parameters
    ----------
    client : MlflowClient
        Bound to the store.
    experiment, run : str
        MLflow's ids.
    folder : Path
        From :func:`save_model`; its ``MLmodel`` gets the ids.
    tags : mapping
        Tags of the logged model.
    keyed : mapping
        A tag of which no two models share the value, by which what an earlier attempt has made is found again; empty
        where there can be none.

    Returns
    -------
    str
        MLflow's id of the logged model.
    """
    made = _with_key(client, experiment, keyed)
    logged = made[0] if made else client.create_logged_model(experiment, "model", run, {**tags, **keyed})
    try:
        _stamp(folder / "MLmodel", logged, run)
        client.log_model_artifacts(logged.model_id, str(folder))
        _link(client, run, logged.model_id)
    except BaseException as error:
        if not unreachable(error):  # Else it is tried again, and neither would this call arrive.
            client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    for twin in _with_key(client, experiment, keyed):
        if twin.model_id != logged.model_id:
            client.delete_logged_model(twin.model_id)
    return str(logged.model_id)


def _with_key(client: MlflowClient, experiment: str, keyed: Mapping[str, str]) -> list[LoggedModel]:
    clauses = [f"tags.`{key}` = '{value}'" for key, value in keyed.items()]
    return list(client.search_logged_models([experiment], " and ".join(clauses))) if clauses else []


def _stamp(card_file: Path, logged: LoggedModel, run: str) -> None:
    """Write into an ``MLmodel`` what MLflow calls the model, which is only known now."""
    from mlflow.models import Model

    card = Model.load(str(card_file))
    card.artifact_path, card.model_uuid = logged.artifact_location, logged.model_id
    card.model_id, card.run_id = logged.model_id, run
    card.save(str(card_file))


def _link(client: MlflowClient, run: str, model_id: str) -> None:
    """Name the model among its run's outputs, once: the database takes the same line a second time for an error."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    def linked() -> bool:
        outputs = client.get_run(run).outputs
        return outputs is not None and model_id in {output.model_id for output in outputs.model_outputs}

    if linked():
        return
    try:
        client.log_outputs(run, [LoggedModelOutput(model_id, step=0)])
    except MlflowException:
        if not linked():
            raise


def _check_shapes(model: keras.Model, class_names: tuple[str, ...], size: int) -> None:
    expected = (None, size, size, 3), (None, len(class_names))
    found = tuple(model.input_shape), tuple(model.output_shape)
    for wanted, got in zip(expected, found, strict=True):
        if len(wanted) != len(got) or any(g not in {None, w} for w, g in zip(wanted[1:], got[1:], strict=True)):
            raise WellaiError(
                f"The model takes {found[0]} and gives {found[1]}, but with size={size} and {len(class_names)} "
                f"class names it must take {expected[0]} and give {expected[1]}."
            )


def _without_optimizer(model: keras.Model) -> keras.Model:
    """Give a model of the same layers that was never compiled: the optimizer's state would triple the file."""
    import keras

    if not getattr(model, "compiled", False):
        return model
    if not isinstance(model, (keras.Sequential, keras.src.models.Functional)):
        raise WellaiError("Only a functional or sequential model can be kept without its optimizer; build it as one.")
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def _save(
    folder: Path, model: keras.Model, class_names: tuple[str, ...], size: int, metadata: Mapping[str, object]
) -> None:
    import mlflow.keras
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    float32 = np.dtype("float32")
    signature = ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, size, size, 3))]),
        outputs=Schema([TensorSpec(float32, (-1, len(class_names)))]),
    )
    card = Model()
    mlflow.keras.save_model(
        _without_optimizer(model),
        str(folder),
        mlflow_model=card,
        signature=signature,
        # Spelled out, because MLflow would otherwise load the model in another process to infer them (14 s).
        pip_requirements=[f"{name}=={installed.version(name)}" for name in ("tensorflow", "keras", "numpy")],
    )
    facts = {"class_names": list(class_names), "size": size, "metadata": dict(metadata)}
    labels = sealed({**facts, SHA_TAG: sha256_of(folder / MODEL_FILE)})
    (folder / LABELS_FILE).write_text(json.dumps(labels, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card.metadata = labels
    card.save(str(folder / "MLmodel"))
