"""PostgreSQL by its address: which driver, and locks that hold between machines."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.masking import masked

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DRIVER = "postgresql+psycopg"
_POLL_SECONDS = 0.25
# The server lets go of a lock whose holder's machine is gone within about half a minute, and never for idleness.
_SESSION = (
    "SET idle_session_timeout = 0",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
)


class Busy(StoreError):
    """Another process holds a lock."""


def is_postgresql(uri: str | None) -> bool:
    """Whether an address is that of a PostgreSQL database."""
    return uri is not None and uri.startswith(("postgresql:", "postgresql+", "postgres:"))


def driven(setting: str, uri: str) -> str:
    """Give a PostgreSQL address with the driver that this package uses, where it names none.

    Parameters
    ----------
    setting : str
        The setting that holds it, for the error.
    uri : str
        ``postgresql://USER@HOST/DATABASE``.

    Raises
    ------
    SettingError
        Where the address cannot be read, or the driver is not installed.
    """
    from importlib.util import find_spec

    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, mark, rest = uri.partition("://")
    if scheme in {"postgres", "postgresql"}:
        uri = f"{_DRIVER}{mark}{rest}"
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        # Without the value: what could not be read may be a password.
        raise SettingError(
            setting, f"{scheme}://…", "it is no address", f"set {setting}=postgresql://USER@HOST/DATABASE"
        ) from error
    if url.drivername == _DRIVER and find_spec("psycopg") is None:
        raise SettingError(
            setting, masked(uri), "the driver psycopg is missing", "type pip install 'wellai-exp[postgres]'"
        )
    return uri


@contextmanager
def advisory_lock(setting: str, uri: str, name: str, seconds: float) -> Iterator[Connection]:
    """Hold a lock in a PostgreSQL database, so that one process at a time is in the block, on whatever machine.

    PostgreSQL lets go of it when the process ends, however it ends.

    Parameters
    ----------
    setting : str
        The setting that holds the address, for the error.
    uri : str
        The database's address, from :func:`driven`.
    name : str
        The lock's name.
    seconds : float
        How long to wait for it.

    Yields
    ------
    sqlalchemy.Connection
        The connection that holds it.

    Raises
    ------
    SettingError
        Where the database cannot be reached.
    Busy
        Where another process holds it all that time.
    """
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    engine = create_engine(uri, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 10})
    try:
        connection = engine.connect()
        for statement in _SESSION:
            connection.execute(text(statement))
    except SQLAlchemyError as error:
        raise SettingError(
            setting,
            masked(uri),
            f"the database cannot be reached ({reason(error)})",
            "see that the server runs and the database exists, or set it to null for the local store",
        ) from error
    with connection:
        until = time.monotonic() + seconds
        asked = text("SELECT pg_try_advisory_lock(:number)"), {"number": _number(name)}
        while not connection.execute(*asked).scalar():
            if time.monotonic() >= until:
                raise Busy(
                    f"{setting}={masked(uri)}: another process has held the lock {name!r} for {seconds:.0f} seconds; "
                    "wait for that process or end it, and type the same command."
                )
            time.sleep(_POLL_SECONDS)
        # Closing the connection lets go of the lock.
        yield connection


def _number(name: str) -> int:
    """Give the 64 bits by which PostgreSQL knows the lock."""
    return int.from_bytes(hashlib.sha256(f"wellai_exp {name}".encode()).digest()[:8], "big", signed=True)


def reason(error: BaseException) -> str:
    """Give the first line of what a database says, without SQLAlchemy's additions and without secrets."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:200]


def refuse_strangers(setting: str, uri: str, connection: Connection, own: str, foreign: str) -> None:
    """Refuse a database with the tables of the other kind: MLflow and Optuna would number one schema between them.

    Parameters
    ----------
    setting : str
        The setting that holds the address, for the error.
    uri : str
        The address.
    connection : sqlalchemy.Connection
        To it.
    own, foreign : str
        A table by which the own and the other schema are known.

    Raises
    ------
    SettingError
        Where the foreign table is there and the own is not.
    """
    from sqlalchemy import inspect

    tables = set(inspect(connection).get_table_names())
    if foreign in tables and own not in tables:
        raise SettingError(
            setting,
            masked(uri),
            f"the database holds other tables ({foreign}), and study and tracking cannot share one",
            "make another with createdb and name that, or a schema of its own with ?options=-csearch_path%3DNAME",
        )


def lost(setting: str, uri: str, error: BaseException) -> StoreError:
    """Tell that a database did not do what was asked."""
    return StoreError(
        f"{setting}={masked(uri)}: the database did not do what was asked ({reason(error)}); "
        "see that it runs and has room, and type the same command."
    )
