"""Stores for the tests: MLflow takes seconds to create a database, so one is made and copied."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from wellai_exp.tracking import Tracking


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="wellai-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Tracking(folder, "template").prepare()
    return folder / "mlflow.db"


def tracking_in(folder: Path, experiment: str = "demo") -> Tracking:
    """Give a store in `folder` whose database exists already."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_template(), folder / "mlflow.db")
    return Tracking(folder, experiment)
