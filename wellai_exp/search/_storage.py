"""Where a study is kept: in a file of the store, or in a PostgreSQL database that machines share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellai_exp.databases import Busy, advisory_lock, driven, is_postgresql, lost, refuse_strangers
from wellai_exp.errors import SettingError, StoreError
from wellai_exp.search._goals import Direction

if TYPE_CHECKING:
    import optuna

SETTING = "search.storage"
_SCHEMA_SECONDS = 120.0
_BUSY_SECONDS = 1.0


def checked_storage(storage: str | None) -> str | None:
    """Check where a study is to be kept.

    Parameters
    ----------
    storage : str or None
        ``postgresql://USER@HOST/DATABASE``; None for ``study.db`` in the store.

    Raises
    ------
    SettingError
        Where it is neither.
    """
    if storage is None:
        return None
    if not is_postgresql(storage):
        scheme = storage.partition("://")[0] if "://" in storage else "…"
        raise SettingError(
            SETTING,
            f"{scheme}://…",
            "a study is kept in PostgreSQL or in the store",
            f"set {SETTING}=postgresql://USER@HOST/DATABASE, or to null",
        )
    return driven(SETTING, storage)


@contextmanager
def held(store: Path, storage: str | None, name: str) -> Iterator[None]:
    """Hold a study, so that one process at a time runs its sweep: on this machine, or on all that share a database.

    Parameters
    ----------
    store : Path
        The folder, made where it is missing.
    storage : str or None
        The database; None for ``study.db`` in the store.
    name : str
        The study's name.

    Raises
    ------
    StoreError
        Where another process holds it.
    """
    from filelock import FileLock, Timeout

    locks = store / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            if storage is None:
                stack.enter_context(FileLock(locks / f"study-{name}.lock", timeout=_BUSY_SECONDS))
            else:
                stack.enter_context(advisory_lock(SETTING, storage, f"study {name}", _BUSY_SECONDS))
        except (Timeout, Busy):
            raise StoreError(
                f"search.study={name}: another process is running this sweep; "
                "wait for it, or set search.study to a new name."
            ) from None
        with _told(store, storage):
            yield


@contextmanager
def _told(store: Path, storage: str | None) -> Iterator[None]:
    """Turn what Optuna's database raises inside the block into a StoreError.

    A trial that it cost is taken up by the same command.

    Raises
    ------
    StoreError
        Where the database is lost, the disk is full, or the file is read-only or gone.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if storage is not None:
            raise lost(SETTING, storage, cause) from error
        raise StoreError(
            f"paths.store={store}: study.db cannot be read or written ({(str(cause).splitlines() or ['?'])[0]}); "
            "free the disk or the folder and type the same command."
        ) from error


def open_study(store: Path, storage: str | None, name: str, directions: Sequence[Direction]) -> optuna.Study:
    """Open or create a study.

    Parameters
    ----------
    store : Path
        The folder, which has a folder ``locks``.
    storage : str or None
        The database; None for ``study.db`` in the store.
    name : str
        The study's name.
    directions : sequence of str
        One an objective, for a study that does not exist yet.

    Raises
    ------
    StoreError
        Where the file is damaged, or the file or the database is out of reach.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _storage(store, storage) as opened:
        return optuna.create_study(storage=opened, study_name=name, directions=directions, load_if_exists=True)


@contextmanager
def _storage(store: Path, storage: str | None) -> Iterator[optuna.storages.RDBStorage]:
    """Open the storage while no other process does: Optuna's first migration does not bear one beside it."""
    from filelock import FileLock

    if storage is not None:
        with advisory_lock(SETTING, storage, "schema", _SCHEMA_SECONDS) as connection:
            refuse_strangers(SETTING, storage, connection, own="studies", foreign="experiments")
            try:
                opened = _rdb(storage, {"pool_pre_ping": True})
            except Exception as error:  # SQLAlchemy and Optuna each raise their own
                raise lost(SETTING, storage, error) from error
            yield opened
        return
    path = (store / "study.db").resolve()
    with FileLock(store / "locks" / "study.db.lock"):
        try:
            with closing(sqlite3.connect(path)) as connection:
                # Kept in the file; a commit then waits for one write instead of two.
                connection.execute("PRAGMA journal_mode=WAL")
            opened = _rdb(f"sqlite:///{path}", {"connect_args": {"timeout": 60}})
        except Exception as error:  # SQLAlchemy, sqlite3 and Optuna each raise their own
            raise StoreError(
                f"paths.store={store}: study.db cannot be opened ({error.__class__.__name__}); "
                "move it away to begin anew, or set paths.store to another folder."
            ) from error
        yield opened


def _rdb(uri: str, settings: dict[str, Any]) -> optuna.storages.RDBStorage:
    import optuna

    return optuna.storages.RDBStorage(uri, engine_kwargs=settings)


def identity(store: Path, storage: str | None) -> tuple[int, int] | None:
    """Tell the file ``study.db`` from any other that may come to lie in its place.

    None of a database: nobody takes one away from under an open connection, which would say that it is lost.

    Raises
    ------
    StoreError
        Where the file is gone.
    """
    if storage is not None:
        return None
    try:
        status = (store / "study.db").stat()
    except OSError as error:
        raise StoreError(
            f"paths.store={store}: study.db is gone ({error.strerror}); bring the disk back and type the same command."
        ) from error
    return status.st_dev, status.st_ino
