"""Measure a bundle before a camera, what this machine does, what evidence tells apart, what cleaning finds."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from wellai_exp.benchmark import Latency, LatencyBook, measure_collecting
from wellai_exp.config import Composer, build
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.export import Runtime
from wellai_exp.models import Backbone
from wellai_exp.paths import ensure_dir
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.training import FineTune, measure_input_pipeline
from wellai_exp.verbs._benchmark_clean import clean_benchmark
from wellai_exp.verbs._benchmark_evidence import evaluation_benchmark, power_benchmark
from wellai_exp.verbs._benchmark_machine import machine_benchmark
from wellai_exp.verbs._benchmark_probe import extraction_benchmark, solver_benchmark
from wellai_exp.verbs._benchmark_stream import stream_benchmark
from wellai_exp.verbs._benchmark_workers import workers_benchmark
from wellai_exp.verbs._collect_screen import CollectScreen
from wellai_exp.verbs._listed import listed
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._workbench import Workbench, make_choices


def run(cfg: DictConfig) -> None:
    """Run the benchmark of a bundle, or the one that the setting `what` names."""
    if cfg.bundle is not None:
        stream_benchmark(cfg)
        return
    what = "latency" if cfg.what is None else cfg.what
    if what not in _BENCHMARKS:
        raise SettingError("what", what, "there is no such benchmark", f"choose one of {', '.join(_BENCHMARKS)}")
    _BENCHMARKS[what](cfg)


def _latency(cfg: DictConfig) -> None:
    """Show a table of latencies; what was measured before on this machine is read from the store."""
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    runtime: Runtime = build(cfg, "runtime")
    n_classes = whole_number("n_classes", cfg.n_classes, "set n_classes=82")
    frames = whole_number("frames", cfg.frames, "set frames=50")
    warm_up = whole_number("warm_up", cfg.warm_up, "set warm_up=10")
    effort = {} if cfg.seconds is None else {"seconds": cfg.seconds}
    book = LatencyBook(store / "benchmarks", frames, warm_up, **effort)
    candidates = _candidates(cfg)
    # Before anything else starts TensorFlow, whose threads cannot be changed later.
    runtime.prepare()
    prepare_tensorflow()
    console = Console()
    rows = []
    for option, backbone in candidates:
        with console.status(f"measuring {option} at {backbone.size} px"):
            try:
                rows.append((option, backbone.size, book.of(backbone, n_classes, runtime)))
            except TrialFailed as failed:
                raise SettingError(
                    "backbones", option, str(failed), "leave it out, or choose another runtime"
                ) from failed
    console.print(_table(rows))
    console.print(
        f"{runtime.name}, threads: {runtime.n_threads}; {rows[0][2].machine}", highlight=False, soft_wrap=True
    )


def _candidates(cfg: DictConfig) -> list[tuple[str, Backbone]]:
    """Make each backbone asked for at each size asked for, with its option's name."""
    composer = Composer.running()
    named: list[tuple[str, Backbone]] = []
    for option in listed(cfg.backbones):
        try:
            named.append((str(option), build(composer.trial([f"backbone={option}"]), "backbone")))
        except TrialFailed as failed:
            # The command line makes a sentence of Hydra's own error, which is what the user of a verb typed wrong.
            raise failed.__cause__ or failed from None
    if not named:
        named = [(composer.chosen(())["backbone"], build(cfg, "backbone"))]
    sizes = [whole_number("sizes", size, "set sizes=[160,224]") for size in listed(cfg.sizes)]
    if not sizes:
        return named
    return [(option, backbone.at_size(size)) for option, backbone in named for size in sizes]


def _table(rows: list[tuple[str, int, Latency]]) -> Table:
    table = Table(title="One frame at a time", title_justify="left")
    for heading in ("backbone", "size (px)", "latency (ms)", "p95 (ms)", "fps", "size (MB)"):
        table.add_column(heading, justify="left" if heading == "backbone" else "right")
    for option, size, found in rows:
        numbers = (f"{found.latency_ms:.2f}", f"{found.p95_ms:.2f}", f"{found.fps:.1f}", f"{found.size_mb:.2f}")
        table.add_row(option, str(size), *numbers)
    return table


def _input_pipeline(cfg: DictConfig) -> None:
    """Show what the input pipeline leaves of a network's training speed, full epochs on the composed data."""
    bench = Workbench.open(cfg)
    rounds = whole_number("rounds", cfg.rounds, "set rounds=3", least=1)
    choices, regime = make_choices(cfg), build(cfg, "regime")
    if not isinstance(regime, FineTune):
        raise SettingError("regime", regime.name, "it trains no network", "add regime=finetune")
    console = Console()
    with console.status("training, from memory and from the pipeline in turn"):
        rates = measure_input_pipeline(bench.shared, regime, choices, rounds=rounds)
    table = Table("training from", "images/s", title="Input pipeline", title_justify="left")
    table.add_row("train_on_batch, batches in memory", f"{rates.train_on_batch:.1f}")
    table.add_row("our step, batches in memory", f"{rates.in_memory:.1f}")
    table.add_row("our step, whole epochs through the pipeline", f"{rates.epoch:.1f}")
    console.print(table)
    console.print(
        f"an epoch runs at {100 * rates.share:.1f} % of train_on_batch in memory (median of {rounds} rounds)",
        highlight=False,
    )


def _collect(cfg: DictConfig) -> None:
    """Show how many photographs a second are collected from a local server."""
    urls = whole_number("urls", cfg.urls, "set urls=10000", least=1)
    console = Console()
    with CollectScreen(console).shown() as screen:
        rate = measure_collecting(urls, int(cfg.seed), screen)
    console.print(
        f"{rate.urls:,} URLs of a local server in {rate.seconds:.1f} s: {rate.urls_per_second:.0f} URLs a second, "
        f"{rate.got:,} photographs, {rate.megabytes:.0f} MB; "
        f"{1000 * rate.cpu_seconds / rate.urls:.1f} ms of CPU each; load average {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores",
        highlight=False,
        soft_wrap=True,
    )


_BENCHMARKS = {
    "latency": _latency,
    "input_pipeline": _input_pipeline,
    "extraction": extraction_benchmark,
    "solver": solver_benchmark,
    "machine": machine_benchmark,
    "evaluation": evaluation_benchmark,
    "power": power_benchmark,
    "collect": _collect,
    "clean": clean_benchmark,
    "workers": workers_benchmark,
}
