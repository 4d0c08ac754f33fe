"""A camera that does not wait: frames come by the clock, the newest is kept, the older ones are dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


class Clock:
    """The machine's clock and threads; a test may put a simulated one in its place."""

    def now(self) -> float:
        """Give the time in seconds, from some beginning."""
        return time.perf_counter()

    def sleep_until(self, when: float) -> None:
        """Return at that time, or at once where it has passed."""
        time.sleep(max(0.0, when - self.now()))

    def condition(self) -> Any:
        """Give what `threading.Condition` is."""
        return threading.Condition()

    def start(self, work: Callable[[], None]) -> Callable[[], None]:
        """Let a thread do something; gives what waits for its end."""
        # A daemon, so that Ctrl-C in the thread that waits ends the process.
        thread = threading.Thread(target=work, name="camera", daemon=True)
        thread.start()
        return thread.join


@dataclass(frozen=True)
class Captured:
    """A decoded frame on its way to the runtime.

    Parameters
    ----------
    slot : int
        Which of the camera's frames it is, from 0.
    at : float
        When the camera had it, by the clock.
    decode : float
        Seconds that its decoding took.
    image : numpy.ndarray
        uint8 [H, W, 3].
    """

    slot: int
    at: float
    decode: float
    image: Image


class Mailbox:
    """Holds the newest frames for one taker; a frame that comes in while it is full pushes the oldest out.

    Parameters
    ----------
    capacity : int
        Frames that it holds, and that are taken at once.
    condition : threading.Condition
        Guards it.
    """

    def __init__(self, capacity: int, condition: Any) -> None:
        self._frames: deque[Captured] = deque(maxlen=capacity)
        self._capacity = capacity
        self._changed = condition
        self._closed = False
        self._abandoned = False
        self._awaited = False
        self._problem: BaseException | None = None

    def put(self, frame: Captured) -> bool:
        """Lay a frame in; gives whether there is still somebody to take it."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()
            return not self._abandoned

    def close(self, problem: BaseException | None = None) -> None:
        """Say that no more frames come, and what went wrong.

        It comes when the next frame would: what nobody has had time for until now goes, as that frame would push it
        out.
        """
        with self._changed:
            self._closed, self._problem = True, problem
            if len(self._frames) == self._capacity and not self._awaited:
                self._frames.clear()
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that nothing more will be taken."""
        with self._changed:
            self._abandoned = True

    def take(self) -> list[Captured]:
        """Wait until it is full, and empty it; gives fewer at the end, and none after that.

        Raises
        ------
        BaseException
            What the other side ended with.
        """
        with self._changed:
            # Stays true until this thread runs again, which may be some time after the frame came.
            self._awaited = True
            while len(self._frames) < self._capacity and not self._closed:
                self._changed.wait()
            self._awaited = False
            if self._problem is not None:
                raise self._problem
            taken = list(self._frames)
            self._frames.clear()
        return taken


@dataclass(frozen=True)
class Answer:
    """How long a frame took; all in seconds.

    Parameters
    ----------
    slot : int
        Which of the camera's frames it was, from 0.
    captured : float
        When the camera had it, from the beginning.
    latency : float
        From then to its probabilities.
    decode, preprocess, inference : float
        What of that went into each; of a batch its share.
    """

    slot: int
    captured: float
    latency: float
    decode: float
    preprocess: float
    inference: float

    @property
    def wait(self) -> float:
        """What is left: until the runtime was free, for the others of its batch, on the way to a page's worker."""
        return max(0.0, self.latency - self.decode - self.preprocess - self.inference)


@dataclass(frozen=True)
class Stream:
    """What became of a camera's frames.

    Parameters
    ----------
    fps : float
        Frames a second that the camera had.
    captured : int
        How many it had in all.
    answers : tuple of Answer
        Those that were classified, in order; all others were dropped.
    """

    fps: float
    captured: int
    answers: tuple[Answer, ...]

    @property
    def answered(self) -> int:
        """Frames that were classified."""
        return len(self.answers)

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before anything could be done with them."""
        return self.captured - self.answered

    @property
    def dropped_share(self) -> float:
        """Share of the captured frames."""
        return self.dropped / self.captured

    @property
    def effective_fps(self) -> float:
        """Frames a second that were classified, until the camera stopped or the last answer came."""
        last = max((each.captured + each.latency for each in self.answers), default=0.0)
        return self.answered / max(last, self.captured / self.fps)

    def milliseconds(self, part: str) -> npt.NDArray[np.float64]:
        """Give ``latency``, ``decode``, ``preprocess``, ``inference`` or ``wait`` of each answered frame."""
        return np.array([1000.0 * getattr(each, part) for each in self.answers])


def run_stream(
    frames: Iterator[Image],
    prepare: Callable[[Image], Image],
    classify: Callable[[Image], float],
    *,
    fps: float,
    seconds: float,
    batch: int = 1,
    clock: Clock | None = None,
) -> Stream:
    """Feed frames at a rate to something that classifies them, for some time.

    The camera has a frame every ``1 / fps`` seconds whatever happens. A thread decodes it, or where decoding has fallen
    behind, the newest one; the result waits in a mailbox until the runtime is free, or until a newer one replaces it.

    Parameters
    ----------
    frames : iterator of numpy.ndarray
        Decodes one frame each time; has no end.
    prepare : callable
        Brings a frame to the network's square.
    classify : callable
        Gets uint8 [batch, size, size, 3] and gives the seconds that this took where it was computed.
    fps : float
        Frames a second.
    seconds : float
        How long.
    batch : int
        Frames that are classified together.
    clock : Clock, optional
        By default the machine's.

    Returns
    -------
    Stream
    """
    clock = clock or Clock()
    total = max(1, round(fps * seconds))
    mailbox = Mailbox(batch, clock.condition())
    began = clock.now()
    join = clock.start(lambda: _capture(frames, mailbox, clock, began, fps, total))
    try:
        answers = list(_answers(mailbox, prepare, classify, clock, began))
    finally:
        mailbox.abandon()
        join()
    return Stream(fps, total, tuple(answers))


def _capture(frames: Iterator[Image], mailbox: Mailbox, clock: Clock, began: float, fps: float, total: int) -> None:
    """Be the camera: decode its newest frame as soon as it has one."""
    slot = -1
    problem: BaseException | None = None
    try:
        while True:
            slot = min(total, max(slot + 1, int((clock.now() - began) * fps)))
            at = began + slot / fps
            clock.sleep_until(at)
            if slot == total:
                break
            started = clock.now()
            image = next(frames)
            if not mailbox.put(Captured(slot, at, clock.now() - started, image)):
                break
    except BaseException as error:  # handed to the thread that waits, which raises it
        problem = error
    mailbox.close(problem)


def _answers(
    mailbox: Mailbox,
    prepare: Callable[[Image], Image],
    classify: Callable[[Image], float],
    clock: Clock,
    began: float,
) -> Iterator[Answer]:
    """Be the runtime: classify what is newest whenever there is nothing else to do."""
    while taken := mailbox.take():
        started = clock.now()
        images = np.stack([prepare(frame.image) for frame in taken])
        prepared = clock.now()
        inference = classify(images) / len(taken)
        answered = clock.now()
        preprocess = (prepared - started) / len(taken)
        for frame in taken:
            yield Answer(frame.slot, frame.at - began, answered - frame.at, frame.decode, preprocess, inference)
