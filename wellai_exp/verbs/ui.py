"""Open MLflow's pages on this machine over the right store."""

from __future__ import annotations

import subprocess

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.errors import WellaiError
from wellai_exp.tracking import server_command, server_environment
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._workbench import open_tracker


def run(cfg: DictConfig) -> None:
    """Serve until Ctrl-C."""
    port = whole_number("port", cfg.port, "type --port 5000")
    tracking = open_tracker(cfg).tracking
    command = server_command(tracking, host=str(cfg.host), port=port)
    Console().print(f"MLflow on [bold]http://{cfg.host}:{cfg.port}[/bold]; Ctrl-C ends it")
    status = subprocess.run(command, check=False, env=server_environment(tracking)).returncode  # noqa: S603
    if status not in (0, 130, 143, -2, -15):
        raise WellaiError(f"port={cfg.port}: MLflow's server ended with status {status}; type --port 5001 for another.")
