"""Runs: made, found, continued and mended."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wellai_exp import stopping
from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.ledger import spent
from wellai_exp.masking import masked
from wellai_exp.tracking._artifacts import fetch_artifact
from wellai_exp.tracking._courier import courier_of
from wellai_exp.tracking._entries import PARENT_TAG, Writer, now
from wellai_exp.tracking._failures import told
from wellai_exp.tracking._models import save_model
from wellai_exp.tracking._names import cut, legal_tags
from wellai_exp.tracking._outbox import Outbox
from wellai_exp.tracking._posted import Direct, Mail, Posted
from wellai_exp.tracking._record import Ending, RunRecord, record_of
from wellai_exp.tracking._run import ENDINGS, Run

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from wellai_exp.tracking._store import Tracking

EVALUATED_TAG = "wellai.model_sha256"  # Of the model that an evaluation run evaluated.
_PAGE = 1_000
_ERROR = "error"
_T = TypeVar("_T")
_Ask = Callable[[Callable[[], Any]], Any]


class Tracker:
    """The runs of one experiment.

    Parameters
    ----------
    tracking : Tracking
        The store; it is prepared at the first use. A tracker may be pickled: the copy connects by itself.
    """

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking

    def __reduce__(self) -> tuple[Any, ...]:
        # A server that was prepared need not be there when a worker starts.
        known = {"experiment_id": self.experiment_id} if self.tracking.is_server else {}
        return Tracker, (self.tracking,), known

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
        run, mail = self._start(name, parent, tags or {}, resume)
        try:
            with stopping.heeded():
                yield run
        except BaseException as error:
            # The first exception is the one to be seen, whatever else goes wrong while the run is ended.
            with suppress(WellaiError):
                if not run.ended:
                    run.set_tags({_ERROR: cut(f"{type(error).__name__}: {error}", 1_000)})
                    run.finish("FAILED" if isinstance(error, Exception) else "KILLED")
                mail.close()
            raise
        if not run.ended:
            run.finish("FINISHED")
        mail.close()

    @spent("log")
    def _start(self, name: str, parent: str | None, tags: Mapping[str, object], resume: str | None) -> tuple[Run, Mail]:
        experiment, labels = self.experiment_id, _tags(tags, parent)
        found = None if resume is None else self._resumable(resume)
        mail = self._mail()
        run = Run(self.tracking, mail)
        try:
            with told(self.tracking.resolved_uri):
                if found is None:
                    facts = {"experiment": experiment, "name": masked(name)[:250], "tags": labels}
                    mail.write("create", {**facts, "start": now(), "key": mail.key})
                else:
                    mail.know(found)
                    mail.write("resume", {"run": found.id})
                    run.set_tags(labels)
        except BaseException:
            with suppress(WellaiError):
                if mail.begun:
                    run.finish("KILLED")
                mail.close()
            raise
        return run, mail

    def _mail(self) -> Mail:
        if not self.tracking.is_server:
            return Direct(Writer(self.tracking, self._client))
        courier = courier_of(self.tracking)
        return Posted(courier, Outbox.make(courier.root, masked(self.tracking.resolved_uri)))

    def _resumable(self, run_id: str) -> RunRecord:
        found = self._ask(lambda: self._client.get_run(run_id))
        if found.info.experiment_id != self.experiment_id or found.info.lifecycle_stage != "active":
            raise StoreError(
                f"The run {run_id} cannot be continued: it was deleted, or it is not of the experiment "
                f"{self.tracking.experiment}; start a new one."
            )
        return record_of(found)

    def _ask(self, work: Callable[[], _T]) -> _T:
        """Read from the store; from a server that is away, only an error, and soon."""
        with told(self.tracking.resolved_uri):
            return courier_of(self.tracking).ask(work) if self.tracking.is_server else work()

    def find_run(self, tags: Mapping[str, object], status: str | None = None) -> str | None:
        """Give the id of the newest run of this experiment that has all these tags, and this status if one is named."""
        found = self._find(tags, status)
        return None if found is None else str(found.info.run_id)

    def _find(self, tags: Mapping[str, object], status: str | None = None, ask: _Ask | None = None) -> MlflowRun | None:
        wanted = legal_tags(tags)
        clauses = [f"tags.`{key}` = '{value}'" for key, value in wanted.items() if _quotable(value)]
        if status is not None:
            clauses.append(f"attributes.status = '{status}'")
        for run in self._search(" and ".join(clauses), "attributes.start_time DESC", ask=ask):
            if all(run.data.tags.get(key) == value for key, value in wanted.items()):
                return run
        return None

    def children(self, parent_id: str) -> list[RunRecord]:
        """Give the runs nested under `parent_id`, oldest first, however many there are."""
        return [record_of(run) for run in self._search(*_nested(parent_id))]

    def experiments(self) -> dict[str, str]:
        """Give the names of all experiments that were not deleted, by MLflow's ids."""
        found = self._ask(self._client.search_experiments)
        return {str(each.experiment_id): str(each.name) for each in found}

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
        """Give what is known of one run; of one that is being written, what was written where the server is away."""
        try:
            return self._ask(lambda: record_of(self._client.get_run(run_id)))
        except StoreError:
            mail = courier_of(self.tracking).mail_of(run_id) if self.tracking.is_server else None
            if mail is None:
                raise
            return mail.record()

    def fetch(self, run_id: str, path: str) -> Path:
        """Give a local file with an artifact of any run, as `fetch_artifact`."""
        with told(self.tracking.resolved_uri):
            uri = str(self._client.get_run(run_id).info.artifact_uri)
            return fetch_artifact(self.tracking, run_id, uri, path)

    def evaluations_of(self, sha256: str) -> list[RunRecord]:
        """Give the finished evaluation runs, of all experiments and newest first, of the model with this checksum."""
        everywhere = list(self.experiments())
        clause = f"tags.`{EVALUATED_TAG}` = '{sha256}' and attributes.status = 'FINISHED'"
        return [record_of(run) for run in self._search(clause, "attributes.start_time DESC", everywhere)]

    def _search(
        self, clause: str, order: str, experiments: Sequence[str] = (), ask: _Ask | None = None
    ) -> Iterator[MlflowRun]:
        token: str | None = None
        while True:
            asked = list(experiments) or [self.experiment_id]
            find = partial(
                self._client.search_runs, asked, clause, max_results=_PAGE, order_by=[order], page_token=token
            )
            page = (ask or self._ask)(find)
            yield from page
            token = page.token
            if not token:
                return

    def reconcile(
        self,
        parent_id: str,
        finished: Callable[[Mapping[str, str]], bool | None],
        missing: Callable[[list[Mapping[str, str]]], Iterable[Ending]] = lambda nested: (),
    ) -> int:
        """Mend the runs that a stopped process left behind: `parent_id` and those nested under it.

        Those left RUNNING are ended. A nested run that says FINISHED though its work was never recorded as done (the
        process was stopped between the two) becomes KILLED, because that work will be done again; one that does not
        say so though its work was recorded (it was told to stop in between) becomes FINISHED.

        Call it when no worker of that parent is at work.

        Parameters
        ----------
        parent_id : str
            Run id.
        finished : callable
            Gets a run's tags and says whether its work was done: then it becomes FINISHED, otherwise KILLED. None
            where it cannot tell: the run stays as it is.
        missing : callable
            Gets the tags of all nested runs and gives the endings of work that has none, which are settled.

        Returns
        -------
        int
            Number of runs mended; 0 where a server is away, and they are mended once it is back.
        """
        before = now()
        return self._mending(parent_id, lambda parent: self._mend(parent, finished, missing, before)) or 0

    def _mending(self, parent_id: str, work: Callable[[str], _T]) -> _T | None:
        """Mend something under a parent: now, or once its server is back; then there is no result yet."""
        with told(self.tracking.resolved_uri):
            if not self.tracking.is_server:
                return work(parent_id)
            courier = courier_of(self.tracking)

            def mend(_again: bool) -> _T:
                courier.adopt()  # What a process that died had still to say of its runs.
                return work(courier.real(parent_id))

            return courier.do(mend)

    def _mend(
        self,
        parent_id: str,
        finished: Callable[[Mapping[str, str]], bool | None],
        missing: Callable[[list[Mapping[str, str]]], Iterable[Ending]],
        before: int,
    ) -> int:
        client, mended = self._client, 0
        nested = list(self._search(*_nested(parent_id), ask=_directly))
        for run in (run for run in (client.get_run(parent_id), *nested) if run.info.start_time <= before):
            done = finished(run.data.tags)
            own_end = run.info.run_id == parent_id and run.info.status in ENDINGS
            if done is not None and not own_end:
                mended += self._agree(run, "FINISHED" if done else "KILLED")
        for ending in missing([run.data.tags for run in nested]):
            self._settle(parent_id, ending)
        return mended

    def settle(self, parent_id: str, ending: Ending) -> str | None:
        """See to it that work which has ended has one run, and that it is ended; call it when nobody writes there.

        A run that is not ended, or says FINISHED of work that was not, gets the ending's status. Where the worker was
        stopped before it could make a run, one is made, so that no attempt is missing.

        Parameters
        ----------
        parent_id : str
            Its parent.
        ending : Ending
            How it ended.

        Returns
        -------
        str or None
            The run's id; None where a server is away, and it is seen to once that is back.
        """
        return self._mending(parent_id, lambda parent: self._settle(parent, ending))

    def _settle(self, parent_id: str, ending: Ending) -> str:
        client, run = self._client, self._find(ending.tags, ask=_directly)
        if run is None:
            labels = _tags(ending.tags, parent_id)
            run = client.create_run(self.experiment_id, run_name=masked(ending.name)[:250], tags=labels)
        self._agree(run, ending.status, ending.error)
        return str(run.info.run_id)

    def _agree(self, run: Any, status: str, error: str = "") -> bool:
        """End a run so where it is not ended, or where it and the status differ in whether its work was done."""
        client, found = self._client, run.info.run_id
        if run.info.status in ENDINGS and (run.info.status == "FINISHED") == (status == "FINISHED"):
            return False
        if error:
            client.set_tag(found, _ERROR, cut(masked(error), 1_000))
        elif status == "FINISHED" and _ERROR in run.data.tags:
            client.delete_tag(found, _ERROR)
        client.set_terminated(found, status, run.info.end_time)
        return True

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
        if isinstance(run, str):
            mail = Direct(Writer(self.tracking, self._client))
            mail.given = {"run": run, "experiment": self.experiment_id}
            run = Run(self.tracking, mail)
        names, facts = tuple(class_names), metadata or {}
        return "models:/" + run.add_model(lambda folder: save_model(folder, model, names, size, facts))


def _directly(find: Callable[[], Any]) -> Any:
    """Ask the store at once: for what the courier itself does."""
    return find()


def _nested(parent_id: str) -> tuple[str, str]:
    return f"tags.`{PARENT_TAG}` = '{parent_id}'", "attributes.start_time ASC"


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
    nested = {} if parent is None else {PARENT_TAG: parent}
    return legal_tags({**source, **tags, **nested})


def _quotable(value: str) -> bool:
    """Whether MLflow's filter takes the value between quotes; the others are compared here."""
    return value.isprintable() and not set(value) & set("'\"`\\%") and len(value) < 500
