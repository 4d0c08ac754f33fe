"""Whether an artifact says in its runtime what the model says in Keras, on real images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError, TrialFailed, WellaiError
from wellai_exp.export._bundle import Artifact
from wellai_exp.export._opened import Array, Opened
from wellai_exp.export._runtime import Runtime
from wellai_exp.metrics import Resamples, Scorer, differences, resample

_SCORES = ("accuracy", "auc_pr_macro")
_TIMED = 30
_EXACT, _FLOAT = ("float32",), ("float32", "float16")


@dataclass(frozen=True)
class ParityRules:
    """What an artifact must reach to be fit; a frozen value.

    Parameters
    ----------
    images : int
        Test images that it is run on, at least 1; all where there are fewer.
    agreement_float : float
        Least share of images that get the class they get in Keras, for float32 and float16.
    agreement_whole : float
        The same where weights are kept in 8 bits.
    largest_float32 : float
        Greatest difference of a probability, for float32.
    resamples : int
        Of the paired bootstrap behind the intervals, at least 2.

    Raises
    ------
    SettingError
        Where a number is out of range.
    """

    images: int = 200
    agreement_float: float = 0.995
    agreement_whole: float = 0.98
    largest_float32: float = 1e-4
    resamples: int = 1000

    def __post_init__(self) -> None:
        for each in fields(self):
            value, whole = getattr(self, each.name), isinstance(each.default, int)
            least, most = ((1 if each.name == "images" else 2), math.inf) if whole else (0, 1)
            kinds = int if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                wanted = f"a whole number, at least {least}" if whole else "a number from 0 to 1"
                setting = f"parity.{each.name}"
                raise SettingError(setting, value, f"it must be {wanted}", f"set {setting}={each.default}")

    def problem(self, weights: str, found: Mapping[str, float], images: int) -> str:
        """Say in a clause what is wrong with an artifact of such weights; empty where nothing is."""
        least = self.agreement_float if weights in _FLOAT else self.agreement_whole
        # Written so that NaN is refused as well.
        if not found["agreement"] >= least:
            other = round((1 - found["agreement"]) * images)
            return f"{other} of {images} images get another class than in Keras, more than {1 - least:.1%}"
        if weights in _EXACT and not found["largest"] <= self.largest_float32:
            return f"a probability differs from Keras by {found['largest']:.2g}, more than {self.largest_float32:g}"
        return ""


@dataclass(frozen=True, eq=False)
class Reference:
    """What Keras says of some images.

    Parameters
    ----------
    images : ndarray of uint8, shape [N, size, size, 3]
        RGB.
    probabilities : ndarray of float32, shape [N, C]
        Keras's.
    labels : ndarray of int, shape [N]
        True classes.
    scores : Resamples
        Of accuracy and macro AUC-PR.
    groups : ndarray of int, shape [N]
        Of near-duplicates.
    seed : int
        Of the resamples.
    """

    images: npt.NDArray[np.uint8]
    probabilities: Array
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    scores: Resamples
    seed: int

    @classmethod
    def of(
        cls,
        model: Any,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
        rules: ParityRules,
        seed: int,
    ) -> Reference:
        """Ask a ``keras.Model``, in batches."""
        batches = np.array_split(images, max(1, len(images) // 16))
        answers = [np.asarray(model(batch.astype(np.float32), training=False), np.float32) for batch in batches]
        found = np.concatenate(answers)
        return cls(images, found, labels, groups, _resampled(labels, found, groups, rules.resamples, seed), seed)

    def compare(self, probabilities: Array, resamples: int) -> dict[str, float]:
        """Give by how much other probabilities [N, C] of the same images differ, in numbers by name.

        ``largest`` difference of a probability, ``agreement`` (share of images whose most probable class is the same),
        ``accuracy`` and ``auc_pr_macro``, and of each its ``_change`` from Keras's with the ends ``_low`` and ``_high``
        of a 95 % interval (paired bootstrap), where it is known.
        """
        gap = np.abs(probabilities - self.probabilities)
        same = probabilities.argmax(axis=1) == self.probabilities.argmax(axis=1)
        found = {"largest": float(gap.max()), "agreement": float(same.mean())}
        if not np.isfinite(probabilities).all():
            return {"largest": 1.0, "agreement": 0.0}
        # Whole numbers give sums a little off 1, which scores would refuse.
        others = probabilities.clip(0) / probabilities.clip(0).sum(axis=1, keepdims=True)
        theirs = _resampled(self.labels, others, self.groups, resamples, self.seed)
        for name, change in differences(self.scores, theirs).items():
            found[name] = float(theirs.estimates[theirs.names.index(name)])
            found |= {f"{name}_change": change.estimate, f"{name}_low": change.low, f"{name}_high": change.high}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def check_artifact(
    artifact: Artifact,
    folder: Path,
    weights: str,
    runtimes: Sequence[Runtime],
    reference: Reference | str,
    rules: ParityRules,
) -> Artifact:
    """Run an artifact in every runtime of its format, and say whether it is fit.

    Parameters
    ----------
    artifact : Artifact
        As it was written.
    folder : Path
        The bundle's.
    weights : str
        Its kind of weights, e.g. ``float16``.
    runtimes : sequence of Runtime
        All there are; those of other formats are passed over.
    reference : Reference or str
        What Keras says; or why there are no images to ask about, in a clause.
    rules : ParityRules
        What it must reach.

    Returns
    -------
    Artifact
        With its verdict. Not fit where any runtime gives something else; not checked (None) where none could run it.
    """
    if isinstance(reference, str):
        return replace(artifact, fit=None, problem=f"It was not checked: {reference}.")
    parity: dict[str, dict[str, float]] = {}
    wrong: list[str] = []
    absent: list[str] = []
    for runtime in (each for each in runtimes if each.format == artifact.format):
        try:
            with runtime.open(folder / artifact.path, artifact.size) as opened:
                answers, milliseconds = _timed(opened, reference.images)
        except WellaiError as error:
            absent.append(f"{runtime.name} is not at hand ({str(error).rstrip('.')})")
            continue
        except TrialFailed as error:
            wrong.append(str(error))
            continue
        found = {**reference.compare(answers, rules.resamples), "latency_ms": milliseconds}
        parity[runtime.name] = found
        if problem := rules.problem(weights, found, len(reference.images)):
            wrong.append(f"in {runtime.name} {problem}")
    if wrong:
        return replace(artifact, fit=False, parity=parity, problem=f"It is unfit: {'; '.join(wrong)}.")
    if not parity:
        why = "; ".join(absent) or f"no runtime here reads {artifact.format}"
        return replace(artifact, fit=None, problem=f"It was not checked: {why}.")
    return replace(artifact, fit=True, parity=parity, problem="")


def _timed(opened: Opened, images: npt.NDArray[np.uint8]) -> tuple[Array, float]:
    """Give the answers, and the median of the milliseconds of a frame once the runtime is warm."""
    answers = opened.classify(images)
    frames = images[:_TIMED].astype(np.float32)
    return answers, float(np.median([opened.time_frame(frame[None]) for frame in frames]))


def _resampled(
    labels: npt.NDArray[np.int64], probabilities: Array, groups: npt.NDArray[np.int64], resamples: int, seed: int
) -> Resamples:
    scorer = Scorer(labels, probabilities)

    def scores(weights: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
        known = scorer.weighted_scores(weights)
        return {name: known[name] for name in _SCORES}

    return resample(scores, labels, groups, n_resamples=resamples, seed=seed)
