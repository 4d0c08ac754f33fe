"""Whatever somebody points at — files, folders, videos — as pictures in order, read ahead of the consumer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue

from wellai_exp.data._base import shown
from wellai_exp.data._folder import hidden
from wellai_exp.data._reader import Image, fit, read_image
from wellai_exp.data._video import is_video, read_video
from wellai_exp.errors import DataError

# How long a thread that waits for room takes to see that nobody takes any more.
_LOOKS_AGAIN = 0.1


@dataclass(frozen=True)
class Picture:
    """A photograph or a video's frame, ready for a network, or why there is none.

    Parameters
    ----------
    path : Path
        The file.
    image : numpy.ndarray or None
        uint8 [size, size, 3], red first; None where it cannot be read.
    problem : str
        Why, in one sentence.
    frame : int or None
        Of a video: its place among all frames, from 0.
    seconds : float or None
        Of a video: when it is shown, from the beginning.
    """

    path: Path
    image: Image | None = None
    problem: str = ""
    frame: int | None = None
    seconds: float | None = None


def files_of(names: Iterable[str]) -> Iterator[Path | Picture]:
    """Give each file that is named, and each file in a folder that is named, in a fixed order.

    A folder's hidden files are passed over, and no other: what is no picture is told and not skipped.

    Yields
    ------
    Path or Picture
        A picture tells what cannot be listed.
    """
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path
        else:
            what = "is no file" if os.path.lexists(path) else "does not exist"
            yield Picture(path, problem=f"{shown(str(path))} {what}; name a photograph, a video or a folder.")


def _walk(folder: Path) -> Iterator[Path | Picture]:
    refused: list[OSError] = []
    for here, folders, names in os.walk(folder, onerror=refused.append):
        folders[:] = sorted(name for name in folders if not hidden(name))
        # A named pipe would never end.
        yield from (path for name in sorted(names) if not hidden(name) and (path := Path(here, name)).is_file())
        while refused:
            error = refused.pop()
            where = Path(str(error.filename))
            yield Picture(where, problem=f"{shown(str(where))} cannot be listed ({error.strerror}).")


class PictureReader:
    """Batches of pictures in order, read by threads ahead of the consumer.

    A batch is what is ready, so that of a slow list each picture is given as soon as it comes; at most three batches
    are held, whatever the number of files or the length of a video.

    Parameters
    ----------
    files : iterable of Path or Picture
        As `files_of` gives them; taken one by one as there is room.
    size : int
        Side of the square, in pixels.
    how : {"stretch", "crop", "pad"}
        See `fit`.
    batch_size : int
        The most pictures in a batch.
    every : float
        Of a video: seconds from one frame that is given to the next, at least; 0 gives each.
    """

    def __init__(
        self, files: Iterable[Path | Picture], size: int, how: str, *, batch_size: int = 32, every: float = 0.0
    ) -> None:
        self._files = files
        self._size = size
        self._how = how
        self._batch_size = batch_size
        self._every = every

    def __iter__(self) -> Iterator[list[Picture]]:
        """Yield lists of at least one picture."""
        ready: Queue[Future[Picture] | None] = Queue(2 * self._batch_size)
        stopped = threading.Event()
        pool = ThreadPoolExecutor(thread_name_prefix="pictures")
        # A daemon: it may wait for a line of standard input that never comes.
        lister = threading.Thread(target=self._list, args=(pool, ready, stopped), daemon=True)
        lister.start()
        try:
            ended = False
            while not ended:
                taken = [ready.get()]
                with suppress(Empty):
                    while taken[-1] is not None and len(taken) < self._batch_size:
                        taken.append(ready.get_nowait())
                ended = taken[-1] is None
                batch = [future.result() for future in taken if future is not None]
                if batch:
                    yield batch
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _list(self, pool: ThreadPoolExecutor, ready: Queue[Future[Picture] | None], stopped: threading.Event) -> None:
        """Hand every file to the pool, and each frame of a video over; an error in the list comes as a last picture."""
        last: Future[Picture] | None = None
        try:
            for each in self._files:
                if isinstance(each, Picture):
                    futures: Iterable[Future[Picture]] = [_done(each)]
                elif is_video(each):
                    futures = map(_done, self._frames(each))
                else:
                    futures = [pool.submit(self._read, each)]
                for future in futures:
                    if not _put(ready, future, stopped):
                        return
        except BaseException as error:  # raised where the consumer waits
            last = Future()
            last.set_exception(error)
            _put(ready, last, stopped)
        _put(ready, None, stopped)

    def _read(self, path: Path) -> Picture:
        try:
            return Picture(path, fit(read_image(path), self._size, self._how))
        except DataError as error:
            return Picture(path, problem=str(error))

    def _frames(self, path: Path) -> Iterator[Picture]:
        try:
            for each in read_video(path, self._every):
                image = fit(each.image, self._size, self._how)
                yield Picture(path, image, frame=each.number, seconds=each.seconds)
        except DataError as error:
            yield Picture(path, problem=str(error))


def _done(picture: Picture) -> Future[Picture]:
    future: Future[Picture] = Future()
    future.set_result(picture)
    return future


def _put(ready: Queue[Future[Picture] | None], item: Future[Picture] | None, stopped: threading.Event) -> bool:
    """Put in as soon as there is room; gives whether anybody still takes."""
    while not stopped.is_set():
        with suppress(Full):
            ready.put(item, timeout=_LOOKS_AGAIN)
            return True
    return False
