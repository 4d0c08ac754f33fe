"""Perturbations that do what their unit says, and the table and figures of their effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import DataError, SettingError
from wellai_exp.evaluation import (
    PERTURBATIONS,
    Evaluation,
    Perturbation,
    perturbations_sheet,
    robustness,
    robustness_figure,
)
from wellai_exp.metrics import ArrayError

Image = npt.NDArray[np.uint8]
BY_NAME = {kind.name: kind for kind in PERTURBATIONS}
SIDE = 96


def textured(rows: int = 3, side: int = SIDE) -> Image:
    """Soft random colours: neighbouring pixels are alike, as in a photograph."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (rows, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in coarse])


def dot(x: int, y: int) -> Image:
    """A bright square of 5 px on black, in one image."""
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    image[0, y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


def centre(image: Image) -> npt.NDArray[np.float64]:
    """Where the light of an image lies: (x, y) in pixels."""
    light = image[0].sum(axis=2).astype(float)
    grid = np.arange(SIDE)
    place: npt.NDArray[np.float64] = np.array([light.sum(axis=0) @ grid, light.sum(axis=1) @ grid]) / light.sum()
    return place


@pytest.mark.parametrize("kind", PERTURBATIONS, ids=lambda kind: kind.name)
def test_each_strength_changes_an_image_more_than_the_one_before(kind: Perturbation) -> None:
    images = textured()
    kept = images.copy()
    far = [np.abs(kind(images, value, 0).astype(float) - images).mean() for value in kind.strengths]
    np.testing.assert_array_equal(images, kept)
    assert far[0] > 0
    assert far == sorted(far)


@pytest.mark.parametrize("kind", PERTURBATIONS, ids=lambda kind: kind.name)
@settings(max_examples=20)
@given(parts=st.lists(st.integers(1, 3), min_size=1, max_size=3), seed=st.integers(0, 2**31 - 1))
def test_what_happens_to_an_image_depends_on_its_row_and_the_seed_alone(
    kind: Perturbation, parts: list[int], seed: int
) -> None:
    images = textured(sum(parts), 16)
    whole = kind(images, kind.strengths[-1], seed)
    assert whole.dtype == np.uint8
    first = 0
    for part in parts:
        piece = kind(images[first : first + part], kind.strengths[-1], seed, first)
        np.testing.assert_array_equal(piece, whole[first : first + part])
        first += part


@given(seed=st.integers(0, 2**31 - 1), degrees=st.floats(1, 60))
def test_a_rotation_turns_by_its_degrees(seed: int, degrees: float) -> None:
    middle = (SIDE - 1) / 2
    before, after = (centre(image) - middle for image in (dot(72, 48), BY_NAME["rotation"](dot(72, 48), degrees, seed)))
    turned = np.degrees(np.arctan2(after[1], after[0]) - np.arctan2(before[1], before[0]))
    assert abs(turned) == pytest.approx(degrees, abs=1.0)
    assert np.hypot(*after) == pytest.approx(np.hypot(*before), abs=0.5)


@given(seed=st.integers(0, 2**31 - 1), share=st.floats(0.02, 0.3))
def test_a_shift_moves_by_its_share_of_the_side(seed: int, share: float) -> None:
    moved = centre(BY_NAME["shift"](dot(48, 48), share, seed)) - centre(dot(48, 48))
    assert np.hypot(*moved) == pytest.approx(share * SIDE, abs=0.3)


@given(seed=st.integers(0, 2**31 - 1), factor=st.floats(1.05, 1.7))
def test_a_scale_moves_things_from_the_centre_or_towards_it_by_its_factor(seed: int, factor: float) -> None:
    middle = (SIDE - 1) / 2
    before, after = (centre(image) - middle for image in (dot(66, 48), BY_NAME["scale"](dot(66, 48), factor, seed)))
    grown = float(np.hypot(*after) / np.hypot(*before))
    assert max(grown, 1 / grown) == pytest.approx(factor, rel=0.03)


@given(seed=st.integers(0, 2**31 - 1), factor=st.floats(1.1, 1.2))
def test_brightness_multiplies_or_divides(seed: int, factor: float) -> None:
    images = np.full((1, 8, 8, 3), 200, np.uint8)
    level = float(BY_NAME["brightness"](images, factor, seed).mean()) / 200
    assert max(level, 1 / level) == pytest.approx(factor, rel=0.005)


def test_signs_differ_from_image_to_image_but_not_from_strength_to_strength() -> None:
    images = np.full((40, 8, 8, 3), 100, np.uint8)
    weak, strong = (BY_NAME["brightness"](images, factor, 0).mean(axis=(1, 2, 3)) > 100 for factor in (1.2, 2.0))
    np.testing.assert_array_equal(weak, strong)
    assert 10 < weak.sum() < 30


def test_noise_has_its_deviation_and_a_stronger_one_is_the_same_noise() -> None:
    images = np.full((1, 200, 200, 3), 128, np.uint8)
    weak, strong = (BY_NAME["noise"](images, sigma, 0).astype(float) - 128 for sigma in (10.0, 20.0))
    assert weak.std() == pytest.approx(10, rel=0.01)
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.99


def test_a_blur_hides_the_same_detail_at_every_size() -> None:
    """Halving the side halves sigma in pixels: the dot's relative spread stays."""
    for side in (112, 224):
        image = np.zeros((1, side, side, 3), np.uint8)
        image[0, side // 2, side // 2] = 255
        image[0, :, : side // 2] = 255
        edge = BY_NAME["blur"](image, 8.0, 0)[0, side // 4, :, 0].astype(float)
        # From 84 % to 16 % an edge blurred by a Gaussian takes two sigmas.
        width = np.interp([-0.8413, -0.1587], -edge / 255, np.arange(side))
        assert (width[1] - width[0]) / side == pytest.approx(2 * 8 / 224, rel=0.05)


def test_jpeg_of_high_quality_is_nearly_the_image_itself() -> None:
    """Colours swapped between red and blue would be far off."""
    images = textured()
    assert np.abs(BY_NAME["jpeg"](images, 98, 0).astype(float) - images).mean() < 2


def test_a_mirror_image_of_a_mirror_image_is_the_image() -> None:
    images, mirror = textured(), BY_NAME["mirror"]
    np.testing.assert_array_equal(mirror(mirror(images, 1, 0), 1, 0), images)
    np.testing.assert_array_equal(mirror(images, 1, 0)[:, :, 0], images[:, :, -1])


def test_a_perturbation_without_strengths_is_refused() -> None:
    with pytest.raises(SettingError, match="no strength"):
        Perturbation("nothing", "none", (), BY_NAME["mirror"].apply)


def by_light(images: Image) -> npt.NDArray[np.float64]:
    """A classifier that looks at which half of the image is brighter."""
    halves = images.reshape(len(images), images.shape[1], 2, -1).mean(axis=(1, 3))
    logits = (halves - halves.mean(axis=1, keepdims=True)) / 10
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float64)


def lit(rows: int = 20) -> tuple[Image, Evaluation]:
    """Images whose left half (class 0) or right half (class 1) is lit."""
    labels = np.arange(rows) % 2
    images = np.full((rows, 16, 16, 3), 60, np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 8 * label : 8 * label + 8] = 180
    return images, Evaluation(labels, by_light(images), ("left", "right"), train_support=np.array([9, 1]))


def test_the_table_holds_what_each_variant_scores() -> None:
    images, evaluation = lit()
    table = robustness(by_light, [images[:13], images[13:]], evaluation, seed=3)
    assert table["perturbation"].iloc[0] == "clean"
    assert table["strength"].tolist() == [0, *(n for kind in PERTURBATIONS for n in range(1, len(kind.strengths) + 1))]
    assert table["value"].iloc[1:].tolist() == [value for kind in PERTURBATIONS for value in kind.strengths]
    for row in table.iloc[1:].to_dict("records"):
        changed = BY_NAME[str(row["perturbation"])](images, float(row["value"]), 3)
        expected = Evaluation(evaluation.labels, by_light(changed), evaluation.class_names).aggregates
        assert row["accuracy"] == expected["accuracy"]
        assert row["log_loss"] == pytest.approx(expected["log_loss"])
        assert row["accuracy_delta"] == pytest.approx(expected["accuracy"] - table["accuracy"].iloc[0])
    scores = list(evaluation.aggregates)
    assert set(table["images"]) == {len(images)}
    assert list(table.columns[5:]) == [*scores, *(f"{name}_delta" for name in scores)]
    mirrored = table[table["perturbation"] == "mirror"].iloc[0]
    assert (table["accuracy"].iloc[0], mirrored["accuracy"], mirrored["accuracy_delta"]) == (1.0, 0.0, -1.0)


def test_progress_is_told_and_one_batch_is_asked_for_at_a_time() -> None:
    images, evaluation = lit(6)
    told: list[tuple[int, int]] = []
    asked = 0

    def batches() -> Any:
        nonlocal asked
        for start in (0, 2, 4):
            assert len(told) == 3 * asked
            asked += 1
            yield images[start : start + 2]

    two = [BY_NAME["mirror"], Perturbation("twice", "x", (1.0,), BY_NAME["mirror"].apply)]
    robustness(by_light, batches(), evaluation, perturbations=two, progress=lambda *args: told.append(args))
    assert told == [(2 * step, 18) for step in range(1, 10)]


@pytest.mark.parametrize("change", [lambda images: images[:-1], lambda images: np.concatenate([images, images])])
def test_as_many_images_as_rows_are_needed(change: Callable[[Image], Image]) -> None:
    images, evaluation = lit()
    with pytest.raises(ArrayError, match="20 rows but the batches hold"):
        robustness(by_light, [change(images)], evaluation, perturbations=PERTURBATIONS[-1:])


def test_a_prediction_that_is_no_probability_is_refused() -> None:
    images, evaluation = lit()
    with pytest.raises(ArrayError, match="probabilities"):
        robustness(lambda batch: by_light(batch) * 3, [images], evaluation, perturbations=PERTURBATIONS[-1:])


def test_the_figure_has_a_panel_for_each_perturbation_with_its_scores() -> None:
    images, evaluation = lit()
    table = robustness(by_light, [images], evaluation)
    figure: Any = robustness_figure(table)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Rotation", "Shift", "Scale", "Brightness", "Blur", "Noise", "JPEG", "Mirror",
    ]  # fmt: skip
    drawn = [line for line in figure.axes[-1].lines if line.get_label() == "accuracy"]
    assert drawn[0].get_ydata().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_the_figure_fits_any_number_of_perturbations(count: int) -> None:
    images, evaluation = lit()
    table = robustness(by_light, [images], evaluation, perturbations=PERTURBATIONS[:count])
    figure: Any = robustness_figure(table)
    assert len(figure.axes) == max(count, 1)
    figure.canvas.draw()


def test_a_table_without_what_is_drawn_is_refused() -> None:
    images, evaluation = lit()
    table = robustness(by_light, [images], evaluation, perturbations=PERTURBATIONS[-1:])
    with pytest.raises(DataError, match="lacks auc_pr_macro"):
        robustness_figure(table.drop(columns="auc_pr_macro"))
    with pytest.raises(DataError, match="one row of clean images"):
        robustness_figure(pd.DataFrame(table.iloc[1:]))


def test_the_sheet_shows_every_strength_beside_the_image() -> None:
    figure: Any = perturbations_sheet(textured(1)[0])
    assert len(figure.axes[0].images) == sum(1 + len(kind.strengths) for kind in PERTURBATIONS)
