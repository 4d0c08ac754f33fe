"""What answers for a picture: a Keras model, or one artifact of a bundle in its runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from wellai_exp.config import build
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.export import SUMS_FILE, Artifact, BrowserRuntime, Bundle, Runtime, read_bundle
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.verbs._numbers import real_number
from wellai_exp.verbs._runtimes import runtime_named, runtime_names

# Of artifacts that give what Keras gives: the one that is ready soonest first.
_PREFERRED = ("tflite_float32", "onnx", "saved_model")


@dataclass(frozen=True)
class Predictor:
    """A model that is ready.

    Parameters
    ----------
    classify : callable
        From uint8 [n, size, size, 3] to probabilities [n, c].
    class_names : tuple of str, length c
        Label of each.
    thresholds : tuple of float or None, length c
        From which probability on a class counts as seen; None where none is known.
    size : int
        Side of the square, in pixels.
    resize : str
        How a picture is brought to it.
    """

    classify: Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]
    class_names: tuple[str, ...]
    thresholds: tuple[float | None, ...]
    size: int
    resize: str


@contextmanager
def opened_predictor(cfg: DictConfig) -> Iterator[Predictor]:
    """Make ready what the setting `model` names.

    Raises
    ------
    WellaiError
        Where it does not exist, was changed, or cannot be run.
    """
    runtime: Runtime | None = build(cfg, "runtime") if "runtime" in cfg else None
    folder = Path(str(cfg.model)).expanduser()
    if folder.is_dir() and ((folder / SUMS_FILE).exists() or "/" in str(cfg.model)):
        with _of_bundle(read_bundle(folder), cfg.artifact, runtime) as predictor:
            yield predictor
        return
    if cfg.artifact is not None:
        raise SettingError(
            "artifact", cfg.artifact, f"model={cfg.model} is no bundle", "leave it out, or name a folder of `export`"
        )
    with _of_model(cfg, runtime) as predictor:
        yield predictor


@contextmanager
def _of_bundle(bundle: Bundle, name: str | None, runtime: Runtime | None) -> Iterator[Predictor]:
    artifact = _artifact(bundle, name, runtime)
    runtime = runtime or _reader_of(artifact)
    runtime.prepare()
    try:
        with runtime.open(bundle.path(artifact), artifact.size) as opened:
            yield Predictor(opened.classify, bundle.class_names, bundle.thresholds, artifact.size, bundle.resize)
    except TrialFailed as failed:
        raise SettingError("artifact", artifact.name, str(failed), "choose another artifact= or runtime=") from failed


def _artifact(bundle: Bundle, name: str | None, runtime: Runtime | None) -> Artifact:
    """Give the artifact of that name, or of those that are fit the best that the runtime reads."""
    if name is not None:
        artifact = bundle.artifact(str(name))
        if runtime is not None and runtime.format != artifact.format:
            raise SettingError(
                "runtime", runtime.name, f"it reads {runtime.format} and {artifact.name} is {artifact.format}",
                "leave one of artifact= and runtime= out",
            )  # fmt: skip
        return artifact
    formats = {runtime.format} if runtime else {"tflite", "onnx", "saved_model"}
    usable = [each for each in bundle.artifacts if each.fit and each.format in formats]
    if not usable:
        raise SettingError(
            "artifact", "null", f"nothing in {bundle.folder} is fit for {', '.join(sorted(formats))}",
            f"name one of {', '.join(each.name for each in bundle.artifacts)} to use it all the same",
        )  # fmt: skip
    return min(usable, key=lambda each: _PREFERRED.index(each.name) if each.name in _PREFERRED else len(_PREFERRED))


def _reader_of(artifact: Artifact) -> Runtime:
    """Give the runtime that reads an artifact and needs no browser, where there is one."""
    readers = [each for each in map(runtime_named, runtime_names()) if each.format == artifact.format]
    if not readers:
        raise SettingError("artifact", artifact.name, f"no runtime here reads {artifact.format}", "choose another one")
    return next((each for each in readers if not isinstance(each, BrowserRuntime)), readers[0])


@contextmanager
def _of_model(cfg: DictConfig, runtime: Runtime | None) -> Iterator[Predictor]:
    # A bundle needs none of these, which take seconds to import.
    from wellai_exp.tracking import Registry, load
    from wellai_exp.verbs._evidence import Subject
    from wellai_exp.verbs._export_card import Known
    from wellai_exp.verbs._workbench import open_tracker

    precision = real_number("precision", cfg.precision, "set precision=0.9")
    if not 0 < precision <= 1:
        raise SettingError("precision", precision, "it must be above 0 and at most 1", "set precision=0.9")
    tracker = open_tracker(cfg)
    ref = Registry(tracker.tracking).resolve(str(cfg.model))
    # As a bundle of it would have them.
    thresholds, _ = Known.of(tracker, ref).thresholds(len(ref.class_names), precision)
    resize = str(ref.metadata.get("resize", "stretch"))
    if runtime is not None:
        runtime.prepare()
    prepare_tensorflow()
    model = load(ref)
    if runtime is None or runtime.format == "keras":
        yield Predictor(Subject(model, ref.size, resize).predict, ref.class_names, thresholds, ref.size, resize)
        return
    try:
        loaded = runtime.load(model)
    except TrialFailed as failed:
        raise SettingError("runtime", runtime.name, str(failed), "choose another runtime") from failed
    with loaded:

        def classify(images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
            return np.concatenate([loaded.classify(image[None].astype(np.float32)) for image in images])

        yield Predictor(classify, ref.class_names, thresholds, ref.size, resize)
