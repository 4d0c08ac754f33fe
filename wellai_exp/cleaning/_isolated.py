"""Run a function on many items in processes that may hang, crash or run out of memory, each at the cost of one item."""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from wellai_exp.errors import SettingError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that wait for a worker beyond those being worked on: none idles, and results in memory stay few.
_AHEAD = 8
# One thread a worker: as many workers as cores are busy already, and each thread's stack counts as address space.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """What one item may take.

    Parameters
    ----------
    memory_gb : float
        Address space of a worker, 2³⁰ bytes; held where the system can (Linux can, macOS cannot).
    seconds : float
        Time for one item.
    workers : int, optional
        Processes at once; by default one for each core.

    Raises
    ------
    SettingError
        Where a number cannot work.
    """

    memory_gb: float = 2.0
    seconds: float = 10.0
    workers: int | None = None

    def __post_init__(self) -> None:
        for setting, least in (("memory_gb", 1.0), ("seconds", 0.1)):
            value = getattr(self, setting)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
                remedy = f"set limits.{setting}={getattr(Limits, setting):g}"
                raise SettingError(f"limits.{setting}", value, f"it must be a number, at least {least:g}", remedy)
        workers: object = self.workers
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise SettingError(
                "limits.workers", workers, "it must be a whole number, at least 1, or null", "set limits.workers=null"
            )

    @property
    def processes(self) -> int:
        """How many workers there are on this machine."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers or cores


@dataclass(frozen=True)
class Failure:
    """Why there is no result for an item.

    Parameters
    ----------
    kind : {"hang", "crash", "memory"}
        It took longer than its time, its process died or the function raised, or it wanted more memory than it may.
    reason : str
        The same in words.
    """

    kind: Literal["hang", "crash", "memory"]
    reason: str


def isolated(
    function: Callable[[Item], Result], items: Sequence[Item], limits: Limits
) -> Iterator[tuple[int, Result | Failure]]:
    """Yield each item's place with what `function` made of it, in order.

    Parameters
    ----------
    function : callable
        Can be pickled; what it prints is not shown.
    items : sequence
        Can be pickled.
    limits : Limits
        What one item may take.

    Yields
    ------
    int, object
        The result, or a `Failure`; no item ends the others.
    """
    import multiprocessing

    from pebble import ProcessPool

    if not items:
        return
    # Spawned, because a fork of a process that has started threads (TensorFlow's, say) may deadlock.
    context = multiprocessing.get_context("spawn")
    n_workers = min(limits.processes, len(items))
    pool = ProcessPool(n_workers, initializer=_confine, initargs=(limits.memory_gb,), context=context)
    waiting: deque[tuple[int, Future[Result]]] = deque()
    kept = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        for place, item in enumerate(items):
            waiting.append((place, pool.schedule(function, args=(item,), timeout=limits.seconds)))
            if len(waiting) >= n_workers + _AHEAD:
                yield _outcome(*waiting.popleft(), limits)
        while waiting:
            yield _outcome(*waiting.popleft(), limits)
        pool.close()
    finally:
        # Also reached where the caller stops early.
        pool.stop()
        pool.join()
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _outcome(place: int, future: Future[Any], limits: Limits) -> tuple[int, Any]:
    from pebble import ProcessExpired

    try:
        return place, future.result()
    except TimeoutError:
        return place, Failure("hang", f"it takes longer than {limits.seconds:g} s")
    except MemoryError:
        return place, Failure("memory", f"it takes more than {limits.memory_gb:g} GB of memory")
    except ProcessExpired as error:
        return place, Failure("crash", f"it ends the process that reads it (exit status {error.exitcode})")
    except Exception as error:  # whatever a library raised on one file is that file's verdict, not the others' end
        return place, Failure("crash", f"it breaks the reader ({type(error).__name__}: {error})")


def _confine(memory_gb: float) -> None:
    """Prepare a worker: its memory bounded, Ctrl-C left to the parent, the libraries' complaints unheard."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    with suppress(ImportError, ValueError, OSError):
        import resource

        wanted = int(memory_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
