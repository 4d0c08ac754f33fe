"""One MLflow run: what is written into it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pandas as pd

from wellai_exp.errors import WellaiError
from wellai_exp.ledger import spent
from wellai_exp.masking import masked, without_known
from wellai_exp.rendering import png
from wellai_exp.tracking._entries import now
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._names import cut, legal_digest, legal_keys, legal_params, legal_path, legal_tags
from wellai_exp.tracking._posted import Mail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wellai_exp.tracking._store import Tracking

NONFINITE_TAG = "nonfinite_metrics"
ENDINGS = ("FINISHED", "FAILED", "KILLED")
_NOT_IN_TABLES = frozenset("\"',:[]{}")


def points_and_tags(
    steps: Mapping[int, Mapping[str, float]],
) -> tuple[list[tuple[str, float, int, int]], dict[str, str]]:
    """Make points (key, value, milliseconds, step) of the finite values, and a tag that names the others.

    MLflow's SQL store turns an infinity into 1.8e308, which would lead any sorted table.
    """
    at = now()
    finite: list[tuple[str, float, int, int]] = []
    bad: list[str] = []
    for step, metrics in steps.items():
        keys = legal_keys(metrics)
        for key, value in ((keys[name], float(value)) for name, value in metrics.items()):
            if math.isfinite(value):
                finite.append((key, value, at, step))
            else:
                bad.append(f"{key}={value} (step {step})")
    return finite, {NONFINITE_TAG: cut(", ".join(bad), 8_000)} if bad else {}


class Run:
    """A run that is being written; made by :meth:`Tracker.run`.

    Every method raises :class:`~wellai_exp.errors.StoreError` where the store does not take what is written.

    Attributes
    ----------
    ended : bool
        Whether :meth:`finish` was called.
    """

    def __init__(self, tracking: Tracking, mail: Mail) -> None:
        self._uri = tracking.resolved_uri
        self._mail = mail
        self.ended = False

    @property
    def id(self) -> str:
        """MLflow's run id, 32 hexadecimal digits; of a run begun while the server was away a key until it is back."""
        return self._mail.id

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters, any number of any length.

        MLflow never changes a parameter: where a resumed run brings another value, the first stays and the new one
        becomes the tag ``changed.<name>``.
        """
        self._write("params", {"values": legal_params(params)})

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
        self.log_steps({step: metrics})

    def log_steps(self, steps: Mapping[int, Mapping[str, float]]) -> None:
        """Log the metrics of several steps in one call, as `log_metrics` does those of one.

        Parameters
        ----------
        steps : mapping of int to mapping of str to float
            Epoch, iteration or fold -> its metrics.
        """
        finite, tags = points_and_tags(steps)
        if finite:
            self._write("metrics", {"points": finite})
        if tags:
            self.set_tags(tags)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; values are cut to 8,000 characters."""
        self._write("tags", {"tags": legal_tags(tags)})

    @spent("log")
    def _write(self, op: str, data: Mapping[str, Any], file: Path | None = None) -> None:
        with told(self._uri):
            self._mail.write(op, data, file)

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
        if not path.endswith(".json") or _NOT_IN_TABLES.intersection(path):
            raise WellaiError(f"The table {path!r} needs a name of letters and digits that ends with .json.")
        # pandas writes 10 decimals unless told, too few for a probability near 0 to come back as it was.
        self._artifact(path, lambda target: table.to_json(target, orient="split", index=False, double_precision=15))
        self._write("table", {"path": path})

    def log_figure(self, figure: Figure, path: str) -> None:
        """Log a Matplotlib figure as PNG; `path` ends with ``.png``. The figure stays open."""
        if not path.endswith(".png"):
            raise WellaiError(f"The figure {path!r} needs a name that ends with .png.")
        self._artifact(path, spent("plot")(lambda target: target.write_bytes(png(figure))))

    def log_file(self, file: Path, folder: str = "") -> None:
        """Copy `file` into the run's artifacts, below `folder`."""
        self._artifact(f"{folder}/{file.name}" if folder else file.name, lambda target: shutil.copyfile(file, target))

    @spent("log")
    def _artifact(self, path: str, write: Callable[[Path], object]) -> None:
        legal = legal_path(path)
        folder = None if legal.parent.name == "" else str(legal.parent)
        with told(self._uri), self._mail.filed(legal.name, write) as file:
            self._write("artifact", {"folder": folder}, file)

    @spent("log")
    def add_model(self, save: Callable[[Path], dict[str, str]]) -> str:
        """Add a saved model; for :meth:`Tracker.log_model`.

        Parameters
        ----------
        save : callable
            Saves it into a folder and gives the tags that pin its files.

        Returns
        -------
        str
            MLflow's id of it; where the server is away a key that stands for it.
        """
        pins: dict[str, str] = {}
        key = None if self._mail.key is None else f"m-{uuid4().hex}"
        with told(self._uri), self._mail.filed("model", lambda folder: pins.update(save(folder))) as file:
            self._write("model", {"key": key, "tags": pins}, file)
        return str(self._mail.given.get(key or "model", key))

    def add_version(self, model: str, noted: str | None, facts: Mapping[str, Any]) -> int | None:
        """Register a model of this run; for :meth:`Registry.register`, which explains the arguments.

        Returns
        -------
        int or None
            The version's number; None where the server is away, and gives one once it is back.
        """
        key = None if self._mail.key is None else uuid4().hex
        self._write("version", {"model": model, "key": key, "noted": noted, **facts})
        return self._mail.given.get(key or "version")

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
        source = masked(source)
        dataset = {
            "name": name[:500],
            "digest": legal_digest(digest),
            "source_type": "http" if source.startswith("http") else "local",
            "source": json.dumps({"url" if source.startswith("http") else "uri": source}),
            "profile": json.dumps({"num_rows": n_rows, **(profile or {})}),
        }
        self._write("dataset", {"context": context, "dataset": dataset})

    def finish(self, status: str = "FINISHED") -> None:
        """End the run.

        Parameters
        ----------
        status : str
            ``FINISHED``, ``FAILED`` or ``KILLED`` (for a pruned trial too).
        """
        if status not in ENDINGS:
            raise WellaiError(f"A run ends as {', '.join(ENDINGS)}, not as {status!r}.")
        self._write("end", {"status": status, "at": now(), "key": self._mail.key})
        self.ended = True
