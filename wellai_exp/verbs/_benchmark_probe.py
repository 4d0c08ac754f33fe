"""How near a probe comes to what this machine can do: taking features, and fitting heads on them."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from wellai_exp.training import measure_extraction, measure_solver
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._workbench import Workbench, make_choices


def extraction_benchmark(cfg: DictConfig) -> None:
    """Show images a second from files to features, beside the bare network's."""
    rounds = whole_number("rounds", cfg.rounds, "set rounds=3", least=1)
    bench, backbone = Workbench.open(cfg), make_choices(cfg).backbone
    console = Console()
    with console.status("taking features from files, and running the bare network, in turn"):
        rates = measure_extraction(bench.shared, backbone, str(cfg.regime.resize), rounds=rounds)
    table = Table("", "images/s", title=f"Features of {len(bench.manifest.frame):,} images", title_justify="left")
    table.add_row(f"{backbone.members[0].name}, batches in memory", f"{rates.forward:.0f}")
    table.add_row("from files to the store", f"{rates.extraction:.0f}")
    for threads, rate in rates.decoding.items():
        table.add_row(f"decoding alone, threads: {threads}", f"{rate:.0f}")
    console.print(table)
    console.print(
        f"features are taken at {100 * rates.share:.1f} % of the bare network's rate (median of {rounds} rounds)",
        highlight=False,
    )


def solver_benchmark(cfg: DictConfig) -> None:
    """Show how long the heads of all folds take, beside the least that their matrix products could."""
    rounds = whole_number("rounds", cfg.rounds, "set rounds=3", least=1)
    bench, choices = Workbench.open(cfg), make_choices(cfg)
    manifest = bench.manifest
    dim = int(choices.backbone.members[0].build().output_shape[-1])
    shape = manifest.n_folds, len(manifest.train), dim, len(manifest.classes)
    console = Console()
    with console.status("fitting heads, and multiplying matrices, in turn"):
        rate = measure_solver(*shape, bench.shared.seed, rounds=rounds)
    folds, rows, dim, classes = shape
    console.print(
        f"{folds} folds on {rows:,} x {dim} features, {classes} classes: {rate.seconds:.2f} s for "
        f"{rate.operations / 1e9:.0f} GFLOP, {rate.ratio:.2f} times what the machine's {rate.matrix_rate / 1e9:.0f} "
        f"GFLOP/s allow (median of {rounds} rounds)",
        highlight=False,
        soft_wrap=True,
    )
