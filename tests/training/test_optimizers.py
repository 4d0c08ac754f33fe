"""The optimisers against Keras' own, and what resuming, restarting and averaging promise."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.config import parse_distribution
from wellai_exp.errors import SettingError
from wellai_exp.paths import shipped_dir
from wellai_exp.search import Interval
from wellai_exp.training._optimizers import SGD, AdamW, Lion, Optimizer, averaged, restore, state

OPTIMIZERS: dict[str, Optimizer] = {"adamw": AdamW(), "sgd": SGD(), "lion": Lion()}
EACH = pytest.mark.parametrize("settings", OPTIMIZERS.values(), ids=OPTIMIZERS)
SHAPES = ((3, 4), (4,), (2, 2, 1, 3))
Arrays = list[npt.NDArray[Any]]


def start() -> list[Any]:
    import keras

    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES]


def gradients(step: int, scale: float = 3.0) -> Arrays:
    rng = np.random.default_rng([1, step])
    return [rng.normal(scale=scale, size=shape).astype(np.float32) for shape in SHAPES]


def run(optimizer: Any, variables: list[Any], steps: range, rate: float = 0.01) -> Arrays:
    """Do some steps and give the weights after them."""
    for step in steps:
        optimizer.learning_rate = rate * (step + 1)
        optimizer.apply(gradients(step), variables)
    return [np.array(variable.numpy()) for variable in variables]


def keras_twin(settings: Optimizer, variables: list[Any]) -> Any:
    """Give Keras' own optimiser of the same settings."""
    import keras

    own = {field.name for field in fields(settings)} - {field.name for field in fields(Optimizer)}
    twin = getattr(keras.optimizers, type(settings).__name__)(
        learning_rate=1.0,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
        **{name: getattr(settings, name) for name in own},
    )
    twin.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    return twin


@EACH
def test_with_one_rate_for_all_it_is_keras_own_optimizer(settings: Optimizer) -> None:
    ours, theirs = start(), start()
    got = run(settings.make(ours, [1.0] * 3), ours, range(5))
    expected = run(keras_twin(settings, theirs), theirs, range(5))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@EACH
def test_a_multiplier_is_a_rate_of_its_own(settings: Optimizer) -> None:
    multipliers = [1.0, 0.5, 0.1]
    # Without the clip, which looks at all gradients together, each variable is a problem of its own.
    settings = replace(settings, clip_norm=None)
    variables = start()
    got = run(settings.make(variables, multipliers), variables, range(4))
    for index, multiplier in enumerate(multipliers):
        alone = start()
        expected = run(keras_twin(settings, alone), alone, range(4), rate=0.01 * multiplier)
        np.testing.assert_allclose(got[index], expected[index], rtol=1e-5, atol=1e-7)


@EACH
def test_a_first_step_is_scaled_by_exactly_the_multiplier(settings: Optimizer) -> None:
    import keras

    settings = replace(settings, weight_decay=0.0)
    # From zero, what a variable holds is its update; a power of two multiplies without rounding.
    variables = [keras.Variable(np.zeros((2, 3), np.float32)) for _ in range(3)]
    gradient = np.random.default_rng(2).normal(size=(2, 3)).astype(np.float32)
    settings.make(variables, [1.0, 0.25, 0.0]).apply([gradient] * 3, variables)
    full, quarter, none = (variable.numpy() for variable in variables)
    assert (full != 0).all()
    np.testing.assert_array_equal(quarter, 0.25 * full)
    np.testing.assert_array_equal(none, 0.0)


@EACH
def test_kernels_decay_and_vectors_do_not(settings: Optimizer) -> None:
    variables = start()
    before = [np.array(variable.numpy()) for variable in variables]
    settings = replace(settings, weight_decay=0.5)
    optimizer = settings.make(variables, [1.0, 1.0, 0.5])
    optimizer.learning_rate = 0.1
    optimizer.apply([np.zeros_like(value) for value in before], variables)
    for variable, old, kept in zip(variables, before, (0.95, 1.0, 0.975), strict=True):
        np.testing.assert_allclose(variable.numpy(), kept * old, rtol=1e-6)


