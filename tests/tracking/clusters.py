"""A PostgreSQL server of the tests' own, where the machine has the programs for one."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

# It has what an address must escape, and nothing else says it: it is looked for wherever something is printed or kept.
PASSWORD = "c@nary/secret:0"
_USER = "wellai"


class Cluster:
    """A running server."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self.programs = programs
        self.folder = folder
        self.port = port
        self._numbers = itertools.count()

    def new_database(self) -> str:
        """Make an empty database and give its address."""
        name = f"d{next(self._numbers)}"
        self.say(f"CREATE DATABASE {name}")
        return self.address(name)

    def address(self, name: str, password: str = PASSWORD) -> str:
        """Give a database's address."""
        return f"postgresql://{_USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{name}"

    def say(self, statement: str) -> None:
        """Say something to the server."""
        from sqlalchemy import create_engine, text

        uri = self.address("postgres").replace("postgresql:", "postgresql+psycopg:", 1)
        engine = create_engine(uri, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def drop(self, uri: str) -> None:
        """Take a database away from whoever uses it."""
        self.say(f"DROP DATABASE {uri.rpartition('/')[2]} WITH (FORCE)")


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else found[-1].parent if found else None


def _as_somebody(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """Run a private server; skip where the machine cannot."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    if os.geteuid() == 0 and not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres on this machine")
    folder = Path(tempfile.mkdtemp(prefix="wellai-postgres-"))
    (folder / "password").write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    data = folder / "data"
    made = [str(programs / "initdb"), "-D", str(data), "-U", _USER, "-A", "scram-sha-256", "--no-sync"]
    _do([*made, "--pwfile", str(folder / "password")])
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", "120"]
    _do([*control, "-l", str(folder / "log"), "-o", settings, "start"])
    try:
        yield Cluster(programs, folder, port)
    finally:
        _do([*control, "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def _do(command: list[str]) -> None:
    # Into a file rather than a pipe, which the server would inherit and keep open.
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(_as_somebody(command), check=False, stdout=said, stderr=said, cwd="/").returncode
        said.seek(0)
        assert status == 0, said.read().decode()


@pytest.fixture
def database(postgres: Cluster) -> Callable[[], str]:
    """Make empty databases."""
    return postgres.new_database
