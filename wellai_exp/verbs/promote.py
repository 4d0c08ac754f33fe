"""Make a registered version the champion, where every gate lets it through."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellai_exp.benchmark import LatencyBook
from wellai_exp.config import build
from wellai_exp.data import manifests_folder
from wellai_exp.errors import DataError, SettingError, StoreError, WellaiError
from wellai_exp.export import Runtime
from wellai_exp.promotion import Gate, Verdict, document, gather, judge
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.tracking import Judgement, ModelRef, Registry, Tracker, load
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._workbench import open_tracker


def run(cfg: DictConfig) -> None:
    """Judge a version; where it passes, move the alias and record who, when, from which version, why and how judged."""
    gates, reason = _gates(cfg), _reason(cfg)
    wanted = None if cfg.version is None else whole_number("version", cfg.version, "type --version 1")
    tracker = open_tracker(cfg)
    registry = Registry(tracker.tracking)
    version, champion = registry.choose(str(cfg.model), wanted, str(cfg.alias))
    console = Console()
    with console.status(Text(f"judging {cfg.model}/{version}")):
        verdicts, kept = _judge(cfg, tracker, gates, version, champion)
    console.print(_table(f"{cfg.model} version {version}", verdicts))
    passed = {verdict.gate: verdict.passed for verdict in verdicts}
    judgement = Judgement(version, champion, passed, kept, forced=cfg.force)
    if judgement.verdict == "failed":
        registry.refuse(str(cfg.model), judgement, who=getpass.getuser(), alias=str(cfg.alias))
        raise WellaiError(_refusal(cfg, version, champion, passed))
    done = registry.promote(
        str(cfg.model),
        version,
        who=getpass.getuser(),
        reason=reason,
        alias=str(cfg.alias),
        judgement=judgement,
    )
    forced = "" if done.verdict == "passed" else ", against its gates"
    console.print(
        f"{done.name} version {done.version} is now {done.alias}{forced} (before: {done.previous or 'none'})",
        markup=False,
    )
    console.print(Text("undo it with ").append(f"wellai-exp rollback {shlex.quote(done.name)}", style="bold"))


def _gates(cfg: DictConfig) -> list[Gate]:
    """Make the gates that the config lists, each named by its key."""
    names = [str(name) for name in OmegaConf.select(cfg, "promotion") or ()]
    if not names:
        raise SettingError("promotion", "[]", "nothing would be judged", "set promotion=default")
    gates = [build(cfg, f"promotion.{name}", name=name) for name in names]
    for gate, name in zip(gates, names, strict=True):
        if not isinstance(gate, Gate):
            raise SettingError(f"promotion.{name}", type(gate).__name__, "it is no gate", "choose one of promotion=")
    return gates


def _reason(cfg: DictConfig) -> str:
    """Give the reason; who overrides the gates must name one."""
    if not isinstance(cfg.force, bool):
        raise SettingError("force", cfg.force, "it must be true or false", "type --force")
    reason = "" if cfg.reason is None else str(cfg.reason).strip()
    if cfg.force and not reason:
        raise SettingError("force", "true", "a promotion against its gates needs a reason", "add --reason 'why'")
    return reason or "no reason given"


def _judge(
    cfg: DictConfig, tracker: Tracker, gates: Sequence[Gate], version: int, champion: int | None
) -> tuple[list[Verdict], dict[str, object]]:
    """Ask the gates; gives what they say, and the same in plain values with what it rests on."""
    store, runtime = Path(str(cfg.paths.store)), build(cfg, "runtime")

    def latency_ms(model: ModelRef) -> float:
        return _latency(store, runtime, model)

    manifests = manifests_folder(store)
    try:
        evidence = gather(tracker, str(cfg.model), version, champion, manifests, runtime.name, latency_ms)
    except (DataError, StoreError) as error:
        if not cfg.force:
            raise
        verdicts = [Verdict("evidence", False, str(error))]
        return verdicts, document(verdicts)
    verdicts = judge(gates, evidence)
    return verdicts, document(verdicts, evidence)


def _latency(store: Path, runtime: Runtime, model: ModelRef) -> float:
    """Measure one frame of a model, or read what was measured on this machine before."""

    def loaded() -> object:
        runtime.prepare()
        prepare_tensorflow()
        return load(model)

    return LatencyBook(store / "benchmarks").of_model(model.sha256, loaded, runtime).latency_ms


def _table(title: str, verdicts: Sequence[Verdict]) -> Table:
    table = Table(title=Text(f"{title} before its gates"), title_justify="left")
    for heading in ("gate", "", "what it found"):
        table.add_column(heading)
    for verdict in verdicts:
        mark = Text("passed", "green") if verdict.passed else Text("refused", "bold red")
        table.add_row(Text(verdict.gate), mark, Text(verdict.sentence))
    return table


def _refusal(cfg: DictConfig, version: int, champion: int | None, passed: dict[str, bool]) -> str:
    refusing = [gate for gate, good in passed.items() if not good]
    still = "nobody" if champion is None else f"version {champion}"
    store = f" paths.store={cfg.paths.store}" if str(cfg.paths.store) != "mlruns" else ""
    command = f"wellai-exp promote {shlex.quote(str(cfg.model))} --version {version}{store} --force --reason 'why'"
    return (
        f"{cfg.model}/{version} is not promoted: {len(refusing)} of {len(passed)} gates refuse it "
        f"({', '.join(refusing)}); {cfg.alias} is {still} as before. To promote it all the same type `{command}`."
    )
