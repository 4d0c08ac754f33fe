"""Registered models: versions, the champion, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import SettingError, WellaiError
from wellai_exp.masking import masked
from wellai_exp.tracking._artifacts import replace_folder
from wellai_exp.tracking._catalogue import CHAMPION, Catalogue, ModelRecord, holder_of
from wellai_exp.tracking._courier import courier_of
from wellai_exp.tracking._entries import Writer
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._names import alias_name, cut, legal_tags, model_name
from wellai_exp.tracking._posted import Direct
from wellai_exp.tracking._promotion import GATE_TAG, Judgement, Promotion, as_tag, history, standing
from wellai_exp.tracking._reference import ModelRef, read_file
from wellai_exp.tracking._resolve import Resolver, model_id, resolve_here
from wellai_exp.tracking._run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

    from wellai_exp.tracking._store import Tracking


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

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(self._client)

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
        noted: str | None = None,
    ) -> int | None:
        """Make a new version of a registered model and give it an alias.

        A version that the same run has made of the same configuration, by a command that was stopped before it knew, is
        taken for the new one.

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
        noted : str, optional
            Tag of the run that is to say the version's number.

        Returns
        -------
        int or None
            The version's number, from 1; None where the server is away and the run is still being written: then it is
            registered once the server is back.

        Raises
        ------
        SettingError
            Where the name or the alias is not allowed.
        """
        name = model_name(name if name is not None else str(self.tracking.registered_name))
        alias = alias_name(alias if alias is not None else self.tracking.alias)
        logged_id = model_id(model_uri)
        if logged_id is None:
            raise WellaiError(f"{model_uri} cannot be registered; it must be a models:/m-… address of a logged model.")
        facts = {"name": name, "alias": alias, "tags": legal_tags(tags or {})}
        facts["description"] = masked(description)
        return self._registering(run_id).add_version(logged_id, noted, facts)

    def _registering(self, run_id: str | None) -> Run:
        """Give the run that a version is registered for: the one that is being written, or else what stands for it."""
        mail = courier_of(self.tracking).mail_of(run_id) if self.tracking.is_server and run_id is not None else None
        if mail is not None:
            return Run(self.tracking, mail)
        direct = Direct(Writer(self.tracking, self._client))
        direct.given = {} if run_id is None else {"run": run_id}
        return Run(self.tracking, direct)

    def choose(self, name: str, version: int | None = None, alias: str = CHAMPION) -> tuple[int, int | None]:
        """Say which version would be promoted, and in whose place.

        Parameters
        ----------
        name : str
            Registered model.
        version : int or None
            None means the version that holds the alias ``tracking.alias`` (``challenger``).
        alias : str
            Alias that would move.

        Returns
        -------
        version : int
        holder : int or None
            The version that holds the alias now.

        Raises
        ------
        WellaiError
            Where the model or the version does not exist, or holds the alias already.
        """
        alias_name(alias, "alias")
        with told(self._uri):
            model = self._catalogue.model(name)
            chosen = self._catalogue.holder(model, self.tracking.alias) if version is None else version
            self._catalogue.version(name, chosen)
            holder = holder_of(model, alias)
        if holder == chosen:
            raise WellaiError(f"{name}/{chosen} is {alias} already; nothing was changed.")
        return chosen, holder

    def promote(
        self,
        name: str,
        version: int | None = None,
        *,
        who: str,
        reason: str,
        alias: str = CHAMPION,
        judgement: Judgement | None = None,
    ) -> Promotion:
        """Make a version the champion, and record who did it, why, and what the gates said.

        Its files are verified first. Everything is read again under the store's lock, so that of two promotions at
        once the second sees what the first has done.

        Parameters
        ----------
        name : str
            Registered model.
        version : int or None
            None means the version that was judged, or else the one that holds the alias ``tracking.alias``.
        who, reason : str
            Recorded with the version and in the model's history.
        alias : str
            Alias to move.
        judgement : Judgement, optional
            What gates said of this version. It becomes tags of the version and, in its run, the artifact
            ``promotion/<name>/<version>.json``.

        Returns
        -------
        Promotion
            The step, with the version that was champion before.

        Raises
        ------
        WellaiError
            Where the model or the version does not exist or is champion already, a gate refuses it, or the champion
            is no longer the one that it was judged against.
        StoreError
            Where its files were changed after they were registered.
        """
        _said(who, reason)
        if version is None and judgement is not None:
            version = judgement.version
        with self.tracking.lock(), told(self._uri):
            chosen, previous = self.choose(name, version, alias)
            if judgement is not None:
                _admit(judgement, name, chosen, previous, alias)
            self.resolve(f"{name}/{chosen}")
            verdict = "" if judgement is None else judgement.verdict
            step = Promotion(name, alias, chosen, previous, who, masked(reason), _now(), "promote", verdict)
            self._record(step, judgement)
            self._move(self._catalogue.model(name), step)
        return step

    def refuse(self, name: str, judgement: Judgement, *, who: str, alias: str = CHAMPION) -> None:
        """Keep with a version what the gates that refuse it said; no alias moves, and the history stays.

        Parameters
        ----------
        name : str
            Registered model.
        judgement : Judgement
            What they said.
        who : str
            Who wanted it promoted.
        alias : str
            The alias that it was to have.
        """
        step = Promotion(name, alias, judgement.version, judgement.champion, who, "", _now(), "refuse", "failed")
        with self.tracking.lock(), told(self._uri):
            self._keep(step, judgement, {"refused_at": step.at, "refused_by": who})

    def _record(self, step: Promotion, judgement: Judgement | None) -> None:
        """Keep with the version who promotes it and why, and what its gates said."""
        tags = {
            "promoted_at": step.at,
            "promoted_by": step.who,
            "promoted_from": "none" if step.previous is None else str(step.previous),
            "promotion_reason": cut(step.reason, 5_000),
        }
        if judgement is None:
            self._tag(step.name, step.version, tags)
        else:
            self._keep(step, judgement, tags)

    def _keep(self, step: Promotion, judgement: Judgement, tags: Mapping[str, str]) -> None:
        """Keep a judgement as an artifact and as tags of its version, in place of an earlier one's."""
        found = self._catalogue.version(step.name, judgement.version)
        if found.run_id is not None:
            path = f"promotion/{step.name}/{step.version}.json"
            text = json.dumps(_document(step, judgement), indent=2, ensure_ascii=False, allow_nan=False)
            self._client.log_text(found.run_id, text + "\n", path)
        tags = {**tags, **judgement.tags}
        for key in found.tags:
            if key.startswith(GATE_TAG) and key not in tags:
                self._client.delete_model_version_tag(step.name, str(step.version), key)
        self._tag(step.name, step.version, tags)

    def _tag(self, name: str, version: int | None, tags: Mapping[str, str]) -> None:
        for key, value in legal_tags(tags).items():
            self._client.set_model_version_tag(name, str(version), key, value)

    def rollback(self, name: str, *, who: str, reason: str, alias: str = CHAMPION) -> Promotion:
        """Give the alias back to the version that held it before; repeated, it walks further back.

        Versions that were deleted meanwhile are passed over. Rolling back the first promotion removes the alias.

        Raises
        ------
        WellaiError
            Where no promotion is left to be rolled back.
        StoreError
            Where the files of the version to go back to were changed after they were registered.
        """
        _said(who, reason)
        with self.tracking.lock(), told(self._uri):
            model = self._catalogue.model(name)
            holder = holder_of(model, alias)
            earlier = standing(history(name, model.tags), alias)
            if not earlier:
                raise WellaiError(f"{name} has no promotion to {alias} to roll back; promote a version first.")
            if earlier[-1] == holder:
                earlier.pop()
            existing = {record.version for record in self._catalogue.versions(model)}
            target = next((number for number in reversed(earlier) if number in existing), None)
            if target is not None:
                self.resolve(f"{name}/{target}")
            step = Promotion(name, alias, target, holder, who, masked(reason), _now(), "rollback")
            if holder is not None:
                record = {"rolled_back_at": step.at, "rolled_back_by": who, "rollback_reason": cut(reason, 5_000)}
                self._tag(name, holder, record)
            self._move(model, step)
        return step

    def _move(self, model: RegisteredModel, step: Promotion) -> None:
        # The alias first: a process killed in between leaves an unrecorded move, which a rollback understands.
        if step.version is None:
            self._client.delete_registered_model_alias(step.name, step.alias)
        else:
            self._client.set_registered_model_alias(step.name, step.alias, str(step.version))
        self._client.set_registered_model_tag(step.name, *as_tag(step, history(step.name, model.tags)))

    def attach(self, ref: ModelRef, folder: Path, path: str, tags: Mapping[str, str]) -> None:
        """Keep a folder with a model, in place of an earlier one: in its run and, where it is a version, with tags.

        Parameters
        ----------
        ref : ModelRef
            From `resolve`; a file belongs to no run and keeps nothing.
        folder : Path
            What is copied.
        path : str
            Where to among the run's artifacts.
        tags : mapping
            Of the version.
        """
        if ref.run_id is None:
            return
        with self.tracking.lock(), told(self._uri):
            run = self._client.get_run(ref.run_id)
            replace_folder(self.tracking, str(run.info.artifact_uri), folder, path)
            if ref.version is not None:
                self._tag(ref.name, ref.version, tags)

    def names(self) -> list[str]:
        """Give the names of all registered models."""
        with told(self._uri):
            return self._catalogue.names()

    def describe(self, name: str) -> ModelRecord:
        """Give all that is known of a registered model.

        Raises
        ------
        WellaiError
            Where there is none of that name; the sentence lists those there are.
        """
        with told(self._uri):
            return self._catalogue.describe(name)

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
        # Needs no store.
        if model.endswith(".keras"):
            return read_file(Path(model))
        return resolve_here(self.tracking, model) or Resolver(self.tracking, self._client).resolve(model)


