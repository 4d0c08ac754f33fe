"""A line in the terminal while a network trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from wellai_exp.training._checkpoint import EpochRecord
from wellai_exp.training._results import Watcher


@contextmanager
def epoch_progress(title: str, epochs: int, watcher: Watcher) -> Iterator[Watcher]:
    """Give a watcher that shows epoch, loss, images per second and the time left, and tells another all it hears."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.fields[epoch]}/{task.fields[of]}"),
    )
    shown = (*columns, TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*shown, transient=True) as progress:
        task = progress.add_task(title, total=float(epochs), epoch=0, of=epochs, state="")

        class Line:
            def __init__(self) -> None:
                self.done = 0

            def step(self, done: int, steps: int, loss: float, images_per_second: float) -> None:
                state = f"loss {loss:.3f} {images_per_second:.0f} images/s"
                progress.update(task, completed=self.done + done / steps, epoch=self.done + 1, state=state)
                watcher.step(done, steps, loss, images_per_second)

            def epoch(self, record: EpochRecord) -> None:
                self.done = record.epoch
                progress.update(task, completed=float(record.epoch), epoch=record.epoch)
                watcher.epoch(record)

            def folds(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
                watcher.folds(done, total, metrics)

        yield Line()
