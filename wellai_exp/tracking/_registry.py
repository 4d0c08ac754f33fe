"""Registered models: versions, the champion, and the way back."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from wellai_exp.errors import SettingError, WellaiError
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._names import alias_name, cut, legal_tags, model_name
from wellai_exp.tracking._promotion import Promotion, as_tag, history, standing
from wellai_exp.tracking._reference import ModelRef, read_file, read_reference

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

    from wellai_exp.tracking._store import Tracking

CHAMPION = "champion"
_MODEL_TAG = "model_id"  # MLflow's SQL store does not keep a version's model id.


@dataclass(frozen=True)
class VersionRecord:
    """One version of a registered model."""

    version: int
    run_id: str | None
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    description: str
    created: datetime


@dataclass(frozen=True)
class ModelRecord:
    """A registered model: its aliases, its versions (newest first) and its promotions (oldest first)."""

    name: str
    description: str
    aliases: Mapping[str, int]
    versions: tuple[VersionRecord, ...]
    history: tuple[Promotion, ...]


class Registry:
    """The registered models of one store.

    Parameters
    ----------
    tracking : Tracking
        The store; it is prepared at the first use.
    """

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking

    def __reduce__(self) -> tuple[type[Registry], tuple[Tracking]]:
        return Registry, (self.tracking,)

    @cached_property
    def _client(self) -> MlflowClient:
        self.tracking.prepare()
        return self.tracking.client()

    @property
    def _uri(self) -> str:
        return self.tracking.resolved_uri

    def register(
        self,
        model_uri: str,
        name: str | None = None,
        *,
        run_id: str | None = None,
        alias: str | None = None,
        tags: Mapping[str, object] | None = None,
        description: str = "",
    ) -> int:
        """Make a new version of a registered model and give it an alias.

        Parameters
        ----------
        model_uri : str
            From :meth:`Tracker.log_model`.
        name : str, optional
            Registered model; None means ``tracking.registered_name``.
        run_id : str, optional
            The run that made it; None means the run it was logged by.
        alias : str, optional
            Alias that the version gets; None means ``tracking.alias``.
        tags : mapping, optional
            Tags of the version.
        description : str
            Markdown, shown by MLflow.

        Returns
        -------
        int
            The version's number, from 1.

        Raises
        ------
        SettingError
            Where the name or the alias is not allowed.
        """
        name = model_name(name if name is not None else str(self.tracking.registered_name))
        alias = alias_name(alias if alias is not None else self.tracking.alias)
        model_id = _model_id(model_uri)
        if model_id is None:
            raise WellaiError(f"{model_uri} cannot be registered; it must be a models:/m-… address of a logged model.")
        client = self._client
        with self.tracking.lock(), told(self._uri):
            logged = client.get_logged_model(model_id)
            if name not in self._names():
                client.create_registered_model(name)
            pins = {key: value for key, value in logged.tags.items() if not key.startswith("mlflow.")}
            made = client.create_model_version(
                name,
                # Not `model_uri`: MLflow would look that up in its global store, which is not ours.
                source=logged.artifact_location,
                run_id=run_id or logged.source_run_id,
                tags=legal_tags({**(tags or {}), **pins, _MODEL_TAG: model_id}),
                description=description or None,
                model_id=model_id,
            )
            self._link(logged, name, made.version)
            client.set_registered_model_alias(name, alias, made.version)
        return int(made.version)

    def _link(self, logged: LoggedModel, name: str, version: str) -> None:
        """Let MLflow's page of the logged model lead to its registered versions."""
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        known = json.loads(logged.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        links = json.dumps([*known, {"name": name, "version": version}])
        self._client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: links})

    def promote(
        self, name: str, version: int | None = None, *, who: str, reason: str, alias: str = CHAMPION
    ) -> Promotion:
        """Make a version the champion, and record who did it and why.

        Parameters
        ----------
        name : str
            Registered model.
        version : int or None
            None means the version that holds the alias ``tracking.alias`` (``challenger``).
        who, reason : str
            Recorded with the version and in the model's history.
        alias : str
            Alias to move.

        Returns
        -------
        Promotion
            The step, with the version that was champion before.

        Raises
        ------
        WellaiError
            Where the model or the version does not exist, or is champion already.
        """
        alias_name(alias, "alias")
        _said(who, reason)
        client = self._client
        with self.tracking.lock(), told(self._uri):
            model = self._model(name)
            chosen = self._alias(model, self.tracking.alias) if version is None else version
            self._version(name, chosen)
            previous = _holder(model, alias)
            if previous == chosen:
                raise WellaiError(f"{name}/{chosen} is {alias} already; nothing was changed.")
            step = Promotion(name, alias, chosen, previous, who, reason, _now(), "promote")
            record = {
                "promoted_at": step.at,
                "promoted_by": who,
                "promoted_from": "none" if previous is None else str(previous),
                "promotion_reason": cut(reason, 5_000),
            }
            for key, value in record.items():
                client.set_model_version_tag(name, str(chosen), key, value)
            self._move(model, step)
        return step

    def rollback(self, name: str, *, who: str, reason: str, alias: str = CHAMPION) -> Promotion:
        """Give the alias back to the version that held it before; repeated, it walks further back.

        Versions that were deleted meanwhile are passed over. Rolling back the first promotion removes the alias.

        Raises
        ------
        WellaiError
            Where no promotion is left to be rolled back.
        """
        _said(who, reason)
        with self.tracking.lock(), told(self._uri):
            model = self._model(name)
            holder = _holder(model, alias)
            earlier = standing(history(name, model.tags), alias)
            if not earlier:
                raise WellaiError(f"{name} has no promotion to {alias} to roll back; promote a version first.")
            if earlier and earlier[-1] == holder:
                earlier.pop()
            existing = {record.version for record in self._versions(model)}
            target = next((number for number in reversed(earlier) if number in existing), None)
            step = Promotion(name, alias, target, holder, who, reason, _now(), "rollback")
            if holder is not None:
                record = {"rolled_back_at": step.at, "rolled_back_by": who, "rollback_reason": cut(reason, 5_000)}
                for key, value in record.items():
                    self._client.set_model_version_tag(name, str(holder), key, value)
            self._move(model, step)
        return step

    def _move(self, model: RegisteredModel, step: Promotion) -> None:
        # The alias first: a process killed in between leaves an unrecorded move, which a rollback understands.
        if step.version is None:
            self._client.delete_registered_model_alias(step.name, step.alias)
        else:
            self._client.set_registered_model_alias(step.name, step.alias, str(step.version))
        self._client.set_registered_model_tag(step.name, *as_tag(step, history(step.name, model.tags)))

    def names(self) -> list[str]:
        """Give the names of all registered models."""
        with told(self._uri):
            return self._names()

    def _names(self) -> list[str]:
        found: list[str] = []
        token: str | None = None
        while True:
            page = self._client.search_registered_models(max_results=100, page_token=token)
            found.extend(model.name for model in page)
            token = page.token
            if not token:
                return sorted(found)

    def describe(self, name: str) -> ModelRecord:
        """Give all that is known of a registered model.

        Raises
        ------
        WellaiError
            Where there is none of that name; the sentence lists those there are.
        """
        with told(self._uri):
            model = self._model(name)
            versions = self._versions(model)
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        return ModelRecord(name, model.description or "", aliases, versions, history(name, model.tags))

    def _versions(self, model: RegisteredModel) -> tuple[VersionRecord, ...]:
        found: list[VersionRecord] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(f"name = '{_quoted(model.name)}'", page_token=token)
            for version in page:
                # The search leaves the aliases out.
                held = sorted(alias for alias, number in model.aliases.items() if int(number) == int(version.version))
                created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
                tags, note = dict(version.tags), version.description or ""
                found.append(VersionRecord(int(version.version), version.run_id, tuple(held), tags, note, created))
            token = page.token
            if not token:
                return tuple(sorted(found, key=lambda record: -record.version))

    def _model(self, name: str) -> RegisteredModel:
        names = self._names()
        if name not in names:
            there = f"there are {', '.join(names)}" if names else "none is registered yet; run a sweep first"
            raise WellaiError(f"No registered model is called {name!r}: {there}.")
        return self._client.get_registered_model(name)

    def _alias(self, model: RegisteredModel, alias: str) -> int:
        held = _holder(model, alias)
        if held is None:
            there = ", ".join(f"@{key} (version {value})" for key, value in sorted(model.aliases.items())) or "none"
            numbers = ", ".join(str(record.version) for record in self._versions(model)) or "none"
            raise WellaiError(
                f"{model.name} has no alias @{alias}: its aliases are {there}, its versions {numbers}; "
                f"name one, as in {model.name}/1."
            )
        return held

    def _version(self, name: str, version: int) -> ModelVersion:
        records = self._versions(self._client.get_registered_model(name))
        if version not in {record.version for record in records}:
            numbers = ", ".join(str(record.version) for record in records) or "none"
            raise WellaiError(f"{name} has no version {version}: its versions are {numbers}.")
        return self._client.get_model_version(name, str(version))

    def resolve(self, model: str) -> ModelRef:
        """Find a model and verify its files.

        Parameters
        ----------
        model : str
            ``demo`` (its champion), ``demo@challenger``, ``demo/3``, the same after ``models:/``, ``models:/m-…``,
            a run id, or a ``.keras`` file with its ``labels.json``.

        Returns
        -------
        ModelRef
            To be given to :func:`load`.

        Raises
        ------
        WellaiError
            Where it does not exist; the sentence lists what does.
        StoreError
            Where a file does not have the checksum that the database recorded.
        """
        if model.endswith(".keras"):
            return read_file(Path(model))
        bare = model.removeprefix("models:/")
        with told(self._uri):
            if re.fullmatch(r"[0-9a-f]{32}", bare):
                return self._of_run(bare)
            if (model_id := _model_id(f"models:/{bare}")) is not None:
                logged = self._client.get_logged_model(model_id)
                return read_reference(self._folder(logged), logged.tags, bare, None, logged.source_run_id)
            name, version = self._number(bare)
            found = self._version(name, version)
            if _MODEL_TAG not in found.tags:
                raise WellaiError(f"{name}/{version} was not registered by wellai-exp; register it again.")
            logged = self._client.get_logged_model(found.tags[_MODEL_TAG])
            return read_reference(self._folder(logged), found.tags, name, version, found.run_id)

    def _number(self, text: str) -> tuple[str, int]:
        name, at, alias = text.partition("@")
        if at:
            return name, self._alias(self._model(name), alias)
        name, slash, number = text.partition("/")
        found = self._model(name)
        if not slash:
            return name, self._alias(found, CHAMPION)
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

        folder = self.tracking.store / "models" / str(logged.model_id)
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as beside:
                # By its location: MLflow looks `models:/m-…` up in its global store, which is not ours.
                uri = logged.artifact_location
                repository = get_artifact_repository(uri, tracking_uri=self._uri, registry_uri=self._uri)
                fetched = Path(beside) / "model"
                fetched.mkdir()
                repository.download_artifacts("", str(fetched))  # type: ignore[no-untyped-call]
                # Renamed when complete: half a model would be refused by its checksum for ever.
                fetched.rename(folder)
        return folder


def _model_id(uri: str) -> str | None:
    found = re.fullmatch(r"models:/(m-[0-9a-f]{32})", uri)
    return None if found is None else found.group(1)


def _holder(model: RegisteredModel, alias: str) -> int | None:
    version = model.aliases.get(alias)
    return None if version is None else int(version)


def _quoted(name: str) -> str:
    return name.replace("'", "''")


def _said(who: str, reason: str) -> None:
    for setting, value in (("who", who), ("reason", reason)):
        if not value.strip():
            raise SettingError(
                setting, repr(value), "a promotion is recorded with who decided it and why", f"set {setting}=…"
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
