"""What is written of a run, entry by entry, so that it can be kept on disk and written again without harm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wellai_exp.tracking._models import upload_model
from wellai_exp.tracking._names import legal_tags
from wellai_exp.tracking._versions import add_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from wellai_exp.tracking._store import Tracking

KEY_TAG = "wellai.key"  # Of what was made on a server: by it a second attempt finds what the first has made.
PARENT_TAG = "mlflow.parentRunId"
OPERATIONS = frozenset(
    ["create", "resume", "params", "metrics", "tags", "artifact", "table", "dataset", "model", "version", "end"]
)
_A_CALL = 100
_METRICS_A_CALL = 1_000
_T = TypeVar("_T")


def slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Cut `items` into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def now() -> int:
    """Give the time as MLflow counts it, in milliseconds."""
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Entry:
    """One thing to be written.

    Parameters
    ----------
    op : str
        One of ``OPERATIONS``.
    data : mapping
        Plain values for it, by name.
    file : Path or None
        A file or folder that belongs to it.
    number : int
        Its place in the outbox, from 1; 0 where it is in none.
    """

    op: str
    data: Mapping[str, Any]
    file: Path | None = None
    number: int = 0


class Writer:
    """Writes entries to MLflow; an entry written twice leaves what it leaves written once.

    Parameters
    ----------
    tracking : Tracking
        The store.
    client : MlflowClient
        Bound to it.
    real : callable
        Gives the server's id of a run or model for one that was given out while the server was away.
    """

    def __init__(self, tracking: Tracking, client: MlflowClient, real: Callable[[str], str] = str) -> None:
        self._tracking = tracking
        self._client = client
        self._real = real

    def write(self, entry: Entry, given: Mapping[str, Any], *, again: bool = False) -> dict[str, Any]:
        """Write one entry.

        Parameters
        ----------
        entry : Entry
            What.
        given : mapping
            What the run's earlier entries gave: ``run`` (id), ``artifacts`` (address), …
        again : bool
            Whether an earlier attempt may have reached the store.

        Returns
        -------
        dict
            What it gives to later entries.
        """
        method: Callable[..., dict[str, Any] | None] = getattr(self, f"_{entry.op}")
        keywords: dict[str, Any] = dict(entry.data) if entry.file is None else {**entry.data, "file": entry.file}
        return method(given, again=again, **keywords) or {}

    def _create(
        self,
        given: Mapping[str, Any],
        *,
        again: bool,
        experiment: str,
        name: str,
        tags: dict[str, str],
        start: int,
        key: str | None,
    ) -> dict[str, Any]:
        made = self._with_key(experiment, key)[:1] if again and key else []
        if not made:
            tags = dict(tags)
            if PARENT_TAG in tags:
                tags[PARENT_TAG] = self._real(tags[PARENT_TAG])
            if key is not None:
                tags[KEY_TAG] = key
            made = [self._client.create_run(experiment, start_time=start, tags=tags, run_name=name)]
        return {"run": made[0].info.run_id, "artifacts": made[0].info.artifact_uri, "experiment": experiment}

    def _resume(self, given: Mapping[str, Any], *, again: bool, run: str) -> dict[str, Any]:
        info = self._client.get_run(run).info
        self._client.update_run(run, status="RUNNING")
        return {"run": run, "artifacts": info.artifact_uri, "experiment": info.experiment_id}

    def _params(self, given: Mapping[str, Any], *, again: bool, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        kept = self._client.get_run(given["run"]).data.params
        fresh = [Param(key, value) for key, value in values.items() if key not in kept]
        for piece in slices(fresh, _A_CALL):
            self._client.log_batch(given["run"], params=piece)
        changed = {f"changed.{key}": value for key, value in values.items() if kept.get(key, value) != value}
        self._tags(given, again=again, tags=legal_tags(changed))

    def _metrics(self, given: Mapping[str, Any], *, again: bool, points: list[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        # The same point twice is one point in every database of MLflow's.
        metrics = [Metric(key, value, at, step) for key, value, at, step in points]
        for piece in slices(metrics, _METRICS_A_CALL):
            self._client.log_batch(given["run"], metrics=piece)

    def _tags(self, given: Mapping[str, Any], *, again: bool, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for piece in slices([RunTag(key, value) for key, value in tags.items()], _A_CALL):
            self._client.log_batch(given["run"], tags=piece)

    def _artifact(self, given: Mapping[str, Any], *, again: bool, folder: str | None, file: Path) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._tracking.resolved_uri
        # Straight to the repository: the client's own methods would fetch the run again for each file.
        repository = get_artifact_repository(given["artifacts"], tracking_uri=uri, registry_uri=uri)
        repository.log_artifact(str(file), folder)  # type: ignore[no-untyped-call]

    def _table(self, given: Mapping[str, Any], *, again: bool, path: str) -> None:
        from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

        entry = {"path": path, "type": "table"}
        logged = json.loads(self._client.get_run(given["run"]).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if entry not in logged:
            self._client.set_tag(given["run"], MLFLOW_LOGGED_ARTIFACTS, json.dumps([*logged, entry]))

    def _dataset(self, given: Mapping[str, Any], *, again: bool, context: str, dataset: dict[str, str]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        found = DatasetInput(Dataset(**dataset), [InputTag(MLFLOW_DATASET_CONTEXT, context)])
        self._client.log_inputs(given["run"], [found])

    def _end(self, given: Mapping[str, Any], *, again: bool, status: str, at: int, key: str | None) -> None:
        self._client.set_terminated(given["run"], status, at)
        if key is not None:
            self._drop_twins(given, key)

    def _drop_twins(self, given: Mapping[str, Any], key: str) -> None:
        """Remove the runs that a creation which was answered too late has left; MLflow itself sends it up to thrice."""
        for twin in self._with_key(given["experiment"], key):
            if twin.info.run_id != given["run"]:
                self._client.set_terminated(twin.info.run_id, "KILLED")
                self._client.delete_run(twin.info.run_id)

    def _with_key(self, experiment: str, key: str) -> list[MlflowRun]:
        return list(self._client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", order_by=["start_time ASC"]))

    def _model(
        self, given: Mapping[str, Any], *, again: bool, file: Path, key: str | None, tags: Mapping[str, str]
    ) -> dict[str, Any]:
        keyed = {} if key is None else {KEY_TAG: key}
        return {key or "model": upload_model(self._client, given["experiment"], given["run"], file, tags, keyed)}

    def _version(
        self,
        given: Mapping[str, Any],
        *,
        again: bool,
        model: str,
        key: str | None,
        noted: str | None,
        **facts: Any,
    ) -> dict[str, Any]:
        keyed = {} if key is None else {KEY_TAG: key}
        with self._tracking.lock():
            number, own = add_version(self._client, given.get(model, model), keyed, run=given.get("run"), **facts)
        if noted is not None:
            self._tags(given, again=again, tags={noted: str(number)})
        return {key or "version": number, f"{facts['name']}/{number}": own}
