"""Read a search space written in Hydra's own grammar for sweeps."""

from __future__ import annotations

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from wellai_exp.errors import SettingError
from wellai_exp.search import Choice, Distribution, Integers, Interval

_HELP = "write choice(a, b), range(1, 10), interval(0.1, 1.0) or tag(log, interval(0.001, 0.1))"


def parse_distribution(setting: str, text: object) -> Distribution:
    """Turn one entry of a space into a distribution.

    Parameters
    ----------
    setting : str
        Where it stands, for the error, e.g. ``search.space.imbalance``.
    text : object
        The grammar: ``choice(…)``, ``range(start, stop[, step])`` (`stop` left out, as in Hydra and Python),
        ``interval(low, high)``; ``tag(log, …)`` around the last two for a logarithmic scale.

    Raises
    ------
    SettingError
        Where it is none of these.
    """
    try:
        override = OverridesParser.create().parse_override(f"key={text}")
    except HydraException as error:
        raise SettingError(setting, text, "this is not a distribution in Hydra's grammar", _HELP) from error
    value = override.value()
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, ChoiceSweep):
        if not value.list:
            raise SettingError(setting, text, "the choice is empty", _HELP)
        return Choice(tuple(Override._get_value_element_as_str(element) for element in value.list))
    if isinstance(value, IntervalSweep):
        low, high = float(value.start or 0.0), float(value.end or 0.0)
        _check_order(setting, text, low, high, log)
        return Interval(low, high, log)
    if isinstance(value, RangeSweep):
        return _range(setting, text, value, log)
    raise SettingError(setting, text, "this is one value, not a distribution", _HELP)


def _range(setting: str, text: object, value: RangeSweep, log: bool) -> Distribution:
    parts = [value.start, value.stop, value.step]
    if any(part is None or part != int(part) for part in parts):
        raise SettingError(setting, text, "a range holds whole numbers", _HELP)
    low, stop, step = (int(part) for part in parts if part is not None)
    if step < 1:
        raise SettingError(setting, text, "the step must be at least 1", _HELP)
    high = low + (stop - 1 - low) // step * step
    _check_order(setting, text, low, high, log)
    if log and step != 1:
        raise SettingError(setting, text, "a logarithmic range has no step", "leave the step out")
    return Integers(low, high, step, log)


def _check_order(setting: str, text: object, low: float, high: float, log: bool) -> None:
    if low >= high:
        raise SettingError(setting, text, "the lower end must lie below the upper one", _HELP)
    if log and low <= 0:
        raise SettingError(setting, text, "a logarithmic scale starts above 0", _HELP)
