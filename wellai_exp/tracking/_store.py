"""Where MLflow keeps runs and models."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wellai_exp import milestones
from wellai_exp.databases import advisory_lock, driven, is_postgresql, refuse_strangers
from wellai_exp.errors import SettingError, StoreError
from wellai_exp.masking import masked
from wellai_exp.paths import ensure_dir, write_whole
from wellai_exp.tracking._environment import quiet_mlflow
from wellai_exp.tracking._failures import short, told
from wellai_exp.tracking._names import alias_name, model_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SCHEMES = ("sqlite:///", "postgresql", "postgres:", "mysql", "mssql", "http://", "https://")
_USE_NULL = "set tracking.uri=null for the local store, or to sqlite:///FILE or http://HOST:PORT"
_LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Tracking:
    """MLflow's store, the experiment in it, and the name under which its models are registered.

    Parameters
    ----------
    store : Path
        The folder of the local database and of the artifacts; made absolute.
    experiment : str
        MLflow experiment, 1 to 500 characters.
    uri : str or None
        ``sqlite:///FILE``, ``postgresql://USER@HOST/DATABASE``, another database that MLflow knows, or
        ``http(s)://HOST:PORT``;
        None means ``sqlite:///<store>/mlflow.db``.
    registered_name : str or None
        Registered model; None means the experiment's name.
    alias : str
        Alias that a newly registered version gets.

    Raises
    ------
    SettingError
        Where MLflow could not use a value.
    """

    store: Path
    experiment: str
    uri: str | None = None
    registered_name: str | None = None
    alias: str = "challenger"

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", Path(self.store).expanduser().absolute())
        if not self.experiment.strip() or len(self.experiment) > 500:
            raise SettingError(
                "tracking.experiment",
                repr(self.experiment[:40]),
                "an experiment's name has 1 to 500 characters",
                "set tracking.experiment=my_experiment",
            )
        object.__setattr__(self, "registered_name", model_name(self.registered_name or self.experiment))
        alias_name(self.alias)
        if self.uri is None and set(str(self.store)) & set("?%"):
            raise SettingError(
                "paths.store", self.store, "a database address cannot hold ? or %", "set paths.store=mlruns"
            )
        if self.uri is not None:
            self._check_uri(self.uri)

    @staticmethod
    def _check_uri(uri: str) -> None:
        if uri.startswith("file:") or "://" not in uri:
            raise SettingError(
                "tracking.uri",
                masked(uri),
                "MLflow keeps runs in a database, no longer in a folder of files",
                _USE_NULL,
            )
        if not uri.startswith(_SCHEMES) or uri == "sqlite:///" or ":memory:" in uri:
            raise SettingError("tracking.uri", masked(uri), "this is no store that can be used here", _USE_NULL)

    @property
    def resolved_uri(self) -> str:
        """The tracking and registry URI, absolute."""
        if self.uri is None:
            return f"sqlite:///{self.store / 'mlflow.db'}"
        if self.database is not None:
            query = self.uri.partition("?")[2]
            return f"sqlite:///{self.database}" + (f"?{query}" if query else "")
        if is_postgresql(self.uri):
            return driven("tracking.uri", self.uri)
        return self.uri.rstrip("/") if self.is_server else self.uri

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for another database or a server."""
        if self.uri is None:
            return self.store / "mlflow.db"
        if not self.uri.startswith("sqlite:///"):
            return None
        return Path(self.uri.removeprefix("sqlite:///").partition("?")[0]).absolute()

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server."""
        return self.uri is not None and self.uri.startswith("http")

    @property
    def artifact_root(self) -> str | None:
        """Absolute file URI below which artifacts lie; None where a server decides."""
        return None if self.is_server else (self.store / "artifacts").as_uri()

    @property
    def artifact_location(self) -> str | None:
        """Absolute file URI of this experiment's artifacts; None where a server decides."""
        if self.artifact_root is None:
            return None
        folder = re.sub(r"[^A-Za-z0-9._-]", "_", self.experiment)[:80]
        if folder != self.experiment or not folder.strip("."):
            folder += "-" + hashlib.sha256(self.experiment.encode()).hexdigest()[:8]
        return f"{self.artifact_root}/{folder}"

    def client(self) -> MlflowClient:
        """Give an MLflow client bound to this store, whatever MLflow's global state says."""
        quiet_mlflow()
        import mlflow

        return mlflow.MlflowClient(tracking_uri=self.resolved_uri, registry_uri=self.resolved_uri)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold ``<store>/mlflow.lock``; one process at a time.

        Raises
        ------
        StoreError
            Where another process has held it for two minutes.
        """
        from filelock import FileLock, Timeout

        path = self.store / "mlflow.lock"
        try:
            ensure_dir(self.store, "paths.store")
            # One lock a process, so that whoever holds it may ask for it again: the first use prepares the store.
            with FileLock(path, timeout=_LOCK_SECONDS, is_singleton=True):
                milestones.passed(milestones.LOCK_HELD)
                yield
        except Timeout as error:
            raise StoreError(
                f"{path} has been locked by another process for {_LOCK_SECONDS:.0f} seconds; "
                "wait for that process or end it, and type the same command."
            ) from error

    def prepare(self) -> str:
        """Create or migrate the store and make the experiment, once, whichever process comes first.

        Returns
        -------
        str
            MLflow's id of the experiment.

        Raises
        ------
        SettingError
            Where ``tracking.uri`` cannot be used.
        StoreError
            Where a server does not answer.
        """
        quiet_mlflow()
        if self.is_server:
            self._knock()
        try:
            with self.lock():
                if not self.is_server:
                    self._open_database()
                with told(self.resolved_uri):
                    return self._experiment_id()
        except StoreError as error:
            if self.is_server or not str(error).startswith("paths.store"):
                raise
            raise self._unusable(short(error)) from error

    def _unusable(self, problem: str) -> SettingError:
        return SettingError("tracking.uri", masked(self.resolved_uri), problem, _USE_NULL)

    def _knock(self) -> None:
        try:
            # urllib takes a user's name for a part of the host's; whether somebody is in needs no password.
            server = urlsplit(self.resolved_uri)
            bare = server._replace(netloc=server.netloc.rpartition("@")[2]).geturl()
            with urllib.request.urlopen(f"{bare}/health", timeout=5):  # noqa: S310 - http(s) by _check_uri
                pass
        except urllib.error.HTTPError:
            return  # Something answers; whether it is MLflow is seen at the first call.
        except (OSError, ValueError) as error:
            raise StoreError(
                f"tracking.uri={masked(self.resolved_uri)}: no server answers there ({short(error)}); "
                "start it, or set tracking.uri=null for the local store."
            ) from error

    def _open_database(self) -> None:
        from alembic.util.exc import CommandError
        from mlflow.exceptions import MlflowException
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self.database is not None:
                ensure_dir(self.database.parent, "tracking.uri")
                _build_or_migrate(self.database, self.resolved_uri)
                _write_ahead(self.database)
            # Made here with our root: a client's own would put the experiment "Default" into ./mlruns.
            with self._schema_lock():
                SqlAlchemyStore(self.resolved_uri, self.artifact_root)  # type: ignore[no-untyped-call]
        except CommandError as error:
            raise self._unusable("another release of MLflow wrote this database, and it cannot be migrated") from error
        except (MlflowException, SQLAlchemyError, sqlite3.Error, ImportError, StoreError) as error:
            raise self._unusable(f"the database cannot be opened ({short(error)})") from error

    @contextmanager
    def _schema_lock(self) -> Iterator[None]:
        """Keep the processes of other machines, which share no file with this one, out of a PostgreSQL database."""
        if not is_postgresql(self.uri):
            yield
            return
        uri = self.resolved_uri
        with advisory_lock("tracking.uri", uri, "mlflow", _LOCK_SECONDS) as connection:
            refuse_strangers("tracking.uri", uri, connection, own="experiments", foreign="studies")
            yield

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        client = self.client()
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            # Without this kind MLflow opens the experiment in its pages for language models.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            try:
                return str(client.create_experiment(self.experiment, self.artifact_location, kind))
            except MlflowException:
                # Another machine, which shares no lock with this one, may have been quicker.
                found = client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise SettingError(
                "tracking.experiment",
                self.experiment,
                "the experiment was deleted in MLflow",
                f"restore it with `mlflow experiments restore -x {found.experiment_id}`, or choose another name",
            )
        return str(found.experiment_id)


def _build_or_migrate(path: Path, uri: str) -> None:
    from mlflow.store.db import utils

    revision = _revision(path)
    if revision is None:
        # Built beside and renamed: a process killed during the migrations must not leave half a database.
        with write_whole(path) as beside:
            beside.unlink(missing_ok=True)
            engine = utils.create_sqlalchemy_engine(f"sqlite:///{beside}")  # type: ignore[no-untyped-call]
            try:
                utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
            finally:
                engine.dispose()
    elif revision != utils._get_latest_schema_revision():  # type: ignore[no-untyped-call]
        backup = path.with_name(f"{path.name}.{revision}.bak")
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(backup)) as copy:
            old.backup(copy)
        engine = utils.create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
        try:
            utils._upgrade_db(engine)  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()


def _write_ahead(path: Path) -> None:
    """Have readers and a writer not wait for each other, and a commit wait for one write; the file remembers it."""
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        # Somebody else's open page, such as MLflow's own, puts it off until the next start.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")


def _revision(path: Path) -> str | None:
    """Give the schema's revision of an MLflow database; None where the file is missing or empty."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        if not {"experiments", "alembic_version"} <= tables:
            raise StoreError(f"{path.name} holds the tables of another program")
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return "unfinished" if row is None else str(row[0])
