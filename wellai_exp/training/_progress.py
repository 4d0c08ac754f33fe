"""A line in the terminal while a model trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wellai_exp.errors import TrialFailed


@contextmanager
def epoch_progress(title: str, epochs: int) -> Iterator[Any]:
    """Give a Keras callback that shows epoch, loss and accuracy, and ends a training whose loss is no number.

    Raises
    ------
    TrialFailed
        From within ``fit``, naming the epoch.
    """
    import keras
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("epoch {task.completed}/{task.total}"))
    shown = (*columns, TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*shown, transient=True) as progress:
        task = progress.add_task(title, total=epochs, state="")

        class Line(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                values = logs or {}
                loss = values.get("loss", float("nan"))
                if not -float("inf") < loss < float("inf"):
                    raise TrialFailed(f"the loss was {loss} after epoch {epoch + 1}; lower the learning rate")
                progress.update(task, advance=1, state=f"loss {loss:.3f} accuracy {values.get('accuracy', 0):.3f}")

        yield Line()
