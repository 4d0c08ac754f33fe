"""How many trials a second the machinery itself allows: study, tracking and workers, with nothing to compute."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from wellai_exp.compute import Place
from wellai_exp.config import build
from wellai_exp.errors import StoreError
from wellai_exp.paths import ensure_dir
from wellai_exp.search import Search
from wellai_exp.verbs._instant import InstantSweep
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._screen import Speaker


def workers_benchmark(cfg: DictConfig) -> None:
    """Show how many trials a second there are."""
    trials = whole_number("trials", cfg.trials, "set trials=1000", least=1)
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    place: Place = build(cfg, "compute")
    search: Search = build(cfg, "search")
    console = Console()
    with tempfile.TemporaryDirectory(dir=store, prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        settings = replace(search, n_trials=trials, pruner=None)
        # By a name of its own: in a database that machines share, an earlier benchmark's trials would count.
        sweep = InstantSweep(Path(folder), settings, place, seed=int(cfg.seed), name=Path(folder).name)
        # Workers come to their first trial seconds after the start; both are of interest.
        marks: list[float] = []
        begun = time.perf_counter()
        with Speaker(console).line("trials") as speaker:

            def finished() -> None:
                marks.append(time.perf_counter())
                speaker.say(f"{len(marks)}/{trials}")

            study = sweep.run(finished)
        table = study.trials()
    failed = int((table["state"] != "COMPLETE").sum())
    if failed or len(table) != trials:
        raise StoreError(f"{failed} of {len(table)} trials failed: {table['reason'].iloc[-1]}.")
    rate = (len(marks) - 1) / (marks[-1] - marks[0]) if len(marks) > 1 else float("nan")
    console.print(
        f"{trials:,} trials of {type(search.make_sampler(0)).__name__} by {place.workers} workers, {failed} failed: "
        f"{rate:.1f} trials a second from the first to the last, {trials / (marks[-1] - begun):.1f} with the start of "
        f"the workers; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        highlight=False,
        soft_wrap=True,
    )
