"""Folders kept; artifacts read back: a local store's where they lie, a server's fetched anew, for a run may change."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from wellai_exp.errors import StoreError
from wellai_exp.tracking._names import legal_path

if TYPE_CHECKING:
    from wellai_exp.tracking._store import Tracking


def fetch_artifact(tracking: Tracking, run_id: str, artifact_uri: str, path: str) -> Path:
    """Give a local file with one artifact of a run.

    Parameters
    ----------
    tracking : Tracking
        The store.
    run_id : str
        The run.
    artifact_uri : str
        Where its artifacts lie.
    path : str
        The artifact's path within the run.

    Returns
    -------
    Path
        To be read, not to be changed.

    Raises
    ------
    StoreError
        Where the run has no such artifact.
    """
    legal = legal_path(path)
    location = urlparse(artifact_uri)
    if location.scheme in {"", "file"}:
        file = Path(unquote(location.path)) / legal
    else:
        file = tracking.store / "artifacts_of_server" / run_id / legal
        _download(tracking, artifact_uri, path, file)
    if not file.is_file():
        raise StoreError(f"The run {run_id} has no artifact {path}; evaluate its model again with wellai-exp evaluate.")
    return file


def replace_folder(tracking: Tracking, artifact_uri: str, folder: Path, path: str) -> None:
    """Put a folder among the artifacts of a run, in place of what lies there.

    Parameters
    ----------
    tracking : Tracking
        The store.
    artifact_uri : str
        Where the run's artifacts lie.
    folder : Path
        What is copied.
    path : str
        Where to, within the run.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri, legal = tracking.resolved_uri, str(legal_path(path))
    repository = get_artifact_repository(artifact_uri, tracking_uri=uri, registry_uri=uri)
    if any(info.path == legal for info in repository.list_artifacts(legal.rpartition("/")[0] or None)):
        repository.delete_artifacts(legal)  # type: ignore[no-untyped-call]
    repository.log_artifacts(str(folder), legal)  # type: ignore[no-untyped-call]


def _download(tracking: Tracking, artifact_uri: str, path: str, file: Path) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = tracking.resolved_uri
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".") as beside:
        repository = get_artifact_repository(artifact_uri, tracking_uri=uri, registry_uri=uri)
        parent = path.rpartition("/")[0] or None
        if path not in {info.path for info in repository.list_artifacts(parent)}:
            file.unlink(missing_ok=True)
            return
        try:
            fetched = Path(str(repository.download_artifacts(path, beside)))  # type: ignore[no-untyped-call]
        except MlflowException as error:
            raise StoreError(f"{artifact_uri}/{path} cannot be fetched ({error}); is the server up?") from error
        fetched.replace(file)
