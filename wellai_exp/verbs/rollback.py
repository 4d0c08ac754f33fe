"""Give the champion's place back to the version before it."""

from __future__ import annotations

import getpass

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.tracking import Registry
from wellai_exp.verbs._workbench import open_tracker


def run(cfg: DictConfig) -> None:
    """Undo the latest promotion that still stands."""
    registry = Registry(open_tracker(cfg).tracking)
    done = registry.rollback(
        str(cfg.model), who=getpass.getuser(), reason=str(cfg.reason or "no reason given"), alias=str(cfg.alias)
    )
    now = f"{done.name}: {done.alias} is version {done.version or 'none'} again (before: {done.previous})"
    Console().print(now, markup=False)
