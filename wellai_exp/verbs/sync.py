"""Bring to the tracking server what was kept on disk while it was away."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.config import build
from wellai_exp.errors import StoreError
from wellai_exp.paths import ensure_dir
from wellai_exp.tracking import Tracking, quiet_mlflow
from wellai_exp.verbs._deliver import bring


def run(cfg: DictConfig) -> None:
    """Bring everything there, in its order, and say what came of it."""
    ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    tracking: Tracking = build(cfg, "tracking")
    quiet_mlflow()
    done = bring(tracking)
    console = Console()
    if done.entries:
        console.print(f"brought {done.entries} entries of {done.runs} runs to the tracking server", highlight=False)
    if done.busy:
        console.print(f"{done.busy} runs are left to the commands that are writing them", highlight=False)
    if done.elsewhere:
        console.print(f"{done.elsewhere} runs are for other servers: type wellai-exp sync tracking.uri=null")
    if done.left:
        raise StoreError("; ".join(["not everything could be brought to the tracking server", *done.left]) + ".")
    if not done.entries and not done.busy and not done.elsewhere:
        console.print(f"nothing was kept in {tracking.store} for a tracking server", highlight=False)