def test_the_whole_gradient_is_clipped_to_one_norm() -> None:
    variables = start()
    before = [np.array(variable.numpy()) for variable in variables]
    settings = SGD(learning_rate=1.0, weight_decay=0.0, momentum=0.0, clip_norm=0.25)
    settings.make(variables, [1.0] * 3).apply(gradients(0), variables)
    moved = [old - variable.numpy() for variable, old in zip(variables, before, strict=True)]
    assert np.sqrt(sum((part**2).sum() for part in moved)) == pytest.approx(0.25, rel=1e-5)
    ratio = gradients(0)[0] / moved[0]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)


@pytest.mark.parametrize("momentum", [0.5, 0.99])
def test_the_average_forgets_the_first_weights_at_once(momentum: float) -> None:
    variables = start()
    optimizer = AdamW(average=momentum).make(variables, [1.0] * 3)
    expected = np.array(variables[0].numpy())
    np.testing.assert_array_equal(averaged(optimizer, variables)[0], expected)  # type: ignore[index]
    for step in range(30):
        run(optimizer, variables, range(step, step + 1))
        share = min(momentum, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * variables[0].numpy()
        mean = averaged(optimizer, [variables[2], variables[0]])
        assert mean is not None
        assert mean[0].shape == SHAPES[2]
        np.testing.assert_allclose(mean[1], expected, rtol=1e-5, atol=1e-6)


def test_without_an_average_there_is_none() -> None:
    variables = start()
    assert averaged(AdamW(average=None).make(variables, [1.0] * 3), variables) is None


@EACH
def test_resumed_from_its_state_it_goes_on_exactly(settings: Optimizer) -> None:
    variables = start()
    optimizer = settings.make(variables, [1.0, 0.5, 0.5])
    halfway = run(optimizer, variables, range(3))
    kept = state(optimizer)
    expected = run(optimizer, variables, range(3, 6))
    again = start()
    other = settings.make(again, [1.0, 1.0, 1.0])
    for variable, value in zip(again, halfway, strict=True):
        variable.assign(value)
    restore(other, kept)
    for one, two in zip(run(other, again, range(3, 6)), expected, strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(state(other), state(optimizer), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_state_of_another_optimizer_is_refused() -> None:
    variables = start()
    optimizer = AdamW().make(variables, [1.0] * 3)
    for wrong in (state(optimizer)[:-1], state(SGD().make(variables, [1.0] * 3))):
        with pytest.raises(ValueError, match="are not the state of this optimiser"):
            restore(optimizer, wrong)


@EACH
def test_another_trial_with_other_settings_needs_no_other_trace(settings: Optimizer) -> None:
    import tensorflow as tf

    variables = start()
    traces = 0
    optimizer = settings.make(variables, [1.0] * 3)

    @tf.function  # type: ignore[untyped-decorator]
    def traced(*gradient: Any) -> None:
        nonlocal traces
        traces += 1
        optimizer.apply(gradient, variables)

    def trial() -> None:
        for step in range(4):
            optimizer.learning_rate = 0.02 / (step + 1)
            traced(*map(tf.constant, gradients(step)))

    trial()
    other = replace(settings, weight_decay=0.3, layer_decay=0.5, average=0.2, learning_rate=1.0, warm_up=0.5)
    assert other.traced == settings.traced
    for variable, value in zip(variables, start(), strict=True):
        variable.assign(value)
    other.adjust(optimizer, [0.25, 0.5, 1.0])
    optimizer.restart()
    trial()
    assert traces == 1
    got = [np.array(variable.numpy()) for variable in variables], averaged(optimizer, variables), state(optimizer)
    for variable, value in zip(variables, start(), strict=True):
        variable.assign(value)
    optimizer = other.make(variables, [0.25, 0.5, 1.0])
    for step in range(4):
        optimizer.learning_rate = 0.02 / (step + 1)
        optimizer.apply(gradients(step), variables)
    new = [variable.numpy() for variable in variables], averaged(optimizer, variables), state(optimizer)
    for ours, theirs in zip(got, new, strict=True):
        assert ours is not None
        assert theirs is not None
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_what_is_traced_tells_optimizers_apart() -> None:
    different = [*OPTIMIZERS.values(), AdamW(beta_1=0.8), AdamW(clip_norm=None), AdamW(average=None)]
    for index, one in enumerate(different):
        assert [one.traced == other.traced for other in different] == [index == place for place in range(6)]


def test_each_variable_wants_its_multiplier() -> None:
    with pytest.raises(ValueError, match="3 variables came with 2 multipliers"):
        AdamW().make(start(), [1.0, 1.0])


@given(
    schedule=st.sampled_from(["cosine", "one_cycle", "constant"]),
    warm_up=st.floats(0, 0.99),
    final=st.floats(0, 1),
    steps=st.integers(1, 300),
)
def test_the_rate_rises_to_the_peak_and_falls_to_its_end(
    schedule: str, warm_up: float, final: float, steps: int
) -> None:
    peak = 0.3
    plan = AdamW(learning_rate=peak, schedule=schedule, warm_up=warm_up, final=final)
    rates = np.array([plan.rate(step, steps) for step in range(steps)])
    top = max(round(warm_up * steps) - 1, 0)
    assert rates.max() <= peak * (1 + 1e-9)
    assert rates[top] == pytest.approx(peak)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) <= 1e-12).all()
    assert rates[:top].min(initial=peak) > 0
    if top < steps - 1:
        assert rates[-1] == pytest.approx(peak * (1.0 if schedule == "constant" else final))


def test_the_shapes_of_the_schedules() -> None:
    linear = AdamW(learning_rate=1.0, warm_up=0.4)
    assert [linear.rate(step, 10) for step in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert linear.rate(6, 10) == pytest.approx(0.5)
    cycle = AdamW(learning_rate=1.0, warm_up=0.5, schedule="one_cycle")
    assert [cycle.rate(step, 10) for step in (0, 2, 4)] == pytest.approx([0.04, 0.52, 1.0])
    with pytest.raises(ValueError, match="10 steps has no step 10"):
        linear.rate(10, 10)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (AdamW, "learning_rate", 0),
        (AdamW, "learning_rate", float("nan")),
        (AdamW, "learning_rate", "fast"),
        (AdamW, "weight_decay", -0.1),
        (AdamW, "schedule", "step"),
        (AdamW, "warm_up", 1.0),
        (AdamW, "final", 1.5),
        (AdamW, "layer_decay", 0.0),
        (AdamW, "clip_norm", 0.0),
        (AdamW, "average", 1.0),
        (AdamW, "average", True),
        (AdamW, "beta_2", 1.0),
        (SGD, "momentum", 1.0),
        (SGD, "nesterov", "yes"),
        (Lion, "beta_1", 0.0),
    ],
)
def test_a_setting_that_cannot_work_is_named(kind: Any, field: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"^optimizer\.{field}={value}: it must be .*; set optimizer\.{field}="):
        kind(**{field: value})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_shipped_option_holds_every_default_and_searches_what_works(name: str) -> None:
    option = yaml.safe_load((shipped_dir("conf") / "optimizer" / f"{name}.yaml").read_text(encoding="utf-8"))
    space = option.pop("_space_")
    settings = OPTIMIZERS[name]
    assert option.pop("_target_") == f"wellai_exp.training.{type(settings).__name__}"
    assert option == {field.name: getattr(settings, field.name) for field in fields(settings)}
    for key, text in space.items():
        found = parse_distribution(f"optimizer.{key}", text)
        assert isinstance(found, Interval)
        assert found.low <= option[key] <= found.high
        for end in (found.low, found.high):
            type(settings)(**{**option, key: end})
