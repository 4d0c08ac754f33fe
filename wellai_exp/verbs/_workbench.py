"""What sweep and train share: the data, the task, the tracker, and how a trial's config becomes choices."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wellai_exp.config import SPACE_KEY, build
from wellai_exp.data import Manifest, build_manifest, keep_manifest
from wellai_exp.errors import SettingError
from wellai_exp.masking import masked
from wellai_exp.paths import ensure_dir
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.tracking import Run, Tracker, Tracking
from wellai_exp.training import Choices, Shared, Task
from wellai_exp.verbs._deliver import catch_up
from wellai_exp.verbs._evidence import EvidenceSettings
from wellai_exp.verbs._numbers import whole_number

TRIAL_GROUPS = ("backbone", "augmentation", "imbalance", "head", "optimizer")
_DECIDING_GROUPS = ("data", "split", "regime", *TRIAL_GROUPS)


@dataclass(frozen=True)
class Workbench:
    """Everything that trials on the same data share.

    Parameters
    ----------
    cfg : DictConfig
        The command's config.
    store : Path
        ``paths.store``.
    manifest : Manifest
        The data, split.
    shared : Shared
        What trials on them share.
    tracker : Tracker
        Writes to MLflow.
    """

    cfg: DictConfig
    store: Path
    manifest: Manifest
    shared: Shared
    tracker: Tracker

    @classmethod
    def open(cls, cfg: DictConfig) -> Workbench:
        """Check every setting, read the data, open the tracking store: what can fail early does."""
        store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
        seed = whole_number("seed", cfg.seed, "set seed=0")
        source, split = build(cfg, "data"), build(cfg, "split")
        # Its key holds the hash of its weights: a file that is missing or none is told before the data are read.
        make_choices(cfg).backbone.feature_key()
        EvidenceSettings.of(cfg.evidence)
        tracker = open_tracker(cfg)
        catch_up(tracker.tracking)
        manifest = keep_manifest(build_manifest(source, split, store), store)
        # Late, because it takes seconds and everything above can be refused without it.
        prepare_tensorflow()
        return cls(cfg, store, manifest, Shared(manifest, store, seed), tracker)

    def task(self, cfg: DictConfig) -> Task:
        """Give what fits a composed trial in its regime."""
        task: Task = build(cfg, "regime").task(self.shared)
        return task


def log_data(run: Run, manifest: Manifest, context: str = "training") -> None:
    """Log the data version to a run as its dataset, with the sizes that describe it."""
    counts = manifest.counts.sum(axis=1)
    profile = {
        "images": len(manifest.frame),
        "classes": len(manifest.classes),
        "train": len(manifest.train),
        "test": len(manifest.test),
        "largest_class": int(counts.max()),
        "smallest_class": int(counts.min()),
    }
    run.log_dataset(manifest.name, manifest.digest, str(manifest.root), len(manifest.frame), profile, context)


def open_tracker(cfg: DictConfig) -> Tracker:
    """Open the tracking store that the config names."""
    ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    tracking: Tracking = build(cfg, "tracking")
    tracking.prepare()
    return Tracker(tracking)


def make_choices(cfg: DictConfig) -> Choices:
    """Turn a composed trial into one member of each family, checked against the regime."""
    choices = Choices(
        backbone=build(cfg, "backbone"),
        policy=build(cfg, "augmentation"),
        strategy=build(cfg, "imbalance"),
        head=build(cfg, "head"),
        optimizer=build(cfg, "optimizer"),
    )
    build(cfg, "regime").check(choices)
    return choices


def trial_params(cfg: DictConfig) -> dict[str, Any]:
    """Give the settings that may decide a trial, flat: the option of each group and all of its arguments."""
    flat: dict[str, Any] = {"seed": cfg.seed}
    for group in _DECIDING_GROUPS:
        _flatten(OmegaConf.to_container(cfg[group], resolve=True), group, flat)
    return flat


def _flatten(node: Any, key: str, into: dict[str, Any]) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            if name != SPACE_KEY:
                _flatten(value, key if name == "_target_" else f"{key}.{name}", into)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _flatten(value, f"{key}.{index}", into)
    else:
        into[key] = masked(node) if isinstance(node, str) else node


def study_name(cfg: DictConfig, manifest: Manifest) -> str:
    """Name the study after the experiment and all that decides its trials' values.

    The same command finds its study again and goes on; another setting, data version or space begins a new one, so
    that no sampler learns from values that mean something else. The budget is left out: raising it goes on.
    """
    decides = {group: OmegaConf.to_container(cfg[group], resolve=True) for group in _DECIDING_GROUPS if group != "data"}
    decides["stages"] = OmegaConf.to_container(cfg.stages, resolve=True)
    search = OmegaConf.to_container(cfg.search, resolve=True)
    if not isinstance(search, dict):
        raise SettingError("search", search, "it is not a group of settings", "choose an option, e.g. search=tpe")
    decides["search"] = {
        key: value for key, value in search.items() if key not in ("n_trials", "max_failures", "study", "storage")
    }
    text = json.dumps([decides, manifest.digest, int(cfg.seed)], sort_keys=True, default=str)
    return f"{cfg.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
