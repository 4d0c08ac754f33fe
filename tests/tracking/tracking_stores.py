"""Stores for the tests: MLflow takes seconds to create a database, so one is made and copied."""

from __future__ import annotations

import atexit
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from wellai_exp.tracking import Tracker, Tracking


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="wellai-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Tracking(folder, "template").prepare()
    return folder / "mlflow.db"


def tracking_in(folder: Path, experiment: str = "demo") -> Tracking:
    """Give a store in `folder` whose database exists already."""
    folder.mkdir(parents=True, exist_ok=True)
    # Not a copy of the file: what was written last may still lie beside it.
    with closing(sqlite3.connect(_template())) as made, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
        made.backup(copy)
    return Tracking(folder, experiment)


def write_run(
    tracker: Tracker,
    name: str,
    *,
    parent: str | None = None,
    tags: Mapping[str, object] | None = None,
    params: Mapping[str, object] | None = None,
    metrics: Mapping[str, float] | None = None,
    texts: Mapping[str, str] | None = None,
    status: str = "FINISHED",
) -> str:
    """Write a whole run and give its id."""
    with tracker.run(name, parent=parent, tags=tags) as run:
        run.log_params(params or {})
        run.log_metrics(metrics or {})
        for path, text in (texts or {}).items():
            run.log_text(text, path)
        run.finish(status)
    return run.id
