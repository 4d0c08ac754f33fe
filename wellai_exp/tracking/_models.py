"""A trained Keras model, kept with its labels and checksums."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib import metadata as installed
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wellai_exp.errors import WellaiError
from wellai_exp.paths import sealed, sha256_of
from wellai_exp.tracking._failures import told

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient

    from wellai_exp.tracking._store import Tracking

MODEL_FILE = "data/model.keras"
LABELS_FILE = "labels.json"
SHA_TAG = "sha256"
LABELS_SHA_TAG = "labels_sha256"


def log_model(
    tracking: Tracking,
    client: MlflowClient,
    experiment_id: str,
    run_id: str,
    model: keras.Model,
    class_names: tuple[str, ...],
    size: int,
    metadata: Mapping[str, object],
) -> str:
    """Save `model` in MLflow's Keras flavour and pin its files by SHA-256 in the database.

    It follows ``mlflow.models.Model.log`` with a client, because that function works on MLflow's global state,
    and because the checksum is only known once the file is written.
    """
    from mlflow.entities import LoggedModelOutput

    _check_shapes(model, class_names, size)
    with told(tracking.resolved_uri), tempfile.TemporaryDirectory(prefix="wellai-") as scratch:
        folder = Path(scratch) / "model"
        logged = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
        ending: Literal["READY", "FAILED"] = "FAILED"
        try:
            _save(folder, model, logged.model_id, logged.artifact_location, run_id, class_names, size, metadata)
            client.log_model_artifacts(logged.model_id, str(folder))
            client.set_logged_model_tags(
                logged.model_id,
                {SHA_TAG: sha256_of(folder / MODEL_FILE), LABELS_SHA_TAG: sha256_of(folder / LABELS_FILE)},
            )
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
            ending = "READY"
        finally:
            client.finalize_logged_model(logged.model_id, ending)
    return f"models:/{logged.model_id}"


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
    folder: Path,
    model: keras.Model,
    model_id: str,
    location: str,
    run_id: str,
    class_names: tuple[str, ...],
    size: int,
    metadata: Mapping[str, object],
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
    card = Model(artifact_path=location, model_uuid=model_id, run_id=run_id, model_id=model_id)
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
