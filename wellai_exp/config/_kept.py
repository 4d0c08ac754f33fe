"""What a command was given, kept beside its log, without secrets."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from wellai_exp.masking import masked, remember
from wellai_exp.paths import write_whole


def config_text(cfg: DictConfig) -> str:
    """Give a composed config as YAML, to be kept."""
    return masked(OmegaConf.to_yaml(cfg, resolve=True))


def keep_config(cfg: DictConfig) -> None:
    """Learn the command's secrets, and keep its config and overrides in its own folder.

    Raises
    ------
    StoreError
        Where they cannot be written.
    """
    remember(OmegaConf.to_container(cfg, resolve=False))
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    # As they were typed: an interpolation that cannot be resolved is a matter for the verb.
    kept = {"config.yaml": OmegaConf.to_yaml(cfg), "overrides.yaml": OmegaConf.to_yaml(hydra.overrides.task)}
    for name, text in kept.items():
        _write(folder / name, text)
    if hydra.mode == RunMode.MULTIRUN:
        # Hydra has written it already.
        whole = Path(hydra.sweep.dir) / "multirun.yaml"
        if whole.is_file():
            _write(whole, whole.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    with write_whole(path) as beside:
        beside.write_text(masked(text), encoding="utf-8")
