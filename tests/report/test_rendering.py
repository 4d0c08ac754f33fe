"""Figures as files: drawn once, whatever they are then needed for."""

from __future__ import annotations

import gc
import io
import weakref
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from wellai_exp.rendering import jpeg, png


class Counting(Figure):
    """Counts how often it is drawn."""

    drawn = 0

    def draw(self, renderer: Any) -> None:
        """Draw and count."""
        Counting.drawn += 1
        super().draw(renderer)


@pytest.fixture
def figure() -> Counting:
    Counting.drawn = 0
    drawn = Counting(figsize=(3, 2), dpi=100)
    drawn.subplots().imshow(np.linspace(0.0, 1.0, 7200).reshape(40, 60, 3))
    return drawn


def test_both_formats_show_the_figure_and_it_is_drawn_once(figure: Counting) -> None:
    content = png(figure), jpeg(figure)
    once = Counting.drawn
    assert (png(figure), jpeg(figure)) == content
    assert Counting.drawn == once
    with Image.open(io.BytesIO(content[0])) as first, Image.open(io.BytesIO(content[1])) as second:
        assert (first.format, second.format) == ("PNG", "JPEG")
        assert first.size == second.size == (300, 200)
        gap = np.abs(np.asarray(first.convert("RGB"), float) - np.asarray(second, float))
    assert gap.mean() < 3


def test_a_figure_that_nobody_holds_is_forgotten() -> None:
    figure = Figure(figsize=(1, 1))
    known = weakref.ref(figure)
    png(figure)
    del figure
    gc.collect()
    assert known() is None
