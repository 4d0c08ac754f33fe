"""One MLflow run: what is written into it."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from wellai_exp.errors import WellaiError
from wellai_exp.masking import masked, without_known
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._names import cut, legal_digest, legal_keys, legal_params, legal_path, legal_tags

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun

    from wellai_exp.tracking._store import Tracking

_T = TypeVar("_T")

NONFINITE_TAG = "nonfinite_metrics"
ENDINGS = ("FINISHED", "FAILED", "KILLED")
_PARAMS_A_CALL = 100
_METRICS_A_CALL = 1_000
_NOT_IN_TABLES = frozenset("\"',:[]{}")


def slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Cut `items` into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def metrics_and_tags(metrics: Mapping[str, float], step: int) -> tuple[list[Metric], dict[str, str]]:
    """Make MLflow's metrics of the finite values, and a tag that names the others.

    MLflow's SQL store turns an infinity into 1.8e308, which would lead any sorted table.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    keys = legal_keys(metrics)
    numbers = {keys[name]: float(value) for name, value in metrics.items()}
    finite = [Metric(key, value, now, step) for key, value in numbers.items() if math.isfinite(value)]
    bad = [f"{key}={value} (step {step})" for key, value in numbers.items() if not math.isfinite(value)]
    return finite, {NONFINITE_TAG: cut(", ".join(bad), 8_000)} if bad else {}


