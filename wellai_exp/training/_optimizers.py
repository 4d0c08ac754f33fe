"""Optimisers for fine-tuning: a rate for every step and every depth, decay, clipping and averaged weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError

Arrays = list[npt.NDArray[Any]]
SCHEDULES = ("cosine", "one_cycle", "constant")

# Where the one-cycle rise begins, as a share of the peak; fastai and PyTorch use the same.
_ONE_CYCLE_START = 1 / 25


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base of the optimisers: validates, plans the rate, makes the Keras optimiser; a subclass names the update rule.

    Parameters
    ----------
    learning_rate : float
        The peak rate, above 0.
    weight_decay : float
        At least 0; each step takes ``rate * weight_decay`` of a weight away (decoupled decay, Loshchilov and Hutter
        2019, arXiv 1711.05101). Variables of fewer than two dimensions (biases, scales and shifts of normalisation)
        never decay.
    schedule : {"cosine", "one_cycle", "constant"}
        What follows the warm-up: a cosine down to `final` (Loshchilov and Hutter 2017, arXiv 1608.03983), or the peak
        for good. ``one_cycle`` also rises by a cosine, from 1/25 of the peak (Smith and Topin 2018, arXiv 1708.07120;
        of the rate alone, momentum stays).
    warm_up : float
        Share of all steps in which the rate rises, in [0, 1).
    final : float
        The last step's rate as a share of the peak, in [0, 1]; ``constant`` does not use it.
    layer_decay : float
        In (0, 1]: each block learns at this share of the rate of the next one towards the output (Howard and Ruder
        2018, arXiv 1801.06146, section 3.2; Clark et al. 2020, arXiv 2003.10555). 1 is one rate for all.
    clip_norm : float or None
        The largest Euclidean norm of all gradients together (Pascanu et al. 2013, arXiv 1211.5063); None for no limit.
    average : float or None
        Momentum of the exponential moving average of the weights, in [0, 1) (Polyak and Juditsky 1992 in the form of
        Tarvainen and Valpola 2017, arXiv 1703.01780); None for no average.

    Raises
    ------
    SettingError
        Naming ``optimizer.<field>``.
    """

    learning_rate: float
    weight_decay: float
    schedule: str = "cosine"
    warm_up: float = 0.1
    final: float = 0.0
    layer_decay: float = 1.0
    clip_norm: float | None = 1.0
    average: float | None = 0.99

    def __post_init__(self) -> None:
        self._check("learning_rate", _is_number(self.learning_rate) and self.learning_rate > 0, "above 0", 0.0006)
        self._check("weight_decay", _is_number(self.weight_decay) and self.weight_decay >= 0, "0 or more", 0.02)
        self._check("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}", "cosine")
        self._check("warm_up", _is_number(self.warm_up) and 0 <= self.warm_up < 1, "in [0, 1)", 0.1)
        self._check("final", _is_number(self.final) and 0 <= self.final <= 1, "in [0, 1]", 0.0)
        self._check("layer_decay", _is_number(self.layer_decay) and 0 < self.layer_decay <= 1, "in (0, 1]", 1.0)
        for name, value, high in (("clip_norm", self.clip_norm, math.inf), ("average", self.average, 1.0)):
            if value is not None:
                fine = _is_number(value) and 0 < value < high
                self._check(name, fine, "above 0, or null" if high == math.inf else "in (0, 1), or null", "null")

    def _check(self, name: str, fine: bool, need: str, example: object) -> None:
        if not fine:
            raise SettingError(
                f"optimizer.{name}", getattr(self, name), f"it must be {need}", f"set optimizer.{name}={example}"
            )

    def rate(self, step: int, steps: int) -> float:
        """Give the rate of one step, before any block's own multiplier.

        Parameters
        ----------
        step : int
            From 0.
        steps : int
            Of the whole training; ``round(warm_up * steps)`` of them rise, and the last of these has the peak.

        Raises
        ------
        ValueError
            Where there is no such step.
        """
        if not 0 <= step < steps:
            raise ValueError(f"a training of {steps} steps has no step {step}")
        rise = round(self.warm_up * steps)
        top = max(rise - 1, 0)
        if step < top:
            share = _cosine(step / top, _ONE_CYCLE_START, 1.0) if self.schedule == "one_cycle" else (step + 1) / rise
        elif self.schedule == "constant":
            share = 1.0
        else:
            share = _cosine((step - top) / max(steps - 1 - top, 1), 1.0, self.final)
        return self.learning_rate * share

    @property
    def traced(self) -> Self:
        """These settings with a fixed value for each that a step takes from a variable.

        Where it is equal for two settings, the optimiser that one made serves the other, after `adjust`, and a
        ``tf.function`` that applies it is not traced again.
        """
        return replace(
            self,
            learning_rate=1.0,
            weight_decay=0.0,
            schedule="constant",
            warm_up=0.0,
            final=0.0,
            layer_decay=1.0,
            average=None if self.average is None else 0.5,
        )

    def make(self, variables: Sequence[Any], multipliers: Sequence[float]) -> Any:
        """Make a built Keras optimiser.

        Parameters
        ----------
        variables : sequence of keras.Variable
            What learns; the averages start at their present values.
        multipliers : sequence of float
            One a variable: it learns, and decays, at this multiple of the rate.

        Returns
        -------
        keras.optimizers.Optimizer
            For ``apply(gradients, variables)``. Assign `rate` to its ``learning_rate`` before every step; see
            `averaged`, `state` and `restore`. Its ``restart()`` makes it as good as new, without another trace.

        Raises
        ------
        ValueError
            Where there is not one multiplier for each variable.
        """
        base, settings = self._rule()
        optimizer = _fine_tuning(base)(
            learning_rate=float(self.learning_rate),
            global_clipnorm=self.clip_norm,
            use_ema=self.average is not None,
            **settings,
        )
        optimizer.build(list(variables))
        self.adjust(optimizer, multipliers)
        optimizer.restart()
        return optimizer

    def adjust(self, optimizer: Any, multipliers: Sequence[float]) -> None:
        """Give these settings to an optimiser that equal `traced` settings made; its state stays as it is."""
        if len(multipliers) != optimizer.multipliers.shape[0]:
            raise ValueError(f"{optimizer.multipliers.shape[0]} variables came with {len(multipliers)} multipliers")
        optimizer.multipliers.assign(np.asarray(multipliers, np.float32))
        optimizer.decay.assign(self.weight_decay)
        optimizer.average.assign(self.average or 0.0)

    @abstractmethod
    def _rule(self) -> tuple[Any, dict[str, Any]]:
        """Give the Keras class of the update rule and its own arguments."""


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Kingma and Ba 2015, arXiv 1412.6980; Loshchilov and Hutter 2019).

    Parameters
    ----------
    beta_1, beta_2 : float
        Decay of the running means of the gradient and of its square, in [0, 1).
    """

    learning_rate: float = 6e-4
    weight_decay: float = 0.02
    beta_1: float = 0.9
    beta_2: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("beta_1", _is_number(self.beta_1) and 0 <= self.beta_1 < 1, "in [0, 1)", 0.9)
        self._check("beta_2", _is_number(self.beta_2) and 0 <= self.beta_2 < 1, "in [0, 1)", 0.999)

    def _rule(self) -> tuple[Any, dict[str, Any]]:
        import keras

        # Not Keras' AdamW: that is Adam with a decay which cannot be given up, and ours is decoupled already.
        return keras.optimizers.Adam, {"beta_1": self.beta_1, "beta_2": self.beta_2}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al., ICML 2013).

    Parameters
    ----------
    momentum : float
        In [0, 1): what stays of the last update.
    nesterov : bool
        Whether the gradient counts as if the momentum had been followed already; without momentum no difference.
    """

    learning_rate: float = 0.01
    weight_decay: float = 0.001
    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("momentum", _is_number(self.momentum) and 0 <= self.momentum < 1, "in [0, 1)", 0.9)
        self._check("nesterov", isinstance(self.nesterov, bool), "true or false", "true")

    def _rule(self) -> tuple[Any, dict[str, Any]]:
        import keras

        return keras.optimizers.SGD, {"momentum": float(self.momentum), "nesterov": self.nesterov}


