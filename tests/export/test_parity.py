"""What makes an artifact fit, unfit or unchecked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import SettingError, StoreError, TrialFailed
from wellai_exp.export import Artifact, Opened, ParityRules, Reference, Runtime, check_artifact
from wellai_exp.export._opened import Array

ROWS, CLASSES, SIDE = 200, 4, 8
RULES = ParityRules(resamples=50)
WRITTEN = Artifact("tflite_float32", "tflite", "tflite/float32.tflite", SIDE, 1.0)


def keras_says(images: Array) -> Array:
    """Give probabilities that depend on the pixels alone."""
    logits = images.reshape(len(images), -1)[:, :CLASSES] / 32
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class Altered(Runtime):
    """A runtime that says what `keras_says` says, altered; what is checked is what is made of its answers."""

    name: ClassVar[str] = "altered"
    format: ClassVar[str] = "tflite"
    target: ClassVar[str] = "tflite_float32"

    alter: Callable[[Array, int], Array] = lambda answer, row: answer

    def _open(self, path: Path, size: int) -> Opened:
        row = iter(range(10**6))
        return Opened(size, lambda frame: self.alter(keras_says(frame), next(row)))


@dataclass(frozen=True)
class Absent(Altered):
    name: ClassVar[str] = "absent"

    def _open(self, path: Path, size: int) -> Opened:
        raise StoreError("there is no browser here; type this.")


@dataclass(frozen=True)
class Broken(Altered):
    name: ClassVar[str] = "broken"

    def _open(self, path: Path, size: int) -> Opened:
        raise TrialFailed("broken cannot open it")


@pytest.fixture(scope="module")
def reference() -> Reference:
    images = np.random.default_rng(0).integers(0, 256, (ROWS, SIDE, SIDE, 3)).astype(np.uint8)
    labels = keras_says(images.astype(np.float32)).argmax(axis=1).astype(np.int64)
    labels[::10] = (labels[::10] + 1) % CLASSES
    return Reference.of(lambda x, training: keras_says(x), images, labels, np.arange(ROWS), RULES, 0)


def check(reference: Reference | str, weights: str, *runtimes: Runtime) -> Artifact:
    return check_artifact(WRITTEN, Path(), weights, runtimes, reference, RULES)


def wrong_in_first(n: int) -> Callable[[Array, int], Array]:
    return lambda answer, row: np.roll(answer, 1, axis=1) if row < n else answer


def test_what_says_the_same_is_fit(reference: Reference) -> None:
    found = check(reference, "float32", Altered())
    assert (found.fit, found.problem) == (True, "")
    numbers = found.parity["altered"]
    assert (numbers["largest"], numbers["agreement"], numbers["accuracy_change"]) == (0.0, 1.0, 0.0)
    assert numbers["accuracy"] == pytest.approx(0.9)
    assert numbers["auc_pr_macro_low"] <= numbers["auc_pr_macro_change"] <= numbers["auc_pr_macro_high"]
    assert numbers["latency_ms"] > 0


@pytest.mark.parametrize(
    ("weights", "wrong", "fit"),
    [("float32", 1, False), ("float16", 1, True), ("float16", 2, False), ("int8", 4, True), ("int8", 5, False)],
)
def test_so_many_images_may_get_another_class(weights: str, wrong: int, fit: bool, reference: Reference) -> None:
    found = check(reference, weights, Altered(alter=wrong_in_first(wrong)))
    assert found.fit is fit
    if not fit and wrong > 1:
        assert f"in altered {wrong} of 200 images get another class than in Keras" in found.problem


@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-0.01, 0.01))
def test_float32_is_held_to_the_largest_difference(shift: float, reference: Reference) -> None:
    def alter(answer: Array, row: int) -> Array:
        moved = answer.copy()
        moved[0, 0] += np.float32(shift if row == 7 else 0.0)
        return moved

    found = check(reference, "float32", Altered(alter=alter))
    largest = found.parity["altered"]["largest"]
    assert largest == pytest.approx(abs(shift), abs=1e-6)
    assert found.fit is (largest <= RULES.largest_float32 and found.parity["altered"]["agreement"] >= 0.995)


def test_answers_that_are_no_numbers_are_unfit(reference: Reference) -> None:
    found = check(reference, "int8", Altered(alter=lambda answer, row: answer * np.nan))
    assert found.fit is False
    assert "200 of 200 images" in found.problem


def test_one_bad_runtime_of_two_makes_it_unfit_and_an_absent_one_does_not(reference: Reference) -> None:
    assert check(reference, "float32", Altered(), Broken()).fit is False
    assert check(reference, "float32", Altered(), Absent()).fit is True


def test_what_no_runtime_could_run_is_not_checked(reference: Reference) -> None:
    found = check(reference, "float32", Absent())
    assert (found.fit, dict(found.parity)) == (None, {})
    assert found.problem == "It was not checked: absent is not at hand (there is no browser here; type this)."
    assert check(reference, "float32").problem == "It was not checked: no runtime here reads tflite."
    assert check("no images", "float32", Altered()).problem == "It was not checked: no images."


@pytest.mark.parametrize(
    ("setting", "value"),
    [("images", 0), ("resamples", 1), ("agreement_float", 1.1), ("largest_float32", "tiny"), ("images", 2.5)],
)
def test_rules_that_cannot_be_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(SettingError, match=rf"^parity\.{setting}={value}: .*set parity\.{setting}="):
        ParityRules(**{setting: value})
