"""The command that serves MLflow's pages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wellai_exp.errors import SettingError

if TYPE_CHECKING:
    from wellai_exp.tracking._store import Tracking


def server_command(
    tracking: Tracking, host: str = "127.0.0.1", port: int = 5000, allowed_hosts: Sequence[str] = ()
) -> list[str]:
    """Give the command of an MLflow server; run it with :func:`server_environment`, which names the store.

    Left alone, the server takes any private address as its own name, so a page elsewhere could reach it by DNS
    rebinding: only `host` and ``localhost`` with this port are allowed, and what is named in `allowed_hosts`.

    Parameters
    ----------
    tracking : Tracking
        A local or a database store, prepared.
    host : str
        Interface to listen on.
    port : int
        1 to 65535.
    allowed_hosts : sequence of str
        More values of the Host header, e.g. ``poses.example.org:5000``.

    Returns
    -------
    list of str
        Program and arguments.

    Raises
    ------
    SettingError
        Where there is nothing to serve, or nobody could reach the server.
    """
    if tracking.is_server or tracking.artifact_root is None:
        raise SettingError(
            "tracking.uri", tracking.resolved_uri, "this is a server already", "open that address in a browser"
        )
    if not 1 <= port <= 65_535:
        raise SettingError("port", port, "a port lies between 1 and 65535", "set port=5000")
    if host in {"0.0.0.0", "::"} and not allowed_hosts:  # noqa: S104 - refused here
        raise SettingError(
            "host", host, "a server on every interface must be told its own names", "name them in allowed_hosts"
        )
    named = f"[{host}]" if ":" in host else host
    hosts = dict.fromkeys([f"{named}:{port}", f"localhost:{port}", *allowed_hosts])
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        # Clients that reach the store through this server upload here; runs of the local store are read where they lie.
        "--artifacts-destination",
        tracking.artifact_root,
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
        "--allowed-hosts",
        ",".join(hosts),
    ]
