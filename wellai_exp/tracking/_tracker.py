"""Runs: made, found, continued and mended."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp import stopping
from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.tracking._artifacts import fetch_artifact
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._models import log_model
from wellai_exp.tracking._names import cut, legal_tags
from wellai_exp.tracking._run import ENDINGS, Run

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from wellai_exp.tracking._store import Tracking

EVALUATED_TAG = "wellai.model_sha256"  # Of the model that an evaluation run evaluated.
_PARENT = "mlflow.parentRunId"
_PAGE = 1_000


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run in the store."""

    id: str
    experiment: str
    """MLflow's id of the experiment that it belongs to."""
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class Tracker:
    """The runs of one experiment.

    Parameters
    ----------
    tracking : Tracking
        The store; it is prepared at the first use. A tracker may be pickled: the copy connects by itself.
    """

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking

    def __reduce__(self) -> tuple[type[Tracker], tuple[Tracking]]:
        return Tracker, (self.tracking,)

    @cached_property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment; makes the store where it is missing."""
        return self.tracking.prepare()

    @cached_property
    def _client(self) -> MlflowClient:
        _ = self.experiment_id
        return self.tracking.client()

    @contextmanager
    def run(
        self,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, object] | None = None,
        resume: str | None = None,
    ) -> Iterator[Run]:
        """Write one run: FINISHED after the block, FAILED after an exception, KILLED after Ctrl-C or ``sys.exit``.

        Parameters
        ----------
        name : str
            Run name in MLflow's table.
        parent : str, optional
            Run id of the parent; MLflow shows one level well.
        tags : mapping, optional
            Tags to search by.
        resume : str, optional
            Run id to go on with instead of making a run.

        Yields
        ------
        Run
            What to write into. A run that the block ended with :meth:`Run.finish` keeps that status.

        Raises
        ------
        StoreError
            Where the run to be resumed does not exist, or the store cannot be written.
        """
        run = self._start(name, parent, tags or {}, resume)
        try:
            with stopping.heeded():
                yield run
        except BaseException as error:
            # The first exception is the one to be seen, whatever else goes wrong while the run is ended.
            with suppress(WellaiError):
                if not run.ended:
                    run.set_tags({"error": cut(f"{type(error).__name__}: {error}", 1_000)})
                    run.finish("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        if not run.ended:
            run.finish("FINISHED")

    def _start(self, name: str, parent: str | None, tags: Mapping[str, object], resume: str | None) -> Run:
        client = self._client
        if resume is None:
            with told(self.tracking.resolved_uri):
                made = client.create_run(self.experiment_id, run_name=name[:250], tags=_tags(tags, parent))
            return Run(self.tracking, client, made)
        with told(self.tracking.resolved_uri):
            found = client.get_run(resume)
            if found.info.experiment_id != self.experiment_id or found.info.lifecycle_stage != "active":
                raise StoreError(
                    f"The run {resume} cannot be continued: it was deleted, or it is not of the experiment "
                    f"{self.tracking.experiment}; start a new one."
                )
            client.update_run(resume, status="RUNNING")
        run = Run(self.tracking, client, found)
        run.set_tags(_tags(tags, parent))
        return run

    def find_run(self, tags: Mapping[str, object], status: str | None = None) -> str | None:
        """Give the id of the newest run of this experiment that has all these tags, and this status if one is named."""
        wanted = legal_tags(tags)
        clauses = [f"tags.`{key}` = '{value}'" for key, value in wanted.items() if _quotable(value)]
        if status is not None:
            clauses.append(f"attributes.status = '{status}'")
        for run in self._search(" and ".join(clauses), "attributes.start_time DESC"):
            if all(run.data.tags.get(key) == value for key, value in wanted.items()):
                return str(run.info.run_id)
        return None

    def children(self, parent_id: str) -> list[RunRecord]:
        """Give the runs nested under `parent_id`, oldest first, however many there are."""
        found = self._search(f"tags.`{_PARENT}` = '{parent_id}'", "attributes.start_time ASC")
        return [_record(run) for run in found]

    def experiments(self) -> dict[str, str]:
        """Give the names of all experiments that were not deleted, by MLflow's ids."""
        with told(self.tracking.resolved_uri):
            return {str(each.experiment_id): str(each.name) for each in self._client.search_experiments()}

    def within(self, experiment: str) -> Tracker:
        """Give the tracker of another experiment of this store, named by MLflow's id.

        Raises
        ------
        StoreError
            Where there is none of that id, or it was deleted.
        """
        names = self.experiments()
        if experiment not in names:
            raise StoreError(f"The experiment {experiment} was deleted in MLflow; restore it, or name other runs.")
        return Tracker(replace(self.tracking, experiment=names[experiment]))

    def get(self, run_id: str) -> RunRecord:
        """Give what is known of one run."""
        with told(self.tracking.resolved_uri):
            return _record(self._client.get_run(run_id))

    def fetch(self, run_id: str, path: str) -> Path:
        """Give a local file with an artifact of any run, as `fetch_artifact`."""
        with told(self.tracking.resolved_uri):
            uri = str(self._client.get_run(run_id).info.artifact_uri)
            return fetch_artifact(self.tracking, run_id, uri, path)

    def evaluations_of(self, sha256: str) -> list[RunRecord]:
        """Give the finished evaluation runs, of all experiments and newest first, of the model with this checksum."""
        everywhere = list(self.experiments())
        clause = f"tags.`{EVALUATED_TAG}` = '{sha256}' and attributes.status = 'FINISHED'"
        return [_record(run) for run in self._search(clause, "attributes.start_time DESC", everywhere)]

    def _search(self, clause: str, order: str, experiments: Sequence[str] = ()) -> Iterator[MlflowRun]:
        token: str | None = None
        while True:
            with told(self.tracking.resolved_uri):
                page = self._client.search_runs(
                    list(experiments) or [self.experiment_id],
                    clause,
                    max_results=_PAGE,
                    order_by=[order],
                    page_token=token,
                )
            yield from page
            token = page.token
            if not token:
                return

    def reconcile(self, parent_id: str, finished: Callable[[Mapping[str, str]], bool]) -> int:
        """Mend the runs that a stopped process left behind: `parent_id` and those nested under it.

        Those left RUNNING are ended. A nested run that says FINISHED though its work was never recorded as done (the
        process was stopped between the two) becomes KILLED, because that work will be done again.

        Call it when no worker of that parent is at work.

        Parameters
        ----------
        parent_id : str
            Run id.
        finished : callable
            Gets a run's tags and says whether its work was done: then it becomes FINISHED, otherwise KILLED.

        Returns
        -------
        int
            Number of runs mended.
        """
        mended = 0
        for run in [self.get(parent_id), *self.children(parent_id)]:
            done = finished(run.tags)
            unrecorded = run.status == "FINISHED" and run.id != parent_id and not done
            if run.status not in ENDINGS or unrecorded:
                with told(self.tracking.resolved_uri):
                    self._client.set_terminated(run.id, "FINISHED" if done else "KILLED")
                mended += 1
        return mended

    def settle(self, name: str, parent_id: str, tags: Mapping[str, object], status: str, error: str = "") -> str:
        """See to it that the work with these tags has one run, and that it is ended; call it when nobody writes there.

        A run that is not ended, or says FINISHED of work that was not, gets `status`. Where the worker was stopped
        before it could make a run, one is made, so that no attempt is missing.

        Parameters
        ----------
        name : str
            Of a run that has to be made.
        parent_id : str
            Its parent.
        tags : mapping
            What tells the work from all other.
        status : str
            ``FINISHED``, ``FAILED`` or ``KILLED``.
        error : str
            Kept with a run whose status is changed, where there is anything to say.

        Returns
        -------
        str
            The run's id.
        """
        found = self.find_run(tags)
        if found is None:
            with told(self.tracking.resolved_uri):
                made = self._client.create_run(self.experiment_id, run_name=name[:250], tags=_tags(tags, parent_id))
            found = str(made.info.run_id)
        with told(self.tracking.resolved_uri):
            now = str(self._client.get_run(found).info.status)
            if now not in ENDINGS or (now == "FINISHED" and status != now):
                if error:
                    self._client.set_tag(found, "error", cut(error, 1_000))
                self._client.set_terminated(found, status)
        return found

    def log_model(
        self,
        run: Run | str,
        model: keras.Model,
        *,
        class_names: Sequence[str],
        size: int,
        metadata: Mapping[str, object] | None = None,
    ) -> str:
        """Keep a trained model with its labels and checksums, linked to its run.

        Parameters
        ----------
        run : Run or str
            The run that made it, or its id.
        model : keras.Model
            float32 ``[batch, size, size, 3]`` to float32 ``[batch, classes]``. Its optimizer is not kept.
        class_names : sequence of str
            Label of each output.
        size : int
            Side of the input in pixels.
        metadata : mapping, optional
            Plain values that whoever loads the model needs.

        Returns
        -------
        str
            ``models:/m-…``, to be registered or resolved.
        """
        run_id = run if isinstance(run, str) else run.id
        return log_model(
            self.tracking, self._client, self.experiment_id, run_id, model, tuple(class_names), size, metadata or {}
        )


def _tags(tags: Mapping[str, object], parent: str | None) -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"  # A container's user may have no name.
    source = {
        "mlflow.user": user,
        "mlflow.source.name": Path(sys.argv[0]).name or "python",
        "mlflow.source.type": "LOCAL",
    }
    nested = {} if parent is None else {_PARENT: parent}
    return legal_tags({**source, **tags, **nested})


def _quotable(value: str) -> bool:
    """Whether MLflow's filter takes the value between quotes; the others are compared here."""
    return value.isprintable() and not set(value) & set("'\"`\\%") and len(value) < 500


def _record(run: MlflowRun) -> RunRecord:
    return RunRecord(
        id=str(run.info.run_id),
        experiment=str(run.info.experiment_id),
        name=str(run.info.run_name),
        status=str(run.info.status),
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )
