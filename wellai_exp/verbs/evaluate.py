"""Evaluate a registered model, a run or a file on a data set's test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from wellai_exp.config import build
from wellai_exp.data import ImageReader, Manifest, build_manifest
from wellai_exp.errors import DataError
from wellai_exp.evaluation import Evaluation
from wellai_exp.paths import ensure_dir
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.tracking import ModelRef, Registry, load
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import metrics_table
from wellai_exp.verbs._winner import log_evaluation
from wellai_exp.verbs._workbench import log_data, manifest_folder, open_tracker


def run(cfg: DictConfig) -> None:
    """Predict the test part from its pixels and log the evaluation as a run linked to the model."""
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    tracker = open_tracker(cfg)
    ref = Registry(tracker.tracking).resolve(str(cfg.model))
    manifest = build_manifest(build(cfg, "data"), build(cfg, "split"), store)
    labels = _labels(ref, manifest)
    batch_size = whole_number("batch_size", cfg.batch_size, "set batch_size=32")
    prepare_tensorflow()
    probabilities = _predict(ref, manifest, load(ref), batch_size)
    evaluation = Evaluation(labels, probabilities, ref.class_names)
    tags = {
        **provenance(int(cfg.seed)),
        "wellai.kind": "evaluation",
        "wellai.model": str(cfg.model),
        "wellai.model_sha256": ref.sha256,
        "wellai.model_version": str(ref.version or ""),
        "wellai.model_run": ref.run_id or "",
        "wellai.data_digest": manifest.digest,
    }
    with tracker.run(f"evaluate {cfg.model} on {manifest.name}", tags=tags) as evaluated:
        log_data(evaluated, manifest, "evaluation")
        log_evaluation(evaluated, evaluation, "test")
    console = Console()
    seen = _seen_in_training(ref, manifest, store)
    if seen:
        console.print(f"[yellow]{seen} of {len(labels)} test images were in the model's training part[/yellow]")
    console.print(metrics_table({f"test/{name}": value for name, value in evaluation.aggregates.items()}))
    console.print(f"run {evaluated.id} of experiment {cfg.name}; look at it with [bold]wellai-exp ui[/bold]")


def _labels(ref: ModelRef, manifest: Manifest) -> npt.NDArray[np.int64]:
    """Give the test rows' labels in the order of the model's classes.

    Raises
    ------
    DataError
        Where the data have a class that the model does not know.
    """
    known = {name: index for index, name in enumerate(ref.class_names)}
    names = [manifest.classes[label] for label in manifest.labels[manifest.test]]
    strange = sorted(set(names) - set(known))
    if strange:
        raise DataError(
            f"data={manifest.name}: the model knows no class {strange[0]!r} ({len(strange)} such); "
            "evaluate it on data with its own classes."
        )
    return np.array([known[name] for name in names], dtype=np.int64)


def _seen_in_training(ref: ModelRef, manifest: Manifest, store: Path) -> int:
    """Count the test images that the model was trained on, where the manifest of its training is still kept."""
    digest = str(ref.metadata.get("data_digest", ""))
    folder = manifest_folder(store, digest)
    if not digest or digest == manifest.digest or not folder.is_dir():
        return 0
    known = Manifest.load(folder)
    trained = set(known.frame["sha256"].iloc[known.train])
    return int(manifest.frame["sha256"].iloc[manifest.test].isin(trained).sum())


def _predict(ref: ModelRef, manifest: Manifest, model: Any, batch_size: int) -> npt.NDArray[np.float64]:
    paths = [manifest.root / str(path) for path in manifest.frame["path"].iloc[manifest.test]]
    reader = ImageReader(paths, ref.size, str(ref.metadata.get("resize", "stretch")), batch_size=batch_size)
    total = -(-len(paths) // batch_size)
    batches = track(reader, description="predicting", total=total, transient=True)
    return np.concatenate(
        [np.asarray(model(images.astype(np.float32), training=False), np.float64) for images in batches]
    )
