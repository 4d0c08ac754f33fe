"""MLflow's switches: nothing leaves the machine, little is printed, and a dead server is noticed soon."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wellai_exp.tracking._store import Tracking

# Not defaults but orders: MLflow reads them once, when it is imported.
_ORDERS = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

# A user's own value wins. MLflow's own defaults let one call to a dead server block for minutes.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def quiet_mlflow() -> None:
    """Set the environment that MLflow reads; call it before every first import of MLflow."""
    os.environ.update(_ORDERS)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It warns that pip's version is unknown, which a conda file of ours does not need.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    # It prints a traceback for each database error, which is raised here as one sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def server_environment(tracking: Tracking) -> dict[str, str]:
    """Give the environment of a local MLflow server: telemetry off (its pages included), no background jobs.

    It names the store too: on the command line everybody on the machine could read its password.
    """
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    return {**os.environ, **_ORDERS, **quiet, "MLFLOW_BACKEND_STORE_URI": tracking.resolved_uri}
