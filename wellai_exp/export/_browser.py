"""A headless Chromium that runs the live page's own engine, for runtimes that exist in browsers alone."""

from __future__ import annotations

import os
import shutil
import threading
from abc import ABC
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from wellai_exp import stopping
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.export._opened import Array, Opened
from wellai_exp.export._runtime import Runtime
from wellai_exp.export._site import Entry, Site
from wellai_exp.export._vendor import PAGE, page_files, page_libraries

T = TypeVar("T")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""What Chromium is called on PATH."""

FLAGS = (
    # Results must not depend on what draws this machine's screen.
    "--disable-gpu",
    # It speaks to nobody but us.
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    # A page that nobody sees is slowed down otherwise.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
)
_BATCH_BYTES = 16_000_000
_OPENS_WITHIN, _FRAME_WITHIN = 180.0, 30.0


def find_chromium(chromium: str | None) -> str:
    """Give where Chromium is.

    Parameters
    ----------
    chromium : str or None
        Its path or its name on PATH; None for the first of `BROWSERS` that is there.

    Raises
    ------
    SettingError
        Where there is none.
    """
    for name in BROWSERS if chromium is None else (chromium,):
        found = shutil.which(name)
        if found is not None:
            return found
    raise SettingError(
        "runtime.chromium",
        "null" if chromium is None else chromium,
        "there is no such program on this machine",
        "install Chromium or Chrome, or set runtime.chromium to its path",
    )


def browser_flags() -> list[str]:
    """Give what Chromium is started with."""
    # Root has no sandbox to offer, as in containers; the only pages opened are our own.
    return [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


@dataclass(frozen=True)
class BrowserRuntime(Runtime, ABC):
    """What runs a network in a page, on the processor; a frozen value.

    Parameters
    ----------
    threads : int or None
        Must be 1: WebAssembly has more only where a host sends special headers, and gains little by them.
    store : str
        ``paths.store``, where the page's libraries are kept.
    chromium : str or None
        Its path or its name on PATH; None for the one that is there.

    Notes
    -----
    The engine is the live page's, so what is found here holds there. A frame's time begins with its pixels in the
    page's worker and ends with the probabilities there; the way between Python and the browser is not in it. A stream
    runs in the page as a whole, camera included.
    """

    store: str = "mlruns"
    chromium: str | None = None
    model_file: ClassVar[str] = ""
    """What of an artifact that is a folder the engine opens."""

    def _check_threads(self) -> None:
        if self.n_threads != 1:
            raise SettingError(
                "runtime.threads", self.threads, "a page computes in one thread", "set runtime.threads=1"
            )
        find_chromium(self.chromium)

    def _open(self, path: Path, size: int) -> Opened:
        tab = _Tab(find_chromium(self.chromium), page_libraries(Path(self.store)), path)
        try:
            tab.open({"engine": self.name, "url": f"model/{self.model_file or path.name}", "size": size})
        except BaseException:
            tab.close()
            raise
        return BrowserOpened(size, tab, f"{self.name} on {path.name}")


class BrowserOpened(Opened):
    """An artifact in a browser; a context manager.

    Parameters
    ----------
    size : int
        Side of its input, in pixels.
    tab : _Tab
        Where it is open.
    title : str
        How sentences call it.
    """

    def __init__(self, size: int, tab: _Tab, title: str) -> None:
        super().__init__(size, lambda frame: self.timed(frame)[0], tab.close)
        self._tab = tab
        self._title = title

    def classify(self, images: npt.NDArray[Any]) -> Array:
        """Give the probabilities of images, as `Opened.classify`; they travel in batches."""
        return self.timed(images)[0]

    def time_frame(self, frame: Array) -> float:
        """Give the milliseconds that one frame takes in the browser."""
        return float(self.timed(frame)[1][0])

    def timed(self, images: npt.NDArray[Any]) -> tuple[Array, Array]:
        """Give the probabilities of images, as `classify`, and the milliseconds of each.

        Returns
        -------
        ndarray of float32, shape (n, c)
        ndarray of float32, shape (n,)
        """
        self.check(images)
        pixels = images if images.dtype == np.uint8 else images.astype(np.float32)
        step = max(1, _BATCH_BYTES // pixels[0].nbytes)
        found, times = [], []
        for start in range(0, len(pixels), step):
            stopping.check()
            batch = pixels[start : start + step]
            answer = self._tab.classify(np.ascontiguousarray(batch), self._title)
            times.append(answer[: len(batch)])
            found.append(answer[len(batch) :].reshape(len(batch), -1))
        return np.concatenate(found), np.concatenate(times)

    def stream(self, files: Sequence[bytes], *, fps: float, seconds: float, resize: str) -> npt.NDArray[np.float64]:
        """Feed pictures to the engine in the page itself, one after another and over and over, as a camera would.

        The newest decoded frame is kept for the engine, and a newer one replaces it.

        Parameters
        ----------
        files : sequence of bytes
            What the browser decodes, e.g. JPEG files.
        fps : float
            Frames a second.
        seconds : float
            How long.
        resize : {"stretch", "crop", "pad"}
            How a frame is brought to the square.

        Returns
        -------
        ndarray of float64, shape (n, 6)
            Of each frame that was answered its number, from 0, and in milliseconds: when the camera had it, from the
            beginning; from then to its probabilities; and what of that were decoding, preparing, and the network.

        Raises
        ------
        TrialFailed
            Where the browser cannot decode them, or does not come to an end.
        """
        wanted = {"fps": fps, "seconds": seconds, "resize": resize, "within": _FRAME_WITHIN + 2 * seconds}
        return self._tab.stream(files, wanted, self._title).reshape(-1, 6)


class _Tab:
    """One page in one browser, and the server that it loads from."""

    def __init__(self, chromium: str, libraries: Path, artifact: Path) -> None:
        # Playwright's objects belong to the thread that made them, and a thread has room for one Playwright; so each
        # tab has a thread, and several may be open at once.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="browser")
        self._stack = ExitStack()
        self._answers: dict[str, bytes] = {}
        self._count = 0
        self._site = Site(_entries(libraries, artifact), inbox=self._answers.__setitem__)
        self._stack.callback(self._site.server_close)
        threading.Thread(target=self._site.serve_forever, daemon=True).start()
        self._stack.callback(self._site.shutdown)
        try:
            self._page = self._in_thread(lambda: self._start(chromium))
        except BaseException:
            self.close()
            raise

    def _start(self, chromium: str) -> Any:
        from playwright.sync_api import sync_playwright

        playwright = self._stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=browser_flags(),
            # Ctrl-C is ours to handle; the browser is closed in any case.
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        self._stack.callback(browser.close)
        page = browser.new_page()
        page.goto(f"{self._site.address}/")
        return page

    def _in_thread(self, task: Callable[[], T]) -> T:
        return self._thread.submit(task).result()

    def _ask(self, function: str, argument: dict[str, Any], title: str) -> None:
        from playwright.sync_api import Error

        try:
            problem = self._in_thread(lambda: self._page.evaluate(f"wanted => window.{function}(wanted)", argument))
        except Error as error:
            # The tab or the browser is gone.
            problem = error.message
        if problem is not None:
            raise TrialFailed(f"{title} failed in the browser ({' '.join(str(problem).split())[:300]})")

    def open(self, wanted: dict[str, Any]) -> None:
        """Open the artifact, on the processor."""
        title = f"{wanted['engine']} on {wanted['url'].rpartition('/')[2]}"
        self._ask("openModel", wanted | {"accelerator": "wasm", "within": _OPENS_WITHIN}, title)

    def classify(self, batch: npt.NDArray[Any], title: str) -> Array:
        """Give the milliseconds of each square, then the probabilities of all, in one row."""
        self._count += 1
        name = f"batch-{self._count}"
        self._site.outbox[name] = batch.tobytes()
        try:
            within = _FRAME_WITHIN + len(batch) * 1.0
            wanted = {"name": name, "whole": batch.dtype == np.uint8, "within": within}
            self._ask("classifyBatch", wanted, title)
        finally:
            del self._site.outbox[name]
        return np.frombuffer(self._answers.pop(name), np.float32)

    def stream(self, files: Sequence[bytes], wanted: dict[str, Any], title: str) -> npt.NDArray[np.float64]:
        """Give six numbers for each frame that was answered, in one row."""
        pictures = {f"frame-{index}": file for index, file in enumerate(files)}
        self._site.outbox.update(pictures)
        try:
            self._ask("runStream", {"name": "stream", "names": list(pictures), **wanted}, title)
        finally:
            for name in pictures:
                del self._site.outbox[name]
        return np.frombuffer(self._answers.pop("stream"), np.float64)

    def close(self) -> None:
        """Close the browser and the server."""
        self._in_thread(self._stack.close)
        self._thread.shutdown()


def _entries(libraries: Path, artifact: Path) -> dict[str, Entry]:
    """Give what the page loads: the bench, the live page's engine, its libraries, the model."""
    entries = {"index.html": Entry(PAGE / "bench.html"), "page/bench.js": Entry(PAGE / "bench.js")}
    entries |= {f"page/{name}": Entry(PAGE / name) for name in page_files()}
    entries |= {f"page/lib/{path.relative_to(libraries).as_posix()}": Entry(path) for path in libraries.rglob("*.*")}
    if artifact.is_dir():
        files = [path for path in artifact.rglob("*") if path.is_file()]
        return entries | {f"model/{path.relative_to(artifact).as_posix()}": Entry(path) for path in files}
    return entries | {f"model/{artifact.name}": Entry(artifact)}
