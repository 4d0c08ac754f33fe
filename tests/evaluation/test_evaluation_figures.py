"""Figures of a set of predictions: whole, readable, and without any state left behind."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp import evaluation as room
from wellai_exp.evaluation import Evaluation
from wellai_exp.evaluation._pr_table import class_curves
from wellai_exp.evaluation._style import columns_of, printable

FIGURES = (room.confusion_figure, room.pr_curves_figure, room.per_class_figure)
KOREAN = ("나무 자세", "전사 자세 II (비라바드라아사나)", "아래를 향한 개 자세 (아도 무카 스바나아사나)")
# Read as mathematics, the first fails to parse and the others lose their signs.
HOSTILE = (r"$\frac{$", "$x_1$ and $x_2$", "_hidden", "a\nb", "Bharadvaja's_Twist_(I)", "Ω≈ç√ अधो", "", r"\$", "100 %")
YOGA82 = Path(os.environ.get("WELLAI_ASSETS", "")) / "data/yoga82-annotations/yoga_dataset_links"


def generated(names: tuple[str, ...], rows: int = 400, missing: int = 0) -> Evaluation:
    rng = np.random.default_rng(len(names))
    labels = rng.integers(0, len(names) - missing, rows)
    logits = rng.normal(size=(rows, len(names)))
    logits[np.arange(rows), labels] += 2.5
    probabilities = np.exp(logits)
    return Evaluation(labels, probabilities / probabilities.sum(axis=1, keepdims=True), names)


def long_names(count: int) -> tuple[str, ...]:
    return tuple(
        f"Pose_Dedicated_to_the_Sage_{index}_(Crow)_or_Eka_Pada_Koundinyanasana_I_and_II" for index in range(count)
    )


def png_of(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def texts_outside(figure: Any) -> list[str]:
    """Give the visible texts that the edge of the figure cuts."""
    from matplotlib.text import Text

    figure.canvas.draw()
    # Half a pixel of rounding is not a cut letter.
    low, high = figure.bbox.min - 1, figure.bbox.max + 1
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    # Ticks outside an axis's limits are made but never drawn; their extents lie anywhere, at the view's own scale.
    drawn = [(name, box) for name, box in boxes if not _is_undrawn_tick(figure, name, box)]
    return [name for name, box in drawn if (box.min < low).any() or (box.max > high).any()]


def _is_undrawn_tick(figure: Any, name: str, box: Any) -> bool:
    for axes in figure.findobj(lambda artist: hasattr(artist, "get_xaxis")):
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in axis.get_major_ticks():
                shown = (tick.label1, tick.label2)
                inside = min(limits) - 1e-9 <= tick.get_loc() <= max(limits) + 1e-9
                if not inside and any(label.get_text() == name for label in shown):
                    return True
    return False


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize(
    "names", [("only",), ("a", "b", "c"), KOREAN, HOSTILE], ids=["one", "three", "korean", "hostile"]
)
def test_figures_hold_all_their_text(draw: Callable[[Evaluation], Any], names: tuple[str, ...]) -> None:
    figure = draw(generated(names, rows=60, missing=1 if len(names) > 2 else 0))
    assert texts_outside(figure) == []


@pytest.mark.parametrize("draw", FIGURES)
def test_figures_of_82_long_names_hold_all_their_text(draw: Callable[[Evaluation], Any]) -> None:
    figure = draw(generated(long_names(82), rows=1500, missing=2))
    assert texts_outside(figure) == []


@pytest.mark.skipif(not YOGA82.is_dir(), reason="WELLAI_ASSETS is not set to a folder with yoga82-annotations")
def test_names_of_yoga82_do_not_overlap_in_the_confusion_matrix() -> None:
    names = tuple(path.stem for path in sorted(YOGA82.glob("*.txt")))
    figure = room.confusion_figure(generated(names, rows=1500))
    figure.canvas.draw()
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert len(boxes) == 82
        assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_confusion_figure_says_when_a_class_has_no_row() -> None:
    figure = room.confusion_figure(generated(("a", "b", "c"), rows=30, missing=1))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[2] == "c  (0)"
    assert not any("nan" in text.get_text() for text in figure.axes[0].texts)


def test_per_class_figure_is_sorted() -> None:
    evaluation = generated(tuple("abcdefgh"))
    figure: Any = room.per_class_figure(evaluation)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, np.sort(evaluation.auc_pr)[::-1])


def test_the_area_under_each_drawn_curve_is_its_auc_pr() -> None:
    evaluation = generated(tuple("abcdefgh"))
    for index, curve in class_curves(evaluation).items():
        recall, precision = curve.outline
        assert float(np.sum(np.diff(recall) * precision[1:])) == pytest.approx(evaluation.auc_pr[index], abs=1e-12)


def test_only_the_best_and_worst_of_many_classes_are_named() -> None:
    evaluation = generated(tuple(f"class {index}" for index in range(40)), rows=2000)
    figure: Any = room.pr_curves_figure(evaluation)
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ranked = evaluation.per_class.sort_values("auc_pr", ascending=False)["class"].tolist()
    named = [name for name in ranked if any(f"  {name} (" in line for line in shown)]
    assert named == ranked[:3] + ranked[-3:]
    assert any("34 other classes" in line for line in shown)


@given(st.text(max_size=80) | st.text("$\\_a 한", max_size=80), st.integers(4, 60))
@settings(deadline=None)
def test_printable_names_fit_and_hold_no_mathematics(name: str, width: int) -> None:
    from matplotlib.cbook import is_math_text

    shown = printable(name, width)
    assert not is_math_text(shown)
    assert columns_of(shown.replace(r"\$", "$")) <= width
    assert all(unicodedata.category(mark)[0] != "C" for mark in shown)


def test_shortening_keeps_both_ends() -> None:
    assert printable("Extended_Revolved_Triangle_Pose", 11) == "Exten…_Pose"
    assert printable("short", 11) == "short"
    assert columns_of(printable(KOREAN[2], 20)) <= 20


def test_a_name_with_dollars_is_printed_as_it_is() -> None:
    from matplotlib.text import Text

    figure = room.per_class_figure(generated(("$x_1$ and $x_2$", r"$\frac{$", "plain")))
    png_of(figure)
    labels = [label for label in figure.findobj(Text) if "$" in label.get_text()]
    assert {label.get_text() for label in labels} == {r"\$x_1\$ and \$x_2\$", r"\$\frac{\$"}


def test_figures_leave_no_state_behind() -> None:
    code = (
        "import sys, matplotlib as mpl, numpy as np\n"
        "from wellai_exp import evaluation as room\n"
        "mpl.rcParams['text.usetex'] = True; mpl.rcParams['font.size'] = 31\n"
        # Reading the backend's setting would itself import pyplot.
        "settings = lambda: {name: mpl.rcParams[name] for name in mpl.rcParams if name != 'backend'}\n"
        "before = settings()\n"
        "e = room.Evaluation(np.array([0, 1, 1]), np.array([[.8, .2], [.3, .7], [.6, .4]]), ('a', 'b'))\n"
        "for draw in (room.confusion_figure, room.pr_curves_figure, room.per_class_figure): draw(e)\n"
        "assert settings() == before, 'rcParams changed'\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_import_needs_no_heavy_library() -> None:
    heavy = "{'tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib', 'plotly', 'mlflow', 'imblearn', 'optuna'}"
    code = f"import sys, wellai_exp.evaluation; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_figures_are_written_as_png() -> None:
    assert png_of(room.confusion_figure(generated(("a", "b")))).startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", [*FIGURES, room.reliability_figure], ids=lambda draw: draw.__name__)
def test_a_figure_of_one_evaluation_is_drawn_once(draw: Callable[[Evaluation], Any]) -> None:
    one, other = generated(("a", "b")), generated(("a", "b"))
    assert draw(one) is draw(one)
    assert draw(one) is not draw(other)
