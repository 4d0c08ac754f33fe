"""What the registry holds: models, their versions and aliases, read and named when something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wellai_exp.errors import WellaiError
from wellai_exp.tracking._promotion import Promotion, history

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"


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


class Catalogue:
    """Reads the registered models of one store.

    Parameters
    ----------
    client : MlflowClient
        Bound to the store.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def names(self) -> list[str]:
        """Give the names of all registered models, sorted."""
        found: list[str] = []
        token: str | None = None
        while True:
            page = self._client.search_registered_models(max_results=100, page_token=token)
            found.extend(model.name for model in page)
            token = page.token
            if not token:
                return sorted(found)

    def model(self, name: str) -> RegisteredModel:
        """Give a registered model.

        Raises
        ------
        WellaiError
            Where there is none of that name; the sentence lists those there are.
        """
        names = self.names()
        if name not in names:
            there = f"there are {', '.join(names)}" if names else "none is registered yet; run a sweep first"
            raise WellaiError(f"No registered model is called {name!r}: {there}.")
        return self._client.get_registered_model(name)

    def versions(self, model: RegisteredModel) -> tuple[VersionRecord, ...]:
        """Give all versions of a model, newest first."""
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

    def version(self, name: str, number: int) -> ModelVersion:
        """Give one version.

        Raises
        ------
        WellaiError
            Where the model has no such version.
        """
        records = self.versions(self._client.get_registered_model(name))
        if number not in {record.version for record in records}:
            numbers = ", ".join(str(record.version) for record in records) or "none"
            raise WellaiError(f"{name} has no version {number}: its versions are {numbers}.")
        return self._client.get_model_version(name, str(number))

    def holder(self, model: RegisteredModel, alias: str) -> int:
        """Give the version that holds an alias.

        Raises
        ------
        WellaiError
            Where nobody does.
        """
        held = holder_of(model, alias)
        if held is None:
            there = ", ".join(f"@{key} (version {value})" for key, value in sorted(model.aliases.items())) or "none"
            numbers = ", ".join(str(record.version) for record in self.versions(model)) or "none"
            raise WellaiError(
                f"{model.name} has no alias @{alias}: its aliases are {there}, its versions {numbers}; "
                f"name one, as in {model.name}/1."
            )
        return held

    def describe(self, name: str) -> ModelRecord:
        """Give all that is known of a registered model.

        Raises
        ------
        WellaiError
            Where there is none of that name.
        """
        model = self.model(name)
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        return ModelRecord(name, model.description or "", aliases, self.versions(model), history(name, model.tags))


def holder_of(model: RegisteredModel, alias: str) -> int | None:
    """Give the version that holds an alias; None where nobody does."""
    version = model.aliases.get(alias)
    return None if version is None else int(version)


def _quoted(name: str) -> str:
    return name.replace("'", "''")
