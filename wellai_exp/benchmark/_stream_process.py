"""One artifact in one runtime fed by a camera, in a process of its own: its memory and its crash are its own too."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wellai_exp.benchmark._stream import Answer, Stream, run_stream
from wellai_exp.benchmark._stream_source import Frames
from wellai_exp.data import fit
from wellai_exp.errors import SettingError, TrialFailed, WellaiError
from wellai_exp.export import BrowserOpened, Runtime

if TYPE_CHECKING:
    import psutil

_WARM_UP = 10
# Frames of a video that a page gets: they lie in its memory.
_PICTURES = 300
# For starting and loading; a browser on a busy machine takes some of it.
_PATIENCE = 180.0


@dataclass(frozen=True)
class StreamTask:
    """What is measured.

    Parameters
    ----------
    runtime : Runtime
        What runs the artifact.
    path : Path
        Where it lies.
    size : int
        Side of its input, in pixels.
    resize : {"stretch", "crop", "pad"}
        How a frame is brought to the square.
    frames : Frames
        What it is fed.
    fps : float
        How many of them a second.
    seconds : float
        How long.
    batch : int
        Frames that are classified together.

    Raises
    ------
    SettingError
        Where a number is out of range.
    """

    runtime: Runtime
    path: Path
    size: int
    resize: str
    frames: Frames
    fps: float = 30.0
    seconds: float = 10.0
    batch: int = 1

    def __post_init__(self) -> None:
        for setting, value, most in (("fps", self.fps, 10_000.0), ("seconds", self.seconds, 3_600.0)):
            if not 0 < value <= most:
                usual = StreamTask.fps if setting == "fps" else StreamTask.seconds
                raise SettingError(
                    setting, value, f"it must be above 0 and at most {most:g}", f"set {setting}={usual:g}"
                )
        if not 1 <= self.batch <= 256:
            raise SettingError("batch", self.batch, "it must be 1 to 256", "set batch=1")


@dataclass(frozen=True)
class StreamResult:
    """What was found.

    Parameters
    ----------
    stream : Stream
        What became of the frames.
    load_s : float
        From nothing to the first answer: libraries, artifact and one frame, in seconds.
    memory_mb : float
        What the process and those that it started held at the end, in 10⁶ bytes; what is shared between them once.
    before_mb : float
        The same before the runtime was opened.
    """

    stream: Stream
    load_s: float
    memory_mb: float
    before_mb: float


def measure_stream(task: StreamTask) -> StreamResult:
    """Measure in a fresh process.

    Raises
    ------
    TrialFailed
        Where the runtime cannot run the artifact, crashes, or does not come to an end.
    """
    # Spawned: a fork would bring TensorFlow's memory and threads along.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    # Not a daemon, because those may not start processes, and a browser is one.
    process = spawn.Process(target=_work, args=(theirs, task))
    process.start()
    theirs.close()
    try:
        outcome: StreamResult | str | None = None
        # A process that dies closes its end, which counts as something to read.
        if ours.poll(_PATIENCE + 2 * task.seconds):
            with suppress(EOFError, ConnectionResetError):
                outcome = ours.recv()
            process.join(_PATIENCE)
        elif process.is_alive():
            raise TrialFailed(f"{task.runtime.name} did not come to an end within {_PATIENCE + 2 * task.seconds:g} s")
    finally:
        _end(process.pid)
        process.join()
        ours.close()
    if isinstance(outcome, StreamResult):
        return outcome
    if outcome is None:
        raise TrialFailed(f"{task.runtime.name} ended its process ({_how(process.exitcode)})")
    raise TrialFailed(outcome)


def _work(pipe: Connection, task: StreamTask) -> None:
    """Measure in this process, and send what was found or why nothing was."""
    # Ctrl-C goes to a whole group; the process that waits for this one ends it, and a browser must not go before it.
    os.setsid()
    try:
        pipe.send(_measured(task))
    except (WellaiError, TrialFailed) as failed:
        pipe.send(str(failed))
    except Exception as error:  # every runtime raises kinds of its own, and one of them is one row's problem
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    finally:
        pipe.close()


def _measured(task: StreamTask) -> StreamResult:
    frames = task.frames.decoded()
    first = fit(next(frames), task.size, task.resize)
    task.runtime.prepare()
    before = _memory_mb()
    began = time.perf_counter()
    with task.runtime.open(task.path, task.size) as opened:
        opened.classify(first[None])
        load_s = time.perf_counter() - began
        batch = np.stack([first] * task.batch)
        for _ in range(_WARM_UP):
            opened.classify(batch)
        if isinstance(opened, BrowserOpened):
            stream = _in_page(opened, task)
        else:
            stream = run_stream(
                frames,
                lambda image: fit(image, task.size, task.resize),
                lambda images: float(opened.timed(images)[1].sum()) / 1000.0,
                fps=task.fps,
                seconds=task.seconds,
                batch=task.batch,
            )
        return StreamResult(stream, load_s, _memory_mb(), before)


def _in_page(opened: BrowserOpened, task: StreamTask) -> Stream:
    """Let the page be the camera, as it is where it lives: frames from here would come later than its own."""
    if task.batch != 1:
        raise TrialFailed("a page classifies one frame at a time; set batch=1")
    rows = opened.stream(task.frames.sent(_PICTURES), fps=task.fps, seconds=task.seconds, resize=task.resize)
    answers = (Answer(int(row[0]), *(float(value) / 1000.0 for value in row[1:])) for row in rows)
    return Stream(task.fps, max(1, round(task.fps * task.seconds)), tuple(answers))


def _memory_mb() -> float:
    """Give what this process and those that it started hold."""
    import psutil

    own = psutil.Process()
    return sum(_held(process) for process in (own, *own.children(recursive=True))) / 1e6


def _held(process: psutil.Process) -> int:
    """Give the bytes that a process holds; a page that several share is parted among them where the system says."""
    import psutil

    try:
        if sys.platform == "linux":
            with suppress(psutil.AccessDenied):
                return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _end(pid: int | None) -> None:
    """End a process and those that it started, whatever they do."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _how(status: int | None) -> str:
    """Say how a process ended."""
    if status is not None and status < 0:
        return f"by {signal.Signals(-status).name}"
    return f"exit status {status}"
