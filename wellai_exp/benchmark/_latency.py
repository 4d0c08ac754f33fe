"""Milliseconds a frame: measured once for a network, a runtime and a machine, and kept."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp import stopping
from wellai_exp.benchmark._machine import machine
from wellai_exp.errors import SettingError
from wellai_exp.export import Runtime, random_frames
from wellai_exp.models import Backbone
from wellai_exp.paths import ensure_dir, write_whole

# Enters every key: raise it when the same settings begin to be measured in another way.
_REVISION = 1
_FRAMES, _WARM_UP, _SECONDS = 50, 10, 2.0
_DISTINCT_FRAMES = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Latency:
    """How long one frame takes, NumPy array in and NumPy array out.

    Parameters
    ----------
    latency_ms : float
        The median, in milliseconds.
    p95_ms : float
        The 95th percentile, in milliseconds.
    size_mb : float
        What would be shipped, in 10⁶ bytes.
    runtime : str
        The runtime's name.
    threads : int
        How many threads computed a frame.
    machine : str
        Processor, cores and libraries.

    Raises
    ------
    ValueError
        Where a value cannot be a measurement.
    """

    latency_ms: float
    p95_ms: float
    size_mb: float
    runtime: str
    threads: int
    machine: str

    def __post_init__(self) -> None:
        for name in ("latency_ms", "p95_ms", "size_mb", "threads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}")
        if self.p95_ms < self.latency_ms:
            raise ValueError(f"p95_ms is {self.p95_ms!r}, less than the median")

    @property
    def fps(self) -> float:
        """Frames a second at the median."""
        return 1000.0 / self.latency_ms


def measure(
    model: Any, runtime: Runtime, *, frames: int = _FRAMES, warm_up: int = _WARM_UP, seconds: float = _SECONDS
) -> Latency:
    """Time a network frame by frame in a runtime.

    Parameters
    ----------
    model : keras.Model
        From images ``(n, size, size, 3)``, pixels 0 to 255, to float32 ``(n, c)``.
    runtime : Runtime
        What runs it.
    frames : int
        The fewest frames that are timed.
    warm_up : int
        Frames before those, which are not timed.
    seconds : float
        The shortest time over which frames are timed.

    Returns
    -------
    Latency

    Raises
    ------
    SettingError
        Where a number is out of range, or this process cannot have the runtime's threads.
    TrialFailed
        Where the runtime cannot run the network.
    """
    _check_effort(frames, warm_up, seconds)
    images = random_frames(model.input_shape[1], _DISTINCT_FRAMES)
    with runtime.load(model) as loaded:
        spent = _timed(loaded.time_frame, images, frames, warm_up, seconds)
    median, p95 = np.percentile(spent, [50, 95]).tolist()
    return Latency(median, p95, loaded.size_mb, runtime.name, runtime.n_threads, machine())


def _check_effort(frames: object, warm_up: object, seconds: object) -> None:
    """Refuse numbers that no measurement can be made with."""
    for setting, value, least in (("frames", frames, 1), ("warm_up", warm_up, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            usual = _FRAMES if setting == "frames" else _WARM_UP
            raise SettingError(setting, value, f"it must be a whole number, at least {least}", f"set {setting}={usual}")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise SettingError("seconds", seconds, "it must be a number, at least 0", f"set seconds={_SECONDS}")


def _timed(
    time_frame: Callable[[npt.NDArray[np.float32]], float],
    images: npt.NDArray[np.float32],
    frames: int,
    warm_up: int,
    seconds: float,
) -> list[float]:
    """Give the milliseconds of each timed frame."""
    for index in range(warm_up):
        time_frame(images[index % len(images)])
    spent: list[float] = []
    began = time.perf_counter()
    while len(spent) < frames or time.perf_counter() - began < seconds:
        stopping.check()
        spent.append(time_frame(images[len(spent) % len(images)]))
    return spent


@dataclass(frozen=True)
class LatencyBook:
    """Latencies that were measured once, a JSON file each.

    Parameters
    ----------
    folder : Path
        Where they are kept, e.g. ``benchmarks`` in the store.
    frames, warm_up, seconds
        As in `measure`.

    Raises
    ------
    SettingError
        Where a number is out of range.
    """

    folder: Path
    frames: int = _FRAMES
    warm_up: int = _WARM_UP
    seconds: float = _SECONDS

    def __post_init__(self) -> None:
        _check_effort(self.frames, self.warm_up, self.seconds)

    def of(self, backbone: Backbone, n_classes: int, runtime: Runtime) -> Latency:
        """Give a backbone's latency under a plain linear classifier, measured here and now where it is not known.

        Neither the values of the weights nor the kind of head matters for the time: convolutions do the same work
        whatever the numbers, and at usual image sizes any of our heads has less than a hundredth of their
        multiplications. So the weights are no part of what is remembered. The size leaves out what a head has beyond a
        linear layer, e.g. 4 bytes a feature and unit for a hidden layer.

        Parameters
        ----------
        backbone : Backbone
            A single network or a fusion.
        n_classes : int
            Outputs of the classifier, at least 2.
        runtime : Runtime
            What runs it.

        Raises
        ------
        SettingError
            Where `n_classes` is no such number, the weights cannot be loaded, or this process cannot have the
            runtime's threads.
        TrialFailed
            Where the runtime cannot run the network.
        StoreError
            Where the folder cannot be written.
        """
        if isinstance(n_classes, bool) or not isinstance(n_classes, int) or n_classes < 2:
            raise SettingError("n_classes", n_classes, "it must be a whole number, at least 2", "set n_classes=82")
        what = {"backbone": _architecture(backbone), "size": backbone.size, "n_classes": n_classes}
        return self._known_or_measured(what, lambda: _classifier(backbone, n_classes), runtime)

    def of_model(self, sha256: str, load: Callable[[], Any], runtime: Runtime) -> Latency:
        """Give the latency of one trained model as a whole, measured here and now where it is not known.

        Parameters
        ----------
        sha256 : str
            Of the model's file, by which it is remembered.
        load : callable
            Gives the model, as for `measure`; called only where it has to be measured.
        runtime : Runtime
            What runs it.

        Raises
        ------
        SettingError
            Where this process cannot have the runtime's threads.
        TrialFailed
            Where the runtime cannot run the model.
        StoreError
            Where the folder cannot be written.
        """
        return self._known_or_measured({"model": sha256}, load, runtime)

    def _known_or_measured(self, what: Mapping[str, object], load: Callable[[], Any], runtime: Runtime) -> Latency:
        from filelock import FileLock

        key = {
            "revision": _REVISION,
            **what,
            "runtime": {**asdict(runtime), "name": runtime.name, "threads": runtime.n_threads},
            "effort": {"frames": self.frames, "warm_up": self.warm_up, "seconds": float(self.seconds)},
            "machine": machine(),
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / f"{name}.json"
        # Two measurements at once would slow each other down.
        with FileLock(ensure_dir(self.folder, "paths.store") / ".lock"):
            known = _read(path)
            if known is not None:
                return known
            latency = measure(load(), runtime, frames=self.frames, warm_up=self.warm_up, seconds=self.seconds)
            with write_whole(path) as beside:
                beside.write_text(json.dumps({"key": key, "latency": asdict(latency)}, indent=1), encoding="utf-8")
        return latency


def _architecture(backbone: Backbone) -> object:
    """Give all that decides how much there is to compute, as JSON; a fusion's own settings would name weights."""
    if len(backbone.members) > 1:
        return [_architecture(member) for member in backbone.members]
    return {"class": type(backbone).__name__, "settings": backbone.feature_settings()}


def _classifier(backbone: Backbone, n_classes: int) -> Any:
    """Put a linear layer on a backbone; a softmax would hide from `Runtime.load` how far outputs differ."""
    import keras

    trunk = backbone.build()
    logits = keras.layers.Dense(n_classes, name="logits")(trunk.outputs[0])
    return keras.Model(trunk.inputs[0], logits, name=trunk.name)


def _read(path: Path) -> Latency | None:
    """Read a latency; None where there is none, or where the file is damaged, which is said."""
    try:
        return Latency(**json.loads(path.read_text(encoding="utf-8"))["latency"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s); the latency is measured again.", path, error)
        return None