@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps by the sign of a running mean of gradients (Chen et al. 2023, arXiv 2302.06675).

    The authors advise a rate 3 to 10 times smaller than AdamW's, and a decay as many times larger.

    Parameters
    ----------
    beta_1 : float
        In (0, 1): weight of the running mean against the gradient in the step taken.
    beta_2 : float
        In [0, 1): decay of the running mean.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("beta_1", _is_number(self.beta_1) and 0 < self.beta_1 < 1, "in (0, 1)", 0.9)
        self._check("beta_2", _is_number(self.beta_2) and 0 <= self.beta_2 < 1, "in [0, 1)", 0.99)

    def _rule(self) -> tuple[Any, dict[str, Any]]:
        import keras

        return keras.optimizers.Lion, {"beta_1": self.beta_1, "beta_2": self.beta_2}


def averaged(optimizer: Any, variables: Sequence[Any]) -> Arrays | None:
    """Give the averaged weights.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        From `Optimizer.make`.
    variables : sequence of keras.Variable
        Some or all of those it was made for, in any order.

    Returns
    -------
    list of numpy.ndarray or None
        One a variable, of its shape; None where nothing is averaged.
    """
    if not optimizer.use_ema:
        return None
    return [np.array(optimizer.average_of(variable).numpy()) for variable in variables]