class Run:
    """A run that is being written; made by :meth:`Tracker.run`.

    Every method raises :class:`~wellai_exp.errors.StoreError` where the store does not take what is written.

    Attributes
    ----------
    id : str
        MLflow's run id, 32 hexadecimal digits.
    ended : bool
        Whether :meth:`finish` was called.
    """

    def __init__(self, tracking: Tracking, client: MlflowClient, run: MlflowRun) -> None:
        self._tracking = tracking
        self._client = client
        self._uri = tracking.resolved_uri
        self._artifact_uri: str = run.info.artifact_uri
        self.id: str = run.info.run_id
        self.ended = False

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters, any number of any length.

        MLflow never changes a parameter: where a resumed run brings another value, the first stays and the new one
        becomes the tag ``changed.<name>``.
        """
        from mlflow.entities import Param

        values = legal_params(params)
        with told(self._uri):
            kept = self._client.get_run(self.id).data.params
            fresh = [Param(key, value) for key, value in values.items() if key not in kept]
            for piece in slices(fresh, _PARAMS_A_CALL):
                self._client.log_batch(self.id, params=piece)
        self.set_tags({f"changed.{key}": value for key, value in values.items() if kept.get(key, value) != value})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics in one call for each thousand.

        Values that are not finite are left out and named in the tag ``nonfinite_metrics``.

        Parameters
        ----------
        metrics : mapping of str to float
            Names are made legal: a bracket or an apostrophe becomes ``_``.
        step : int
            Epoch or iteration.
        """
        finite, tags = metrics_and_tags(metrics, step)
        with told(self._uri):
            for piece in slices(finite, _METRICS_A_CALL):
                self._client.log_batch(self.id, metrics=piece)
        self.set_tags(tags)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; values are cut to 8,000 characters."""
        from mlflow.entities import RunTag

        entities = [RunTag(key, value) for key, value in legal_tags(tags).items()]
        with told(self._uri):
            for piece in slices(entities, _PARAMS_A_CALL):
                self._client.log_batch(self.id, tags=piece)

    def log_text(self, text: str, path: str) -> None:
        """Log a text file in UTF-8, without secrets."""
        told_by = without_known if path.endswith(".html") else masked
        self._artifact(path, lambda target: target.write_text(told_by(text), encoding="utf-8"))

    def log_dict(self, data: Mapping[str, object], path: str) -> None:
        """Log a mapping of plain values: as JSON where `path` ends with ``.json``, as YAML otherwise."""
        if path.endswith(".json"):
            self.log_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", path)
        else:
            import yaml

            self.log_text(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True), path)

    def log_table(self, table: pd.DataFrame, path: str) -> None:
        """Log a table as CSV, which MLflow's page shows as a table.

        Parameters
        ----------
        table : pandas.DataFrame
            The index is written where it has a name.
        path : str
            Ends with ``.csv``.
        """
        if not path.endswith(".csv"):
            raise WellaiError(f"The table {path!r} needs a name that ends with .csv.")
        named = any(name is not None for name in table.index.names)
        self._artifact(path, lambda target: table.to_csv(target, index=named))

    def log_queryable(self, table: pd.DataFrame, path: str) -> None:
        """Log a table so that ``mlflow.load_table`` reads it, from this run alone or joined over many.

        A table logged again replaces the first, so that a resumed run never doubles its rows. MLflow looks for the runs
        at the process's tracking URI, ``MLflowClient.load_table`` too, whatever URI its client was made with.

        Parameters
        ----------
        table : pandas.DataFrame
            Its index is not written. MLflow's reader takes a column of texts that are all numbers for numbers.
        path : str
            Ends with ``.json``; none of the marks ``" ' , : [ ] { }``, which MLflow refuses when it reads.

        Raises
        ------
        WellaiError
            Where the path is not such a path.
        """
        from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

        if not path.endswith(".json") or _NOT_IN_TABLES.intersection(path):
            raise WellaiError(f"The table {path!r} needs a name of letters and digits that ends with .json.")
        # pandas writes 10 decimals unless told, too few for a probability near 0 to come back as it was.
        self._artifact(path, lambda target: table.to_json(target, orient="split", index=False, double_precision=15))
        entry = {"path": path, "type": "table"}
        with told(self._uri):
            logged = json.loads(self._client.get_run(self.id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
            if entry not in logged:
                self._client.set_tag(self.id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*logged, entry]))

    def log_figure(self, figure: Figure, path: str) -> None:
        """Log a Matplotlib figure; its format follows the suffix (``.png``, ``.svg``). The figure stays open."""
        self._artifact(path, lambda target: figure.savefig(target, dpi=120, bbox_inches="tight"))

    def log_file(self, file: Path, folder: str = "") -> None:
        """Copy `file` into the run's artifacts, below `folder`."""
        self._artifact(f"{folder}/{file.name}" if folder else file.name, lambda target: shutil.copyfile(file, target))

    def _artifact(self, path: str, write: Callable[[Path], object]) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        legal = legal_path(path)
        with told(self._uri), tempfile.TemporaryDirectory(prefix="wellai-") as folder:
            target = Path(folder) / legal.name
            write(target)
            # Straight to the repository: the client's own methods would fetch the run again for each file.
            repository = get_artifact_repository(self._artifact_uri, tracking_uri=self._uri, registry_uri=self._uri)
            parent = None if legal.parent.name == "" else str(legal.parent)
            repository.log_artifact(str(target), parent)  # type: ignore[no-untyped-call]

    def log_dataset(
        self,
        name: str,
        digest: str,
        source: str,
        n_rows: int,
        profile: Mapping[str, object] | None = None,
        context: str = "training",
    ) -> None:
        """Log which data the run used; nothing of the data is read.

        Parameters
        ----------
        name : str
            Data set.
        digest : str
            Data version; MLflow keeps its first 36 characters.
        source : str
            Where the manifest lies, a path or an address.
        n_rows : int
            Images.
        profile : mapping, optional
            More figures in plain values, e.g. the number of classes.
        context : str
            What the data were used for: ``training``, ``validation`` or ``test``.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        dataset = Dataset(
            name=name[:500],
            digest=legal_digest(digest),
            source_type="http" if source.startswith("http") else "local",
            source=json.dumps({"url" if source.startswith("http") else "uri": source}),
            profile=json.dumps({"num_rows": n_rows, **(profile or {})}),
        )
        with told(self._uri):
            self._client.log_inputs(self.id, [DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])])

    def finish(self, status: str = "FINISHED") -> None:
        """End the run.

        Parameters
        ----------
        status : str
            ``FINISHED``, ``FAILED`` or ``KILLED`` (for a pruned trial too).
        """
        if status not in ENDINGS:
            raise WellaiError(f"A run ends as {', '.join(ENDINGS)}, not as {status!r}.")
        with told(self._uri):
            self._client.set_terminated(self.id, status)
        self.ended = True
