"""Who follows a training: the tracking run, the pruner and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wellai_exp.search import Pruned, Report
from wellai_exp.tracking import Run
from wellai_exp.training import EpochRecord

Say = Callable[[str], None]


class Unheard:
    """Takes reports that nobody judges."""

    def __call__(self, epoch: int, metrics: Mapping[str, float], *, last: bool = False) -> None:
        """Do nothing."""

    def finished(self, metrics: Mapping[str, float]) -> None:
        """Do nothing."""


unheard = Unheard()


@dataclass
class Follower:
    """Writes every epoch to a run, reports it to the search, and keeps the terminal's line up to date.

    Parameters
    ----------
    run : Run
        Where epochs are logged.
    say : callable
        Shows a text while the training runs.
    title : str
        What is trained, for the terminal.
    report : callable
        Judges each epoch; its exception ends the training.
    known : mapping of str to float
        Metrics that no epoch changes, such as the latency.
    part : str
        The first part of its metrics' names.
    """

    run: Run
    say: Say
    title: str
    report: Report = unheard
    known: Mapping[str, float] = field(default_factory=dict)
    part: str = "epoch"
    _done: int = 0
    _best: float = float("nan")

    def step(self, done: int, steps: int, loss: float, images_per_second: float) -> None:
        """Show where the epoch stands."""
        best = "" if self._best != self._best else f", best {self._best:.4f}"
        self.say(
            f"{self.title} epoch {self._done + 1} {100 * done // steps}%, loss {loss:.3f}, "
            f"{images_per_second:.0f} images/s{best}"
        )

    def epoch(self, record: EpochRecord) -> None:
        """Log an epoch, then let the search judge it."""
        self._done = record.epoch
        facts = {
            "loss": record.loss,
            "learning_rate": record.learning_rate,
            "images_per_second": record.images_per_second,
            "seconds": record.seconds,
            "image_size": float(record.size),
        }
        self.run.log_metrics(
            {f"{self.part}/{name}": value for name, value in {**facts, **record.metrics}.items()}, step=record.epoch
        )
        if record.metrics:
            value = record.metrics["auc_pr_macro"]
            self._best = value if self._best != self._best else max(self._best, value)
            self.report(record.epoch, {**record.metrics, **self.known}, last=record.epoch == record.epochs)

    def folds(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """Log the means so far, then let the search judge them."""
        self.run.log_metrics({f"folds/{name}": value for name, value in metrics.items()}, step=done)
        try:
            self.report(done, {**metrics, **self.known}, last=done == total)
        except Pruned:
            raise Pruned(f"stopped after {done} of {total} folds") from None