def state(optimizer: Any) -> Arrays:
    """Give all state of an optimiser from `Optimizer.make`: its step, its slots, its averages and its settings."""
    return [np.array(variable.numpy()) for variable in optimizer.variables]


def restore(optimizer: Any, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Take the state that `state` gave, of an optimiser with the same `Optimizer.traced` and variables.

    Raises
    ------
    ValueError
        Where the arrays are not those of such an optimiser.
    """
    variables = optimizer.variables
    if [tuple(variable.shape) for variable in variables] != [np.shape(array) for array in arrays]:
        raise ValueError(f"these {len(arrays)} arrays are not the state of this optimiser ({len(variables)} arrays)")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


@cache
def _fine_tuning(base: Any) -> Any:
    """Give a Keras optimiser class in which each variable has its own rate.

    Keras has one rate for all variables, and scaling gradients instead would do nothing for Adam and Lion.
    """
    from keras import ops

    class FineTuning(base):  # type: ignore[misc]
        def build(self, variables: list[Any]) -> None:
            super().build(variables)
            self.multipliers = self.add_variable((len(variables),), "ones", name="multipliers")
            self.decay = self.add_variable((), name="decay")
            self.average = self.add_variable((), name="average_momentum")

        def restart(self) -> None:
            """Forget every step; the averages start again at the variables' present values."""
            kept = {id(variable) for variable in (self.multipliers, self.decay, self.average, self.learning_rate)}
            for variable in self.variables:
                if id(variable) not in kept:
                    variable.assign(ops.zeros_like(variable))
            if self.use_ema:
                for variable in self._trainable_variables:
                    self.average_of(variable).assign(variable)

        def average_of(self, variable: Any) -> Any:
            return self._model_variables_moving_average[self._get_variable_index(variable)]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self._multiplier(variable))

        def _multiplier(self, variable: Any) -> Any:
            return self.multipliers[self._get_variable_index(variable)]

        def _apply_weight_decay(self, variables: list[Any]) -> None:
            for variable in variables:
                if len(variable.shape) >= 2:
                    share = self.learning_rate * self.decay * self._multiplier(variable)
                    variable.assign_sub(variable * ops.cast(share, variable.dtype))

        def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
            # Keras' own average has one momentum from the first step on, so that 0.99 still holds a third of the
            # first weights after a hundred steps. This is the ramp of tf.train.ExponentialMovingAverage.
            step = ops.cast(self.iterations, "float32")
            share = 1.0 - ops.minimum(self.average, (1.0 + step) / (10.0 + step))
            for variable in trainable_variables:
                average = self.average_of(variable)
                average.assign_add((variable - average) * ops.cast(share, variable.dtype))

    return FineTuning


def _cosine(progress: float, start: float, end: float) -> float:
    """Go from `start` to `end` by half a cosine, as `progress` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
