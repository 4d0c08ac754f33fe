"""What precision, oneDNN, threads and batch sizes are worth on this machine."""

from __future__ import annotations

from dataclasses import fields

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from wellai_exp.config import build
from wellai_exp.runtime import cores, prepare_tensorflow
from wellai_exp.training import FineTune, MachineRates, MachineSetting, measure_machine, settings_around
from wellai_exp.verbs._numbers import real_number, whole_number
from wellai_exp.verbs._workbench import make_choices


def machine_benchmark(cfg: DictConfig) -> None:
    """Show images a second of one network in each setting, and how far that is from the usual one."""
    rounds = whole_number("rounds", cfg.rounds, "set rounds=3", least=1)
    n_classes = whole_number("n_classes", cfg.n_classes, "set n_classes=82", least=2)
    seconds = 2.0 if cfg.seconds is None else real_number("seconds", cfg.seconds, "set seconds=2")
    choices, regime = make_choices(cfg), build(cfg, "regime")
    regime = regime if isinstance(regime, FineTune) else FineTune()
    usual = MachineSetting(threads=cores(), batch_size=regime.batch_size)
    # The recipe asks TensorFlow for a GPU, which else writes to the terminal what it looks for.
    prepare_tensorflow()
    console = Console()
    with console.status("") as status:
        found = measure_machine(
            regime.recipe(choices),
            n_classes,
            settings_around(usual, cores()),
            rounds=rounds,
            seconds=seconds,
            say=status.update,
        )
    console.print(_table(f"{choices.backbone.name}, median of {rounds} rounds", found))


def _table(title: str, found: list[MachineRates]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("changed", "features/s", "", "training images/s", ""):
        table.add_column(heading, justify="left" if heading == "changed" else "right")
    usual = found[0]
    for rates in found:
        cells = []
        for work in ("features", "training"):
            cells += [f"{rates.rate(work):.1f}", "" if rates is usual else f"x {rates.gain(usual, work):.2f}"]
        table.add_row(_changed(rates.setting, usual.setting), *cells)
    return table


def _changed(setting: MachineSetting, usual: MachineSetting) -> str:
    """Name what is other than usual; the usual setting names all it has."""
    values = {each.name: getattr(setting, each.name) for each in fields(MachineSetting)}
    others = {name: value for name, value in values.items() if value != getattr(usual, name)} or values
    return ", ".join(f"{name}={value}" for name, value in others.items())
