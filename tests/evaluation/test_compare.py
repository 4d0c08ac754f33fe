"""Two evaluations of the same images: paired, compared, drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import evaluation as room
from wellai_exp.errors import DataError
from wellai_exp.evaluation import Evaluation

NAMES = ("Boat [Navasana]", "Upward_Bow_(Wheel)_Pose_or_Urdhva_Dhanurasana_", "나무 자세", "$\\frac{$")


def predicted(
    names: tuple[str, ...] = NAMES, rows: int = 120, skill: float = 1.5, seed: int = 0, missing: int = 0
) -> Evaluation:
    """Predict the same images whatever the seed, which decides the noise."""
    labels = np.arange(rows) % (len(names) - missing)
    logits = np.random.default_rng(seed).normal(size=(rows, len(names)))
    logits[np.arange(rows), labels] += skill
    exponents = np.exp(logits)
    return Evaluation(
        labels,
        exponents / exponents.sum(axis=1, keepdims=True),
        names,
        groups=np.arange(rows) // (2 * len(names)) * len(names) + labels,
        sha256=tuple(f"{row:064x}" for row in range(rows)),
        train_support=np.arange(len(names), 0, -1),
        levels={"level_1": tuple(str(place % 2) for place in range(len(names)))} if len(names) > 2 else {},
    )


def shuffled(evaluation: Evaluation, rows: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> Evaluation:
    """Give the same predictions with rows and classes in another order."""
    return replace(
        evaluation,
        labels=np.argsort(classes)[evaluation.labels[rows]],
        probabilities=evaluation.probabilities[rows][:, classes],
        class_names=tuple(evaluation.class_names[index] for index in classes),
        groups=evaluation.groups[rows],
        sha256=tuple(evaluation.sha256[row] for row in rows),
        train_support=None,
        levels={},
    )


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_neither_the_order_of_rows_nor_that_of_classes_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, other = predicted(), predicted(seed=seed + 1)
    mixed = shuffled(other, rng.permutation(len(other.labels)), rng.permutation(other.n_classes))
    assert room.same_images(reference, mixed)
    paired = room.pair_evaluations(reference, mixed)
    np.testing.assert_array_equal(paired.probabilities, other.probabilities)
    assert (paired.class_names, paired.sha256) == (reference.class_names, reference.sha256)
    np.testing.assert_array_equal(paired.labels, reference.labels)
    # Head, middle and tail are the reference's, so that the same classes are meant.
    assert set(paired.aggregates) == set(reference.aggregates)


def test_copies_of_an_image_are_paired_by_their_labels() -> None:
    reference = replace(predicted(rows=8), sha256=("a", "a", "b", "c", "d", "e", "f", "g"))
    mixed = shuffled(replace(predicted(rows=8, seed=1), sha256=reference.sha256), np.arange(8)[::-1], np.arange(4))
    paired = room.pair_evaluations(reference, mixed)
    np.testing.assert_array_equal(paired.probabilities, predicted(rows=8, seed=1).probabilities)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": tuple("x" * place for place in range(120))}, "120 and 120 images share 0"),
        ({"sha256": ()}, "share 0"),
        ({"class_names": (*NAMES[:3], "Crow")}, "known to one alone .2 such"),
        ({"labels": (np.arange(120) + (np.arange(120) < 3)) % 4}, "3 images have one label .* e.g. 'Boat"),
    ],
)
def test_what_cannot_be_paired_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        room.pair_evaluations(predicted(), replace(predicted(seed=1), **change))


@pytest.fixture(scope="module")
def compared() -> dict[str, room.Comparison]:
    candidates = {"better": predicted(skill=3.0, seed=1), "same": predicted(), "noise": predicted(seed=2)}
    return room.compare(predicted(), candidates, n_resamples=200)


def test_differences_are_those_of_the_aggregates(compared: dict[str, room.Comparison]) -> None:
    comparison = compared["better"]
    table = comparison.metrics.set_index("metric")
    assert set(table.index) == set(predicted().aggregates)
    for name, value in predicted(skill=3.0, seed=1).aggregates.items():
        assert table.loc[name, "candidate"] == pytest.approx(value, nan_ok=True)
        assert table.loc[name, "delta"] == pytest.approx(value - predicted().aggregates[name], nan_ok=True)
    assert (table["low"] <= table["delta"]).all() and (table["delta"] <= table["high"]).all()
    assert table["low"].loc["accuracy"] > 0
    assert table["high"].loc["log_loss"] < 0
    classes = comparison.classes
    assert list(classes["class"]) == list(NAMES)
    np.testing.assert_allclose(classes["delta"], classes["candidate"] - classes["reference"])
    np.testing.assert_allclose(classes["reference"], predicted().auc_pr)


def test_a_model_does_not_differ_from_itself(compared: dict[str, room.Comparison]) -> None:
    same = compared["same"]
    for table in (same.metrics, same.classes):
        assert (table[["delta", "low", "high"]] == 0).all(axis=None)
        assert (table[["p", "p_holm"]] == 1).all(axis=None)
    assert same.confusions.empty
    assert same.mcnemar.p_value == 1


def test_p_values_are_corrected_for_models_and_for_classes(compared: dict[str, room.Comparison]) -> None:
    p_values = pd.DataFrame({name: each.metrics["p"] for name, each in compared.items()})
    corrected = pd.DataFrame({name: each.metrics["p_holm"] for name, each in compared.items()})
    least = p_values.min(axis=1)
    np.testing.assert_allclose(corrected.min(axis=1), np.minimum(1, len(compared) * least))
    assert (corrected >= p_values).all(axis=None)
    alone = room.compare(predicted(), {"better": predicted(skill=3.0, seed=1)}, n_resamples=200)["better"]
    np.testing.assert_allclose(alone.metrics["p_holm"], alone.metrics["p"])
    np.testing.assert_allclose(alone.metrics["p"], compared["better"].metrics["p"])
    classes = compared["better"].classes
    assert classes["p_holm"].min() == pytest.approx(min(1, len(NAMES) * classes["p"].min()))


def test_changed_confusions_add_up(compared: dict[str, room.Comparison]) -> None:
    comparison = compared["better"]
    table = comparison.confusions
    assert list(table["change"].abs()) == sorted(table["change"].abs(), reverse=True)
    assert (table["candidate"] - table["reference"] == table["change"]).all()
    # Each row of a matrix holds the rows of its class, whatever the model.
    assert (table.groupby("true")["change"].sum() == 0).all()
    (_, only_candidate), (only_reference, _) = comparison.mcnemar.counts
    gained = table.loc[table["true"] == table["predicted"], "change"].sum()
    assert gained == only_candidate - only_reference


def long_names(count: int) -> tuple[str, ...]:
    return tuple(f"{'Upward_Bow_(Wheel)_Pose_or_Urdhva_Dhanurasana_' * 2}{place}" for place in range(count))


CASES = {
    "82 long names, 3 missing": (long_names(82), 400, 3),
    "hostile names": (NAMES, 60, 1),
    "two classes": (("a", "b"), 20, 0),
    "one class": (("a",), 6, 0),
}


def compared_case(case: str) -> room.Comparison:
    names, rows, missing = CASES[case]
    reference = predicted(names, rows, missing=missing)
    other = predicted(names, rows, skill=2.5, seed=1, missing=missing)
    return room.compare(reference, {"other": other}, n_resamples=20)["other"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_metrics_are_drawn_of_any_comparison(case: str) -> None:
    metrics = compared_case(case).metrics
    room.metric_deltas_figure({"demo/2": metrics, "demo/3": metrics}, "demo/1").canvas.draw()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_classes_are_drawn_of_any_comparison(case: str) -> None:
    classes = compared_case(case).classes
    assert classes["delta"].isna().sum() == CASES[case][2]
    room.class_deltas_figure(classes, "demo/1", "demo/2").canvas.draw()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_confusions_are_drawn_of_any_comparison(case: str) -> None:
    found = compared_case(case)
    room.confusion_difference_figure(found.reference, found.candidate, ("demo/1", "demo/2")).canvas.draw()


def test_the_metrics_figure_tells_better_from_worse() -> None:
    rows = [("accuracy", 0.1, 0.05, 0.15), ("f1_macro", -0.1, -0.15, -0.05), ("log_loss", -0.2, -0.3, -0.1)]
    rows += [("auc_pr_macro", 0.01, -0.02, 0.04), ("mistake_severity", 0.2, 0.1, 0.3)]
    figure: Any = room.metric_deltas_figure({"b": pd.DataFrame(rows, columns=["metric", "delta", "low", "high"])}, "a")
    colours = {
        label.get_text(): tuple(colour)
        for axes in figure.axes
        for label, colour in zip(axes.get_yticklabels(), axes.collections[-1].get_facecolors(), strict=True)
    }
    assert colours["Accuracy"] == colours["Log loss"]
    assert colours["F1 macro"] == colours["Mistake severity"]
    assert len(set(colours.values())) == 3


def test_the_confusion_figure_names_only_what_changed_most() -> None:
    names = long_names(82)
    reference, other = predicted(names, 820), predicted(names, 820, seed=1)
    figure: Any = room.confusion_difference_figure(reference, other)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert 2 <= len(shown) <= 14
    change = 100 * (other.confusion - reference.confusion) / reference.support[:, None]
    row, column = np.unravel_index(np.abs(change).argmax(), change.shape)
    for index in (row, column):
        assert any(label.endswith(names[index][-4:]) for label in shown)
    image = figure.axes[0].images[0].get_array()
    assert image[row, column] == pytest.approx(change[row, column] * (1 if row == column else -1))
    nothing = room.confusion_difference_figure(reference, reference)
    assert any("Nothing changed" in text.get_text() for text in nothing.axes[0].texts)
