"""What a config may not do: name code to be run or imported, or read a secret.

Hydra acts on its own node (callbacks, logging, the environment, plugins, packages to search) as soon as it is composed,
and has no hook between the two; so its loader is wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource as Structured
from hydra._internal.sources_registry import SourcesRegistry
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from wellai_exp.config._door import check_target
from wellai_exp.errors import SettingError
from wellai_exp.masking import is_secret_name

_LOGGING_CLASSES = frozenset(
    ["logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter"]
)
_LOGGING_STREAMS = frozenset(["ext://sys.stdout", "ext://sys.stderr"])
_LOGGING_FILTER = "wellai_exp.masking.Masking"
_PLUGINS = re.compile(r"(hydra\._internal\.core_plugins|hydra_plugins)\.[\w.]+")
_REMOVE = "take that out of the config or the command"


class _OwnPackage(ImportlibResourcesConfigSource):
    """Hydra's own options alone: to look into a package is to import it."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider=provider, path=path)
        if self.path != "hydra.conf":
            raise SettingError("hydra.searchpath", f"pkg://{self.path}", "a package would be imported", "name a folder")


class StructuredConfigSource(Structured):
    """What was registered in code alone, for the same reason; Hydra goes by the class's name."""

    def __init__(self, provider: str, path: str) -> None:
        if path.removeprefix("structured://"):
            raise SettingError("hydra.searchpath", path, "a module would be imported", "name a folder")
        super().__init__(provider=provider, path=path)


def install() -> None:
    """Guard every composition from now on; calling it twice does nothing more."""
    SourcesRegistry.instance().types.update({"pkg": _OwnPackage, "structured": StructuredConfigSource})
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)
    plain = ConfigLoaderImpl.load_configuration
    if not hasattr(plain, "__wrapped__"):
        ConfigLoaderImpl.load_configuration = _guarded(plain)  # type: ignore[method-assign]


def _environment(name: str, *default: Any) -> Any:
    """Read an environment variable as OmegaConf does, but none that holds a secret."""
    if is_secret_name(name):
        problem = "no config may read it, for it would end in files, runs and reports"
        raise SettingError("oc.env", name, problem, "name another variable, or let the library that needs it read it")
    return oc.env(name, *default)


def _guarded(load: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    @wraps(load)
    def load_configuration(*args: Any, **kwargs: Any) -> DictConfig:
        cfg = load(*args, **kwargs)
        plain = OmegaConf.to_container(cfg, resolve=False)
        if isinstance(plain, dict):
            check(plain)
        return cfg

    return load_configuration


def check(cfg: dict[Any, Any]) -> None:
    """Refuse a composed config that names code.

    Raises
    ------
    SettingError
        Where it does.
    """
    for where, target in _targets({key: value for key, value in cfg.items() if key != "hydra"}, ""):
        # What is interpolated is seen by the door, once it is resolved.
        if "${" not in str(target):
            check_target(where, target)
    hydra = cfg.get("hydra")
    if not isinstance(hydra, dict):
        return
    for setting, node in (("hydra.callbacks", hydra.get("callbacks")), ("hydra.job.env_set", _env_set(hydra))):
        if node:
            raise SettingError(setting, node, "a config may neither run code nor change the environment", _REMOVE)
    for part in ("launcher", "sweeper"):
        for where, target in _targets(hydra.get(part), f"hydra.{part}"):
            if where != f"hydra.{part}" or not _PLUGINS.fullmatch(str(target)):
                raise SettingError(f"{where}._target_", target, "it is no plugin of Hydra", _REMOVE)
    for part in ("job_logging", "hydra_logging"):
        _check_logging(hydra.get(part), f"hydra.{part}")


def _env_set(hydra: dict[Any, Any]) -> object:
    job = hydra.get("job")
    return job.get("env_set") if isinstance(job, dict) else job


def _targets(node: object, where: str) -> Iterator[tuple[str, object]]:
    """Give each ``_target_`` below a node, and where it stands."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield where, node["_target_"]
        for key, value in node.items():
            yield from _targets(value, f"{where}.{key}".removeprefix("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{where}.{index}")


def _check_logging(node: object, where: str) -> None:
    """Refuse a logging set-up that makes anything but Python's plain handlers: it may name any callable."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "()" and value != _LOGGING_FILTER:
                raise SettingError(f"{where}.()", value, "a log may not be made by code that a config names", _REMOVE)
            if key == "class" and value not in _LOGGING_CLASSES:
                raise SettingError(f"{where}.class", value, "it is none of Python's plain handlers", _REMOVE)
            _check_logging(value, f"{where}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _check_logging(value, f"{where}.{index}")
    elif isinstance(node, str) and re.match(r"\s*(ext|cfg)://", node) and node not in _LOGGING_STREAMS:
        raise SettingError(where, node, "a log may not reach for other objects", _REMOVE)
