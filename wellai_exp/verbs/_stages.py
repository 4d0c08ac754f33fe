"""The stages of a sweep: a cheap search first, its best handed on to a dearer one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from wellai_exp.errors import SettingError


@dataclass(frozen=True)
class Start:
    """Where a stage's trials start from.

    Parameters
    ----------
    stage : str
        The earlier stage.
    top : int
        How many of its best configurations are handed on, different ones after `take`.
    take : tuple of str
        Keys that are taken over: a config group with all of its settings (``backbone``), or one key.
    """

    stage: str
    top: int = 1
    take: tuple[str, ...] = ("backbone",)

    def taken(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """Give those of an earlier trial's overrides that are taken over."""
        keys = [(override.split("=", 1)[0], override) for override in overrides]
        wanted = tuple(self.take)
        return tuple(text for key, text in keys if key in wanted or key.startswith(tuple(f"{own}." for own in wanted)))


@dataclass(frozen=True)
class Stage:
    """One search within a sweep.

    Parameters
    ----------
    name : str
        Its name; empty for the only search of a sweep without stages.
    overrides : tuple of str
        What it changes in the experiment.
    search : mapping
        What it changes in the search; its space takes the place of the experiment's.
    start : Start or None
        What it takes over from an earlier stage.
    wins : bool
        Whether its best may win the sweep.
    """

    name: str
    overrides: tuple[str, ...] = ()
    search: Mapping[str, Any] | None = None
    start: Start | None = None
    wins: bool = True

    def settings(self, cfg: DictConfig) -> DictConfig:
        """Give the config with this stage's search in it."""
        if self.search:
            search = OmegaConf.create(OmegaConf.to_container(cfg.search, resolve=True))
            if "space" in self.search:
                search.space = {}
            with open_dict(cfg):
                cfg.search = OmegaConf.merge(search, dict(self.search))
        return cfg


def stages_of(cfg: DictConfig) -> list[Stage]:
    """Read the stages of an experiment; one without a name where it has none.

    Raises
    ------
    SettingError
        Where a stage has a key of another kind, or starts from one that does not come before it.
    """
    if not cfg.stages:
        return [Stage("")]
    stages: list[Stage] = []
    for name, node in OmegaConf.to_container(cfg.stages, resolve=True).items():  # type: ignore[union-attr]
        stages.append(_stage(str(name), node, [stage.name for stage in stages]))
    if not any(stage.wins for stage in stages):
        raise SettingError("stages", list(cfg.stages), "no stage may win", "set wins=true for one of them")
    return stages


def _stage(name: str, node: Any, earlier: list[str]) -> Stage:
    known = {field.name for field in fields(Stage)} - {"name"}
    _check_keys(f"stages.{name}", node, known)
    start = node.get("start")
    if start is not None:
        _check_keys(f"stages.{name}.start", start, {field.name for field in fields(Start)})
        start = Start(str(start.get("stage")), int(start.get("top", 1)), tuple(start.get("take", ("backbone",))))
        if start.stage not in earlier:
            raise SettingError(
                f"stages.{name}.start.stage",
                start.stage,
                "there is no such stage before this one",
                f"name one of {', '.join(earlier)}" if earlier else "leave start out of the first stage",
            )
        if start.top < 1:
            raise SettingError(f"stages.{name}.start.top", start.top, "at least one goes on", "set it to 1 or more")
    overrides = tuple(str(override) for override in node.get("overrides", ()))
    return Stage(name, overrides, node.get("search"), start, bool(node.get("wins", True)))


def _check_keys(where: str, node: Any, known: set[str]) -> None:
    if not isinstance(node, Mapping):
        raise SettingError(where, node, "it is not a group of settings", f"give it {', '.join(sorted(known))}")
    for key in node:
        if key not in known:
            raise SettingError(
                f"{where}.{key}", node[key], "there is no such setting", f"use {', '.join(sorted(known))}"
            )
