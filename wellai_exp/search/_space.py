"""The search space: which overrides a trial may carry, and which of them only beside which option."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
# The name under which a trial's carried configuration stands in the study.
START = "start"


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
    carried : mapping
        Name -> the overrides of a configuration to start from, such as an earlier stage's best. Of several a trial
        chooses one, as the parameter ``start``; its overrides come before the trial's own, which replace those of the
        same key or group.
    """

    dimensions: Mapping[str, Distribution]
    conditional: Callable[[str, str], Mapping[str, Distribution]]
    groups: Mapping[str, str]
    pinned: frozenset[str] = field(default=frozenset())
    carried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.searched and not any(True for _ in self._fixed_conditionals()):
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

    @property
    def searched(self) -> dict[str, Distribution]:
        """What every trial suggests: the choice of a carried configuration, where there are several, and `active`."""
        start: dict[str, Distribution] = {START: Choice(tuple(self.carried))} if len(self.carried) > 1 else {}
        return start | self.active

    def _fixed_conditionals(self) -> Iterator[str]:
        for overrides in self.carried.values() or [()]:
            for group, option in self._options(overrides).items():
                if group not in self.active:
                    yield from self._own(group, option)

    def _options(self, overrides: Iterable[str]) -> dict[str, str]:
        """Give the option of each group after some overrides."""
        chosen = dict(override.split("=", 1) for override in overrides)
        return {group: chosen.get(group, option) for group, option in self.groups.items()}

    def _own(self, group: str, option: str) -> dict[str, Distribution]:
        """Give the searched arguments of a group's option by their override keys."""
        own = {f"{group}.{argument}": value for argument, value in self.conditional(group, option).items()}
        return {key: value for key, value in own.items() if key not in self.pinned}

    @property
    def intervals(self) -> list[str]:
        """The keys of all real numbers that a trial may be asked for."""
        options = {pair for overrides in self.carried.values() or [()] for pair in self._options(overrides).items()}
        options = {(group, option) for group, option in options if group not in self.active}
        for key, value in self.active.items():
            if key in self.groups and isinstance(value, Choice):
                options |= {(key, option) for option in value.values}
        known = self.active.items(), *(self._own(*pair).items() for pair in sorted(options))
        return [key for own in known for key, value in own if isinstance(value, Interval)]

    def suggest(self, trial: optuna.Trial) -> list[str]:
        """Ask for one point of the space.

        Returns
        -------
        list of str
            Overrides in Hydra's grammar: what is carried, then groups, then the arguments of their options, then all
            else. The names of an option's arguments in the study hold the option, so that the same argument of two
            options (the neighbours of SMOTE and of ADASYN) is two parameters.
        """
        chosen = {key: distribution.suggest(trial, key) for key, distribution in self.searched.items()}
        start = chosen.pop(START, next(iter(self.carried), ""))
        carried = _less(self.carried.get(start, ()), {*chosen, *self.pinned})
        groups = {key: value for key, value in chosen.items() if key in self.groups}
        own = {
            key: distribution.suggest(trial, _parameter(group, option, key))
            for group, option in {**self._options(carried), **groups}.items()
            for key, distribution in self._own(group, option).items()
        }
        mine = groups | own | {key: value for key, value in chosen.items() if key not in groups}
        return _less(carried, set(own)) + [f"{key}={value}" for key, value in mine.items()]

    def checked_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Give a point to try first as the study takes it: options as text, numbers as numbers.

        A point that does not say what it starts from starts from the first, which is the best, of those carried.

        Raises
        ------
        SettingError
            Where it names what no trial suggests, or an option that is no choice.
        """
        searched = self.searched
        sound: dict[str, Any] = {START: next(iter(self.carried))} if START in searched else {}
        for key, value in point.items():
            group, _, rest = key.partition(".")
            own = self._own(group, rest.partition(".")[0]) if group in self.groups else {}
            distribution = searched.get(key) or own.get(f"{group}.{rest.partition('.')[2]}")
            if distribution is None:
                raise SettingError(
                    f"search.space.{key}", value, "a trial to start with names it, but it is not searched", "add it"
                )
            sound[key] = str(value) if isinstance(distribution, Choice) else value
            if isinstance(distribution, Choice) and sound[key] not in distribution.values:
                raise SettingError(
                    f"search.space.{key}",
                    value,
                    "a trial to start with has this value, but it is not among the choices",
                    f"choose among {', '.join(distribution.values)}",
                )
        return sound

    def usual(self, baseline: Mapping[str, str]) -> dict[str, str]:
        """Give the point that the experiment would take unsearched, with `baseline` in its place where that says more.

        Groups whose usual option is not among the choices are left out, and so sampled.
        """
        options = {group: baseline.get(group, option) for group, option in self.groups.items()}
        return {
            group: option
            for group, option in options.items()
            if isinstance(choice := self.active.get(group), Choice) and option in choice.values
        }

    def cover(self, seed: int) -> list[dict[str, Any]]:
        """Give as few partial points as show every option of every choice at least once.

        A sampler may never look at an option that seldom wins, and then nothing can be said about it.

        Returns
        -------
        list of dict
            Parameters to enqueue; what a point leaves out is sampled.
        """
        choices = {key: value.values for key, value in self.searched.items() if isinstance(value, Choice)}
        if not choices:
            return []
        rounds = max(len(values) for values in choices.values())
        order = {key: generator(seed, "cover", key).permutation(len(values)) for key, values in choices.items()}
        return [
            {key: values[int(order[key][step % len(values)])] for key, values in choices.items()}
            for step in range(rounds)
        ]


def _parameter(group: str, option: str, key: str) -> str:
    """Name an option's own argument as the study knows it: ``imbalance.smote.k_neighbors``."""
    return f"{group}.{option}.{key.removeprefix(f'{group}.')}"


def _less(overrides: Iterable[str], decided: Collection[str]) -> list[str]:
    """Leave out the overrides of keys that are decided elsewhere, and those below such a key."""

    def free(override: str) -> bool:
        parts = override.split("=", 1)[0].split(".")
        return not any(".".join(parts[:depth]) in decided for depth in range(1, len(parts) + 1))

    return [override for override in overrides if free(override)]


def parameter_columns(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give a trial's parameters as table columns: numbers as numbers, the rest as text."""
    return {key: value if isinstance(value, (int, float, np.number)) else str(value) for key, value in params.items()}
