"""The search space: which overrides a trial may carry, and which of them only beside which option."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.seeding import generator

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Choice:
    """One of several values, each written as it stands in an override."""

    values: tuple[str, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> str:
        """Ask Optuna for one."""
        return str(trial.suggest_categorical(name, self.values))


@dataclass(frozen=True)
class Integers:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> str:
        """Ask Optuna for one."""
        return str(trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log))


@dataclass(frozen=True)
class Interval:
    """A real number from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> str:
        """Ask Optuna for one; the text holds the number exactly."""
        return repr(float(trial.suggest_float(name, self.low, self.high, log=self.log)))


Distribution = Choice | Integers | Interval


@dataclass(frozen=True)
class Space:
    """Override keys and their distributions.

    Parameters
    ----------
    dimensions : mapping
        Override key -> distribution; always active.
    conditional : callable
        Gives, for a config group and the option chosen in it, the distributions of that option's own arguments.
    groups : mapping
        Config group -> the option it has when the search does not choose.
    pinned : frozenset of str
        Keys that the command line has fixed; they are not searched.
    """

    dimensions: Mapping[str, Distribution]
    conditional: Callable[[str, str], Mapping[str, Distribution]]
    groups: Mapping[str, str]
    pinned: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        if not self.active and not any(True for _ in self._fixed_conditionals()):
            raise SettingError(
                "search.space",
                dict(self.dimensions),
                "nothing is left to search",
                "name at least one key there, or leave its override out of the command",
            )

    @property
    def active(self) -> dict[str, Distribution]:
        """The unconditional dimensions that are searched."""
        return {key: value for key, value in self.dimensions.items() if key not in self.pinned}

    def _fixed_conditionals(self) -> Iterator[str]:
        for group, option in self.groups.items():
            if group not in self.active:
                yield from self.conditional(group, option)

    def suggest(self, trial: optuna.Trial) -> list[str]:
        """Ask for one point of the space.

        Returns
        -------
        list of str
            Overrides in Hydra's grammar: groups first, then the arguments of their options, then all else. The names
            of an option's arguments in the study hold the option, so that the same argument of two options (the
            neighbours of SMOTE and of ADASYN) is two parameters.
        """
        active = self.active
        chosen = {key: active[key].suggest(trial, key) for key in active}
        overrides = [f"{key}={value}" for key, value in chosen.items() if key in self.groups]
        for group, option in {**self.groups, **chosen}.items():
            if group in self.groups:
                for argument, distribution in self.conditional(group, option).items():
                    if f"{group}.{argument}" not in self.pinned:
                        value = distribution.suggest(trial, f"{group}.{option}.{argument}")
                        overrides.append(f"{group}.{argument}={value}")
        return overrides + [f"{key}={value}" for key, value in chosen.items() if key not in self.groups]

    def cover(self, seed: int) -> list[dict[str, Any]]:
        """Give as few partial points as show every option of every choice at least once.

        A sampler may never look at an option that seldom wins, and then nothing can be said about it.

        Returns
        -------
        list of dict
            Parameters to enqueue; what a point leaves out is sampled.
        """
        choices = {key: value.values for key, value in self.active.items() if isinstance(value, Choice)}
        if not choices:
            return []
        rounds = max(len(values) for values in choices.values())
        order = {key: generator(seed, "cover", key).permutation(len(values)) for key, values in choices.items()}
        return [
            {key: values[int(order[key][step % len(values)])] for key, values in choices.items()}
            for step in range(rounds)
        ]


def parameter_columns(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give a trial's parameters as table columns: numbers as numbers, the rest as text."""
    return {key: value if isinstance(value, (int, float, np.number)) else str(value) for key, value in params.items()}
