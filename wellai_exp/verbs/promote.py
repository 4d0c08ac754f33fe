"""Make a registered version the champion."""

from __future__ import annotations

import getpass

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.tracking import Registry
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._workbench import open_tracker


def run(cfg: DictConfig) -> None:
    """Move the alias and record who, when, from which version and why."""
    registry = Registry(open_tracker(cfg).tracking)
    done = registry.promote(
        str(cfg.model),
        None if cfg.version is None else whole_number("version", cfg.version, "type --version 1"),
        who=getpass.getuser(),
        reason=str(cfg.reason or "no reason given"),
        alias=str(cfg.alias),
    )
    console = Console()
    console.print(f"{done.name} version {done.version} is now {done.alias} (before: {done.previous or 'none'})")
    console.print(f"undo it with [bold]wellai-exp rollback {done.name}[/bold]")
