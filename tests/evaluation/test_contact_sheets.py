"""Sheets of photographs: whole, captioned, and honest about files that are gone, broken or changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import evaluation as room
from wellai_exp.errors import SettingError
from wellai_exp.evaluation import Evaluation, contact_sheet, explained_rows, explanations_figure, thumbnails
from wellai_exp.evaluation._contact_sheet import _fitted
from wellai_exp.evaluation._style import BLUE, VERMILION, text_inches
from wellai_exp.metrics import ArrayError

SHEETS = (room.confused_pairs_sheet, room.worst_mistakes_sheet, room.likely_mislabelled_sheet)
LONG = tuple(f"Upward_Bow_(Wheel)_Pose_or_Urdhva_Dhanurasana_number_{index}" for index in range(82))
KOREAN = ("나무 자세", "전사 자세 II (비라바드라아사나)", "아래를 향한 개 자세 (아도 무카 스바나아사나)")


def photograph(height: int, width: int, colour: tuple[int, int, int] = (10, 200, 90)) -> bytes:
    coded = cv2.imencode(".png", np.full((height, width, 3), colour[::-1], np.uint8))[1]
    return bytes(coded.tobytes())


def photographed(root: Path, names: tuple[str, ...] = ("a", "b", "c"), rows: int = 30, **known: Any) -> Evaluation:
    """Random predictions of photographs that are there, of several shapes."""
    rng = np.random.default_rng(len(names))
    hashes = []
    for row in range(rows):
        content = photograph(40 + row % 3 * 20, 60, (row, 100, 255 - row))
        (root / f"{row}.png").write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
    known = {"paths": [f"{row}.png" for row in range(rows)], "sha256": hashes, **known}
    return Evaluation(
        rng.integers(0, len(names), rows), rng.dirichlet(np.ones(len(names)), rows), names, root=str(root), **known
    )


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def outside(figure: Any) -> list[str]:
    figure.canvas.draw()
    low, high = figure.bbox.min - 1, figure.bbox.max + 1
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts if text.get_text()]
    return [text for text, box in boxes if (box.min < low).any() or (box.max > high).any()]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("draw", SHEETS)
@pytest.mark.parametrize("names", [("only",), LONG, KOREAN, ("$x_1$", "a\nb", "")], ids=["one", "82", "korean", "odd"])
def test_sheets_hold_all_their_text(draw: Callable[[Evaluation], Any], names: tuple[str, ...], tmp_path: Path) -> None:
    assert outside(draw(photographed(tmp_path, names, rows=12))) == []


@pytest.mark.parametrize("draw", SHEETS)
def test_sheets_are_drawn_without_any_photograph(draw: Callable[[Evaluation], Any], tmp_path: Path) -> None:
    evaluation = photographed(tmp_path, paths=(), sha256=())
    assert "no path is known" in words(draw(evaluation))


def test_photographs_keep_their_proportions_and_their_order(tmp_path: Path) -> None:
    evaluation = photographed(tmp_path)
    pictures = thumbnails(evaluation, [2, 0], side=30)
    assert [picture.shape for picture in pictures if isinstance(picture, np.ndarray)] == [(30, 22, 3), (20, 30, 3)]
    np.testing.assert_array_equal(np.asarray(pictures[0])[0, 0], [2, 100, 253])


def test_small_photographs_are_not_blown_up(tmp_path: Path) -> None:
    (picture,) = thumbnails(photographed(tmp_path), [0], side=500)
    assert np.asarray(picture).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), "the file is missing"),
        (lambda file: file.write_bytes(photograph(9, 9)), "the file has changed"),
        (lambda file: file.rename(file.with_suffix(".old")) and file.mkdir(), "the file is missing"),
    ],
    ids=["gone", "other", "folder"],
)
def test_files_that_are_not_what_was_predicted_say_so(
    tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    evaluation = photographed(tmp_path)
    change(tmp_path / "1.png")
    first, second = thumbnails(evaluation, [0, 1])
    assert isinstance(first, np.ndarray)
    assert second == said


@pytest.mark.parametrize("content", [b"", b"<html>", photograph(50, 50)[:60]])
def test_files_that_cannot_be_decoded_say_so(tmp_path: Path, content: bytes) -> None:
    evaluation = photographed(tmp_path, sha256=())
    (tmp_path / "0.png").write_bytes(content)
    assert thumbnails(evaluation, [0]) == ["the file cannot be read"]
    assert "the file cannot be read" in words(contact_sheet(thumbnails(evaluation, [0]), ["x"], "t", tile=(2, 2)))


def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path) -> None:
    evaluation = photographed(tmp_path, paths=["\0"] * 30, sha256=())
    assert thumbnails(evaluation, [0]) == ["the file is missing"]


@settings(max_examples=40)
@given(line=st.text(max_size=60) | st.text("W$m_한", max_size=60), inches=st.floats(0.4, 3.0))
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_line_is_shortened_to_its_room(line: str, inches: float) -> None:
    shown = _fitted(line, inches, 7.5)
    assert text_inches([shown], 7.5) <= inches


def test_a_caption_keeps_its_class_and_its_number(tmp_path: Path) -> None:
    shown = _fitted(f"→ {LONG[7]}  0.93", 1.6, 7.5)
    assert shown.startswith("→ Upward")
    assert shown.endswith("0.93")


def test_the_sheet_of_pairs_shows_each_near_duplicate_once(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], 15)
    probabilities = np.tile([0.1, 0.9], (30, 1))
    base = photographed(tmp_path, ("a", "b"))
    for groups, expected in ((np.arange(30), 6), (np.repeat([0, 1], 15), 2)):
        evaluation = Evaluation(
            labels, probabilities, ("a", "b"), groups=groups, paths=base.paths, root=base.root, sha256=base.sha256
        )
        figure: Any = room.confused_pairs_sheet(evaluation)
        assert len(figure.axes[0].images) == expected
        assert "a → b: 15 of 15" in words(figure)


def test_pairs_across_parents_are_said_to_be(tmp_path: Path) -> None:
    evaluation = photographed(tmp_path, levels={"level_1": ("up", "up", "down")})
    headings = [text for text in words(room.confused_pairs_sheet(evaluation)) if " → " in text and ": " in text]
    assert len(headings) == 6
    assert all((", across parents" in text) == ("c" in (text[0], text[4])) for text in headings)


def test_without_mistakes_a_sheet_says_so(tmp_path: Path) -> None:
    evaluation = Evaluation(np.array([0, 1]), np.eye(2), ("a", "b"))
    for draw in SHEETS:
        assert any("No " in text for text in words(draw(evaluation)))


def test_every_picture_wants_its_caption() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ArrayError, match="2 pictures in 1 rows but 1 captions; give 2"):
        contact_sheet([image, image], ["one"], "t")
    with pytest.raises(ArrayError, match="at least one picture"):
        contact_sheet([], [], "t")
    with pytest.raises(SettingError, match="columns=0"):
        contact_sheet([image], ["x"], "t", 0)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 30), top=st.integers(1, 20))
def test_explained_rows_are_half_mistakes_as_far_as_there_are_any(seed: int, rows: int, top: int) -> None:
    rng = np.random.default_rng(seed)
    evaluation = Evaluation(rng.integers(0, 2, rows), rng.dirichlet(np.ones(2), rows), ("a", "b"))
    chosen = explained_rows(evaluation, top, seed)
    wrong = evaluation.predictions != evaluation.labels
    assert len(chosen) == len(set(chosen.tolist())) == min(rows, top)
    assert int(wrong[chosen].sum()) == min(wrong.sum(), max((top + 1) // 2, top - int((~wrong).sum())))
    np.testing.assert_array_equal(chosen, explained_rows(evaluation, top, seed))


def drawn_explanation() -> tuple[Evaluation, npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    evaluation = Evaluation(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]), ("a", "b"))
    images = np.full((2, 8, 8, 3), 120, np.uint8)
    heat = np.zeros((2, 8, 8), np.float32)
    heat[:, :, :4] = 1.0
    return evaluation, images, heat


def test_an_explanation_is_bright_where_the_heat_is_and_framed_by_its_truth() -> None:
    from matplotlib.colors import to_hex
    from matplotlib.patches import Rectangle

    evaluation, images, heat = drawn_explanation()
    figure: Any = explanations_figure(evaluation, [0, 1], images, heat)
    shown = [np.asarray(image.get_array(), float) for image in figure.axes[0].images]
    assert all(picture.shape == (8, 16, 3) for picture in shown)
    np.testing.assert_array_equal(shown[0][:, :8], 120)
    assert shown[0][:, 8:12].mean() > shown[0][:, 12:].mean() + 50
    frames = [patch.get_edgecolor() for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [to_hex(frame).upper() for frame in frames] == [BLUE.upper(), VERMILION.upper()]


def test_maps_of_another_shape_are_refused() -> None:
    evaluation, images, heat = drawn_explanation()
    with pytest.raises(ArrayError, match="heat maps"):
        explanations_figure(evaluation, [0, 1], images, heat[:, ::2])
    with pytest.raises(ArrayError, match="1 rows want images"):
        explanations_figure(evaluation, [0], images, heat)
