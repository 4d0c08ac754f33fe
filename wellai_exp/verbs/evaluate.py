"""Evaluate a registered model, a run or a file on a data set's test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.text import Text

from wellai_exp.config import build
from wellai_exp.data import ImageReader, Manifest, Split, build_manifest, manifests_folder, nearest_twins
from wellai_exp.paths import ensure_dir
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.tracking import EVALUATED_TAG, ModelRef, Registry, load
from wellai_exp.verbs._card import card_facts
from wellai_exp.verbs._evaluated import evaluation_of
from wellai_exp.verbs._evidence import Evidence, EvidenceSettings, Subject
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._screen import Speaker, intervals_table, say_leaks
from wellai_exp.verbs._workbench import log_data, open_tracker


def run(cfg: DictConfig) -> None:
    """Predict the test part from its pixels and log the evaluation as a run linked to the model."""
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    tracker = open_tracker(cfg)
    ref = Registry(tracker.tracking).resolve(str(cfg.model))
    batch_size = whole_number("batch_size", cfg.batch_size, "set batch_size=32")
    settings = EvidenceSettings.of(cfg.evidence)
    split: Split = build(cfg, "split")
    manifest = build_manifest(build(cfg, "data"), split, store)
    prepare_tensorflow()
    subject = Subject(load(ref), ref.size, str(ref.metadata.get("resize", "stretch")))
    probabilities = _predict(subject, manifest, batch_size)
    leaked = _leaked(ref, manifest, store, split.threshold)
    evaluation = evaluation_of(manifest, probabilities, ref.class_names, ref.metadata.get("train_support"), leaked)
    console = Console()
    tags = {
        **provenance(int(cfg.seed)),
        "wellai.kind": "evaluation",
        "wellai.model": str(cfg.model),
        EVALUATED_TAG: ref.sha256,
        "wellai.model_version": str(ref.version or ""),
        "wellai.model_run": ref.run_id or "",
        "wellai.data_digest": manifest.digest,
    }
    with tracker.run(f"evaluate {cfg.model} on {manifest.name}", tags=tags) as evaluated:
        log_data(evaluated, manifest, "evaluation")
        with Speaker(console).line("evidence") as speaker:
            evidence = Evidence(settings, evaluation, subject, int(cfg.seed), speaker.say)
            evidence.log(evaluated, "test")
            name = Path(ref.name).stem if ref.name.endswith(".keras") else ref.name
            facts = card_facts(cfg.card, ref, subject.model, manifest.name, name, ref.version)
            evidence.log_report(evaluated, "test", facts, ref.sha256)
    console.print(intervals_table(evidence.intervals, "test"))
    say_leaks(console, evaluation)
    console.print(Text(f"run {evaluated.id} of experiment {cfg.name}; look at it with wellai-exp ui"))


def _leaked(ref: ModelRef, manifest: Manifest, store: Path, threshold: int) -> npt.NDArray[np.bool_] | None:
    """Say which test images have a near-duplicate that the model was trained on.

    None where the manifest of its training is no longer kept.
    """
    digest = str(ref.metadata.get("data_digest", ""))
    if digest == manifest.digest:
        return manifest.leaked
    folder = manifests_folder(store) / digest
    if not digest or not folder.is_dir():
        return None
    known = Manifest.load(folder, digest)
    twins = nearest_twins(manifest.hashes(manifest.test), known.hashes(known.train), threshold)
    return np.asarray(twins >= 0)


def _predict(subject: Subject, manifest: Manifest, batch_size: int) -> npt.NDArray[np.float32]:
    paths = manifest.files(manifest.test)
    reader = ImageReader(paths, subject.size, subject.resize, batch_size=batch_size)
    batches = track(reader, description="predicting", total=-(-len(paths) // batch_size), transient=True)
    return np.concatenate([subject.predict(images) for images in batches])
