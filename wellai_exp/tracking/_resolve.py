"""From the name of a model to its verified files."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from wellai_exp.errors import WellaiError
from wellai_exp.tracking._catalogue import CHAMPION, Catalogue
from wellai_exp.tracking._courier import courier_of
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._reference import ModelRef, read_reference
from wellai_exp.tracking._versions import MODEL_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

    from wellai_exp.tracking._store import Tracking


class Resolver:
    """Finds models of one store.

    Parameters
    ----------
    tracking : Tracking
        The store.
    client : MlflowClient
        Bound to it.
    """

    def __init__(self, tracking: Tracking, client: MlflowClient) -> None:
        self._tracking = tracking
        self._client = client
        self._catalogue = Catalogue(client)

    def resolve(self, model: str) -> ModelRef:
        """Find a model in the store and verify its files, as :meth:`Registry.resolve`."""
        bare = model.removeprefix("models:/")
        with told(self._tracking.resolved_uri):
            if re.fullmatch(r"[0-9a-f]{32}", bare):
                return self._of_run(bare)
            if (logged_id := model_id(f"models:/{bare}")) is not None:
                logged = self._client.get_logged_model(logged_id)
                return read_reference(self._folder(logged), logged.tags, bare, None, logged.source_run_id)
            name, version = self._number(bare)
            found = self._catalogue.version(name, version)
            if MODEL_TAG not in found.tags:
                raise WellaiError(f"{name}/{version} was not registered by wellai-exp; register it again.")
            logged = self._client.get_logged_model(found.tags[MODEL_TAG])
            return read_reference(self._folder(logged), found.tags, name, version, found.run_id)

    def _number(self, text: str) -> tuple[str, int]:
        name, at, alias = text.partition("@")
        if at:
            return name, self._catalogue.holder(self._catalogue.model(name), alias)
        name, slash, number = text.partition("/")
        found = self._catalogue.model(name)
        if not slash:
            return name, self._catalogue.holder(found, CHAMPION)
        if not number.isdecimal():
            raise WellaiError(f"{text!r} names no version: write {name}/1 or {name}@{CHAMPION}.")
        return name, int(number)

    def _of_run(self, run_id: str) -> ModelRef:
        outputs = self._client.get_run(run_id).outputs
        if outputs is None or not outputs.model_outputs:
            raise WellaiError(f"The run {run_id} kept no model; name a registered model or another run.")
        candidates = [self._client.get_logged_model(output.model_id) for output in outputs.model_outputs]
        logged = max(candidates, key=lambda candidate: candidate.creation_timestamp)
        return read_reference(self._folder(logged), logged.tags, run_id, None, run_id)

    def _folder(self, logged: LoggedModel) -> Path:
        """Give the local folder of a logged model; a server's is fetched into the store once."""
        location = urlparse(logged.artifact_location)
        if location.scheme in {"", "file"}:
            return Path(unquote(location.path))
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        folder = self._tracking.store / "models" / str(logged.model_id)
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as beside:
                # By its location: MLflow looks `models:/m-…` up in its global store, which is not ours.
                address, uri = logged.artifact_location, self._tracking.resolved_uri
                repository = get_artifact_repository(address, tracking_uri=uri, registry_uri=uri)
                fetched = Path(beside) / "model"
                fetched.mkdir()
                repository.download_artifacts("", str(fetched))  # type: ignore[no-untyped-call]
                # Renamed when complete: half a model would be refused by its checksum for ever.
                fetched.rename(folder)
        return folder


def resolve_here(tracking: Tracking, model: str) -> ModelRef | None:
    """Find a model that this process has logged in a run which it still writes, without asking the server for it."""
    bare = model.removeprefix("models:/")
    kept = courier_of(tracking).model(bare) if tracking.is_server else None
    if kept is None:
        return None
    name, _, version = bare.partition("/")
    return read_reference(kept[0], kept[1], name, int(version) if version else None, kept[2])


def model_id(uri: str) -> str | None:
    """Give the id in ``models:/m-…``; None for any other address."""
    found = re.fullmatch(r"models:/(m-[0-9a-f]{32})", uri)
    return None if found is None else found.group(1)
