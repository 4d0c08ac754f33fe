"""Compose a trial: the command's config once more, with the trial's overrides after the command's own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wellai_exp.config._door import SPACE_KEY
from wellai_exp.config._grammar import parse_distribution
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.masking import masked
from wellai_exp.search import Distribution, Search, Space

# What a trial may not change: the data are one for all, and the rest is about the search and not about its trials.
_UNSEARCHABLE = (
    "data",
    "split",
    "search",
    "compute",
    "tracking",
    "paths",
    "experiment",
    "hydra",
    "seed",
    "name",
    "stages",
)
# What a sweep knows and a single training does not.
_SWEEPS_ALONE = (
    "register=",
    "profile=",
    "stages.",
    "ranking=",
    "ranking.",
    "compute=",
    "compute.",
    "confirm.",
    "final.",
    "distill",
)


def _dotted(node: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Give a space's keys in full: the command line nests ``search.space.head.l2`` where YAML may write ``head.l2``."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class Composer:
    """Composes trials of the command that is running.

    Parameters
    ----------
    config_name : str
        The verb's primary config.
    overrides : sequence of str
        The command's own overrides.
    stage : sequence of str
        What the stage of a sweep changes in the experiment; the command's own come after it and so win.
    """

    def __init__(self, config_name: str, overrides: Sequence[str], stage: Sequence[str] = ()) -> None:
        self.config_name = config_name
        self.overrides = tuple(overrides)
        self.stage = tuple(stage)
        self.options = cache(self._options)
        self.chosen = cache(self._chosen)

    def __reduce__(self) -> tuple[type[Composer], tuple[str, tuple[str, ...], tuple[str, ...]]]:
        return Composer, (self.config_name, self.overrides, self.stage)

    @classmethod
    def running(cls) -> Composer:
        """Give the composer of the command that Hydra runs now."""
        hydra = HydraConfig.get()
        return cls(str(hydra.job.config_name), list(hydra.overrides.task))

    def within(self, stage: Sequence[str]) -> Composer:
        """Give the composer of one stage of the sweep."""
        return Composer(self.config_name, self.overrides, stage)

    def trial(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the command's config with a trial's overrides.

        Raises
        ------
        TrialFailed
            Where they do not compose.
        """
        return self._compose(overrides, with_hydra=False)

    def _compose(self, overrides: Sequence[str], *, with_hydra: bool) -> DictConfig:
        everything = [*self.stage, *self.overrides, *overrides]
        try:
            return compose(self.config_name, overrides=everything, return_hydra_config=with_hydra)
        except (HydraException, OmegaConfBaseException) as error:
            raise TrialFailed(f"its overrides do not compose ({' '.join(str(error).split())})") from error

    def _chosen(self, overrides: tuple[str, ...]) -> dict[str, str]:
        """Give the option chosen in each config group, after a trial's overrides."""
        choices = self._groups if not overrides else dict(self.chosen(()))
        for override in overrides:
            key, _, value = override.partition("=")
            if key in choices:
                choices[key] = value
        return choices

    @property
    def _groups(self) -> dict[str, str]:
        choices = self._compose((), with_hydra=True).hydra.runtime.choices
        return {str(group): str(option) for group, option in choices.items() if not str(group).startswith("hydra/")}

    def reproduce(self, overrides: Sequence[str]) -> str:
        """Give the one line that runs a trial again on its own; a secret in it is to be typed anew."""
        return masked(shlex.join(["wellai-exp", "train", *self.stage, *self._meant_for_train(), *overrides]))

    def _meant_for_train(self) -> list[str]:
        return [override for override in self.overrides if not override.lstrip("+~").startswith(_SWEEPS_ALONE)]

    def _options(self, group: str, option: str) -> Mapping[str, Distribution]:
        """Give the space that an option brings along."""
        cfg = self.trial([f"{group}={option}"])
        node = OmegaConf.select(cfg, f"{group}.{SPACE_KEY}") or {}
        return {str(key): parse_distribution(f"{group}.{SPACE_KEY}.{key}", value) for key, value in node.items()}

    def space(self, search: Search, carried: Mapping[str, tuple[str, ...]] | None = None) -> Space:
        """Make the search space: what the experiment names, less what the command has fixed.

        Parameters
        ----------
        search : Search
            The settings.
        carried : mapping, optional
            Configurations to start from, by name: the overrides of an earlier stage's best.

        Raises
        ------
        SettingError
            Where a key does not exist or may not be searched.
        """
        choices = self.chosen(())
        dimensions: dict[str, Distribution] = {}
        for key, text in _dotted(search.space):
            if key == "regime" or key.split(".")[0] in _UNSEARCHABLE:
                raise SettingError(
                    f"search.space.{key}",
                    text,
                    "this key is the same for all trials of a sweep",
                    "search another one, or use --multirun",
                )
            dimensions[key] = parse_distribution(f"search.space.{key}", text)
        pinned = frozenset(override.lstrip("+~").split("=", 1)[0] for override in self.overrides)
        groups = {group: option for group, option in choices.items() if group in dimensions}
        groups |= {str(group): choices[str(group)] for group in search.conditional}
        own = frozenset(str(group) for group in search.conditional)
        return Space(
            dimensions,
            lambda group, option: self.options(group, option) if group in own else {},
            groups,
            pinned,
            carried or {},
        )
