"""The settings of a search, and what fits together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wellai_exp.errors import SettingError
from wellai_exp.search._goals import Goals
from wellai_exp.search._pruning import DominancePruner, Pruner
from wellai_exp.search._space import Space
from wellai_exp.search._storage import checked_storage

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Search:
    """How an experiment is searched.

    Parameters
    ----------
    sampler : callable
        Makes an Optuna sampler when given ``seed=``.
    n_trials : int
        The total of finished trials, those of earlier starts of the same sweep included.
    maximize : str or list of str
        The metric to raise, without its ``cv/`` prefix and ``_mean`` suffix; of several the first ranks the trials.
    minimize : str, list of str or None
        Metrics to lower.
    subject_to : mapping
        Quantity -> bound that the winner must keep, e.g. ``{"fps": ">= 30"}``.
    pruner : Pruner or None
        Stops trials that report after each epoch: one of Optuna's for one objective, or
        :class:`~wellai_exp.search.DominancePruner` for any number. Its steps are the epochs trained, from 1.
    prune_infeasible : bool
        Stop a trial before its first epoch where what is known by then breaks a constraint. Cheaper, but then nothing
        can be said about the winner without constraints.
    space : mapping
        Override key -> distribution in Hydra's grammar; may be nested.
    conditional : list of str
        Config groups whose chosen option's own ``_space_`` is searched too.
    baseline : mapping
        Config group -> the option that counts as doing nothing; the first trial has these.
    first : list of mapping
        Points to try first, such as what an expert would: parameter -> value; what a point leaves out is sampled.
    cover : bool
        Show every option of every choice at least once before the sampler chooses freely.
    max_failures : int
        So many failed trials in a row end the sweep.
    study : str or None
        The study's name; None derives it from everything that decides a trial's value.
    storage : str or None
        A PostgreSQL database that machines share, ``postgresql://USER@HOST/DATABASE``; None keeps the study in the
        store.
    """

    sampler: Callable[..., Any]
    n_trials: int = 60
    maximize: str | list[str] = "auc_pr_macro"
    minimize: str | list[str] | None = None
    subject_to: Mapping[str, str] = field(default_factory=dict)
    pruner: Pruner | None = None
    prune_infeasible: bool = False
    space: Mapping[str, Any] = field(default_factory=dict)
    conditional: list[str] = field(default_factory=list)
    baseline: Mapping[str, str] = field(default_factory=dict)
    first: list[Mapping[str, Any]] = field(default_factory=list)
    cover: bool = True
    max_failures: int = 5
    study: str | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "storage", checked_storage(self.storage))
        for name, least in (("n_trials", 1), ("max_failures", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise SettingError(
                    f"search.{name}", value, f"it must be a whole number of at least {least}", f"set search.{name}=60"
                )
        self._check_sampler()
        self._check_pruner()

    @cached_property
    def goals(self) -> Goals:
        """The objectives and constraints."""
        return Goals.parse(self.maximize, self.minimize, self.subject_to)

    @property
    def _sampler_name(self) -> str:
        kind = getattr(self.sampler, "func", self.sampler)
        return str(getattr(kind, "__name__", kind))

    def _check_sampler(self) -> None:
        """Refuse the one sampler that would fail at, or steer into, what the goals ask for."""
        more = len(self.goals.objectives) > 1 or bool(self.goals.constraints)
        if more and self._sampler_name == "CmaEsSampler":
            raise SettingError(
                "search.sampler",
                "CmaEsSampler",
                "it follows one objective and knows no constraints",
                "choose search=tpe or search=nsga2, or leave one metric in search.maximize",
            )

    def _check_pruner(self) -> None:
        if self.pruner is None or isinstance(self.pruner, DominancePruner):
            return
        import optuna

        name = type(self.pruner).__name__
        ours = "set search.pruner to {_target_: wellai_exp.search.DominancePruner}"
        if not isinstance(self.pruner, optuna.pruners.BasePruner):
            raise SettingError("search.pruner", name, "it is no pruner", f"{ours}, or name one of optuna.pruners")
        if len(self.goals.objectives) > 1:
            raise SettingError(
                "search.pruner",
                name,
                f"it compares one number, and there are {len(self.goals.objectives)} objectives",
                ours,
            )
        if self.goals.constraints and isinstance(self.pruner, optuna.pruners.HyperbandPruner):
            raise SettingError(
                "search.pruner",
                name,
                "it would stop trials that keep search.subject_to for the sake of more accurate ones that do not",
                "set search.pruner to {_target_: optuna.pruners.SuccessiveHalvingPruner}",
            )

    def make_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Make the sampler with its own stream of random numbers."""
        import optuna

        try:
            with warnings.catch_warnings():
                # That an option of Optuna's is young is no news to the user of a shipped configuration.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler: optuna.samplers.BaseSampler = self.sampler(seed=seed)
        except (TypeError, ValueError, ImportError) as error:
            raise SettingError("search.sampler", self._sampler_name, str(error), "compare with conf/search") from error
        return sampler

    def check(self, space: Space) -> None:
        """Refuse a sampler that cannot work, or not in this space.

        Raises
        ------
        SettingError
            Where it cannot.
        """
        import optuna

        if isinstance(self.make_sampler(0), optuna.samplers.BruteForceSampler) and space.intervals:
            raise SettingError(
                "search.sampler",
                "BruteForceSampler",
                f"it tries every combination, and {space.intervals[0]} may be any number of an interval",
                "choose another search, or give it a range(…) or a choice(…); search.conditional=[] leaves out what "
                "search.space does not name",
            )
