"""Where a sweep's time went: of each trial, and of the whole command."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import psutil
from rich.console import Console
from rich.table import Table

from wellai_exp.ledger import PARTS, Ledger

WORK = ("extract", "fit")
"""What a search is for; the rest is what it costs beside."""


def show_profile(console: Console, trials: Mapping[str, list[float]], ledger: Ledger) -> None:
    """Print both tables, and the share of what is neither extraction nor fitting.

    Parameters
    ----------
    console : rich.console.Console
        Where to.
    trials : mapping of str to list of float
        Seconds of each part of each trial.
    ledger : Ledger
        Of this process, with what its workers told.
    """
    if trials:
        console.print(_trials_table(trials))
    # From the process's own start, which Python's and Hydra's imports come after.
    passed = time.time() - psutil.Process().create_time()
    console.print(_ledger_table(ledger, passed))
    if (wait := ledger.between("import", "propose")) is not None:
        console.print(f"the first trial began {wait:.1f} s after TensorFlow's import", highlight=False)
    share = 100.0 * beside(ledger, passed)
    console.print(f"{share:.1f} % of {passed:.1f} s is neither extract nor fit", highlight=False)


def beside(ledger: Ledger, passed: float) -> float:
    """Give the share of all processes' seconds that is neither extraction nor fitting; waiting for workers is neither.

    Parameters
    ----------
    ledger : Ledger
        Seconds by part.
    passed : float
        Of this process since its start.
    """
    busy = passed - ledger.seconds.get("wait", 0.0) + sum(ledger.elsewhere.values())
    work = sum(ledger.seconds.get(part, 0.0) + ledger.elsewhere.get(part, 0.0) for part in WORK)
    return 1.0 - work / busy


def _trials_table(seconds: Mapping[str, list[float]]) -> Table:
    table = Table(title="Seconds a trial", title_justify="left")
    for heading in ("part", "trials", "median", "largest"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, values in seconds.items():
        table.add_row(part, str(len(values)), f"{statistics.median(values):.3f}", f"{max(values):.3f}")
    return table


def _ledger_table(ledger: Ledger, passed: float) -> Table:
    table = Table(title="Seconds of the whole command", title_justify="left")
    for heading in ("part", "seconds", "share", *(["in workers"] if ledger.elsewhere else [])):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    rows = {part: ledger.seconds.get(part, 0.0) for part in PARTS}
    rows["other"] = passed - sum(ledger.seconds.values())
    for part, seconds in rows.items():
        cells = [f"{seconds:.1f}", f"{100.0 * seconds / passed:.1f} %"]
        if ledger.elsewhere:
            cells.append(f"{ledger.elsewhere.get(part, 0.0):.1f}")
        table.add_row(part, *cells)
    return table
