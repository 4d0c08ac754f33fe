"""The study on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wellai_exp.errors import StoreError
from wellai_exp.search._goals import Direction

if TYPE_CHECKING:
    import optuna


def open_study(store: Path, name: str, directions: Sequence[Direction]) -> optuna.Study:
    """Open or create a study in ``study.db``.

    Parameters
    ----------
    store : Path
        The folder, which has a folder ``locks``.
    name : str
        The study's name.
    directions : sequence of str
        One an objective, for a study that does not exist yet.

    Raises
    ------
    StoreError
        Where the file is damaged or out of reach.
    """
    import optuna
    from filelock import FileLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = (store / "study.db").resolve()
    with FileLock(store / "locks" / "study.db.lock"):
        # Optuna's first migration does not bear a second process beside it.
        try:
            with closing(sqlite3.connect(path)) as connection:
                # Kept in the file; a commit then waits for one write instead of two.
                connection.execute("PRAGMA journal_mode=WAL")
            storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        except Exception as error:  # SQLAlchemy, sqlite3 and Optuna each raise their own
            raise StoreError(
                f"paths.store={store}: study.db cannot be opened ({error.__class__.__name__}); "
                "move it away to begin anew, or set paths.store to another folder."
            ) from error
        return optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)


def identity(store: Path) -> tuple[int, int]:
    """Tell the file ``study.db`` from any other that may come to lie in its place.

    Raises
    ------
    StoreError
        Where it is gone.
    """
    try:
        status = (store / "study.db").stat()
    except OSError as error:
        raise StoreError(
            f"paths.store={store}: study.db is gone ({error.strerror}); bring the disk back and type the same command."
        ) from error
    return status.st_dev, status.st_ino


@contextmanager
def told(store: Path) -> Iterator[None]:
    """Turn what Optuna's database raises inside the block into a StoreError.

    Raises
    ------
    StoreError
        Where the disk is full, or the file is read-only or gone.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise StoreError(
            f"paths.store={store}: study.db cannot be read or written ({(str(cause).splitlines() or ['?'])[0]}); "
            "free the disk or the folder and type the same command."
        ) from error
