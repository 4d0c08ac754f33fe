"""The one door through which configuration becomes objects."""

from __future__ import annotations

import re
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from wellai_exp.errors import SettingError, WellaiError

# One name below a listed module and no deeper: `wellai_exp.paths.os.system` is below wellai_exp as well.
_ALLOWED = re.compile(
    r"wellai_exp\.(data|models|imbalance|augmentation|training|collecting|cleaning|search|compute|export|promotion|tracking)"
    r"\.[A-Z]\w*"
    r"|optuna\.samplers\.[A-Z]\w*Sampler"
    r"|optuna\.pruners\.[A-Z]\w*Pruner"
)
SPACE_KEY = "_space_"


def check_target(where: str, target: object) -> None:
    """Refuse a target that is not on the list.

    Raises
    ------
    SettingError
        Where it is not.
    """
    if not isinstance(target, str) or not _ALLOWED.fullmatch(target):
        raise SettingError(
            f"{where}._target_",
            target,
            "only classes of wellai_exp and Optuna's samplers and pruners may be named here",
            "choose one of the shipped options as a pattern",
        )


def _clean(node: Any, where: str) -> Any:
    """Give plain containers without spaces, and refuse every target that is not on the list."""
    if isinstance(node, dict):
        if "_target_" in node:
            check_target(where, node["_target_"])
        return {key: _clean(value, f"{where}.{key}") for key, value in node.items() if key != SPACE_KEY}
    if isinstance(node, list):
        return [_clean(value, f"{where}.{index}") for index, value in enumerate(node)]
    return node


def build(cfg: DictConfig, key: str, **extra: Any) -> Any:
    """Make the object that the node `key` of the config describes.

    Parameters
    ----------
    cfg : DictConfig
        The composed config.
    key : str
        A config group, e.g. ``imbalance``.
    **extra
        Further arguments for the constructor.

    Raises
    ------
    SettingError
        Where the target is not allowed, an argument is unknown or missing, or the constructor refuses a value.
    """
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, (DictConfig, ListConfig)) or "_target_" not in node:
        raise SettingError(key, node, "it names no class", f"choose an option, e.g. {key}=NAME")
    plain = _clean(OmegaConf.to_container(node, resolve=True, throw_on_missing=True), key)
    try:
        return hydra_instantiate(plain, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, WellaiError):
            raise cause from None
        if isinstance(cause, (TypeError, ValueError)):
            reason = re.sub(r"^[\w.]*__init__\(\)\s*", "", str(cause))
            raise SettingError(
                key, plain["_target_"], f"it refuses its settings ({reason})", f"compare with conf/{key}"
            ) from error
        raise
