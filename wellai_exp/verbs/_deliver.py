"""What was kept on disk while the tracking server was away is brought there, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from wellai_exp.tracking import Delivery, Tracking, settle, sync


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show how many of how many entries were brought there, from the first time that there is anything to show."""
    progress = Progress(transient=True)
    task = progress.add_task("to the tracking server")

    def tell(done: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)

    try:
        yield tell
    finally:
        if progress.live.is_started:
            progress.stop()


def bring(tracking: Tracking) -> Delivery:
    """Bring there what commands that have ended left behind."""
    with _bar() as tell:
        return sync(tracking, tell)


def catch_up(tracking: Tracking) -> None:
    """Bring there what an earlier command left, so that what goes on from it finds all of it there."""
    if not tracking.is_server:
        return
    done, console = bring(tracking), Console()
    if done.entries:
        console.print(f"brought {done.entries} entries of {done.runs} earlier runs to the server", highlight=False)
    for sentence in done.left:
        console.print(f"still not brought to the server: {sentence}", highlight=False, markup=False)


def finish() -> None:
    """Bring there what this command has logged.

    Raises
    ------
    StoreError
        Where something stays on disk.
    """
    most = 0
    with _bar() as show:

        def tell(left: int) -> None:
            nonlocal most
            most = max(most, left)
            show(most - left, most)

        settle(tell)