def _admit(judgement: Judgement, name: str, version: int, holder: int | None, alias: str) -> None:
    """Refuse a promotion that its judgement does not carry."""
    if judgement.version != version:
        raise WellaiError(f"{name}/{judgement.version} was judged, not {name}/{version}; judge that one.")
    if judgement.champion != holder:
        before, now = (f"version {number}" if number is not None else "none" for number in (judgement.champion, holder))
        raise WellaiError(
            f"While {name}/{version} was judged, {alias} changed (it was {before} and is {now}); "
            "nothing was changed, type the same command to judge it against the new one."
        )
    if judgement.verdict == "failed":
        raise WellaiError(f"{name}/{version} is refused by {', '.join(judgement.failed)}; nothing was changed.")


def _document(step: Promotion, judgement: Judgement) -> dict[str, object]:
    return {
        "model": step.name,
        "version": step.version,
        "alias": step.alias,
        "previous": step.previous,
        "verdict": step.verdict,
        "action": step.action,
        "at": step.at,
        "by": step.who,
        "reason": step.reason,
        **judgement.document,
    }


def _said(who: str, reason: str) -> None:
    for setting, value in (("who", who), ("reason", reason)):
        if not value.strip():
            raise SettingError(
                setting, repr(value), "a promotion is recorded with who decided it and why", f"set {setting}=…"
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
